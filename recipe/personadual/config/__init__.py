"""Hydra configs, found as ``pkg://personadual.config``."""
