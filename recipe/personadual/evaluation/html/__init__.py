"""``report.html``: the report as one page that needs no other file and no network.

Where what is: ``page`` (the template filled), ``contents`` (with what), ``sections`` (their order), ``section``,
``answers``, ``persona``, ``comparing`` (what they hold), ``tables``, ``dots``, ``lines``, ``axes`` (charts), ``names``,
``samples`` (answers side by side), ``origin`` (how it was made), ``words`` (text that others wrote). ``*.jinja``,
``page.css`` and ``page.js`` are what they fill.
"""
