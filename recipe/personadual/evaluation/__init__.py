"""Evaluation: what a model answers and which mode it chooses, and whether that was the right one.

Reading order, generation: ``columns`` (a generation row), ``data`` (test items), ``derived`` (items made of them),
``runfile`` (append and continue), ``generate`` (what is asked, and rows of the answers), then who answers: ``engine``
(vLLM), ``pool`` (engines in processes), ``offline``; or ``endpoint`` and ``endpoint_ways`` (a server). ``targets``,
``asking`` and ``evaluate`` make the whole run. Report: ``load`` (rows back in),
``measures`` (one value per item, with formulae), ``grid`` (the same as arrays), ``bootstrap``, ``summary`` (means with
intervals), ``effects`` (what a persona does), ``comparisons`` (between models), ``verdict`` (the falsification test),
``options``, ``figures`` and ``curves``, ``findings`` and ``limits`` (sentences from the numbers), ``sections``,
``tables`` and ``template`` (Markdown), ``html`` (the page), ``report``.
"""
