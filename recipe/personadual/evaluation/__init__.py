"""Evaluation: what a model answers and which mode it chooses, and whether that was the right one.

Reading order, generation: ``columns`` (a generation row), ``data`` (test items), ``runfile`` (append and continue),
``engine`` (vLLM), ``generate`` (items in, rows out), ``evaluate`` (a whole run). Report: ``load`` (rows back in),
``measures`` (one value per item, with formulae), ``summary`` (means with intervals, contrasts, differences),
``figures`` and ``curves``, ``findings`` and ``limits`` (sentences from the numbers), ``report``.
"""
