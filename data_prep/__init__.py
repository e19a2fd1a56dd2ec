"""Preparation of training and evaluation data: verl's parquet files from facts, questions and profiles.

Shared by all sources: ``columns`` (the arrow schemas), ``chat`` (how a profile, a question and an answer are written),
``items`` (a question under a condition, and its rows), ``files`` and ``manifest`` (whole-file writing, what was
written). Each source has its own package; ``quickstart`` needs no download beyond a small package of facts.
"""
