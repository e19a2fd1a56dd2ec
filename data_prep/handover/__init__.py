"""Evaluation files handed to another harness: ``personadual data handover FILE... --to lm-eval --out DIR``.

``lm_eval`` writes the harness's task folder, ``scoring`` is what the folder calls at run time: the training's graders.
"""
