"""The values that DualGRPO's options can take; apart from ``advantage``, because settings are read without torch."""

CREDIT = ("shared", "decoupled")
PREFIX_SCOPE = ("all", "deciding")
STD_SCOPE = ("group", "mode")
