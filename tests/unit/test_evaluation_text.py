"""Numbers, tables and foreign text as a report writes them."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual.evaluation.bootstrap import Estimate
from personadual.evaluation.findings import BETTER, UNCLEAR, WORSE, outcome
from personadual.evaluation.text import estimate_text, foreign, markdown_table, number, p_text, visible


@given(st.text(max_size=300))
def test_foreign_text_has_no_character_that_markdown_or_html_reads(text):
    inner = re.sub(r"&#\d+;", "", foreign(text)).removeprefix("<code>").removesuffix("</code>")
    assert inner == "*(empty)*" or not re.search(r"[|<>&`*_\[\]!#@$~\\:\n\r]", inner)
    assert "\n" not in visible(text) and "\x1b" not in visible(text)


def test_foreign_text_is_cut_before_it_is_escaped():
    assert foreign("<" * 500, limit=10) == "<code>" + "&#60;" * 9 + "&#8230;</code>"
    assert foreign("  ") == "*(empty)*"


@pytest.mark.parametrize(
    "low, high, p, lower_is_better, said",
    [(-0.3, -0.1, 0.01, True, BETTER), (-0.3, -0.1, 0.01, False, WORSE), (0.1, 0.2, 0.01, True, WORSE),
     (0.1, 0.2, 0.01, False, BETTER), (0.1, 0.2, 0.05, False, UNCLEAR), (-0.1, 0.1, 0.01, True, UNCLEAR),
     (0.0, 0.1, 0.01, True, UNCLEAR), (np.nan, np.nan, np.nan, True, UNCLEAR)],
)  # fmt: skip
def test_nothing_is_claimed_without_an_interval_off_zero_and_a_small_corrected_p(low, high, p, lower_is_better, said):
    assert outcome(Estimate(0.5, low, high, 5, 5), p, lower_is_better) == said


@pytest.mark.parametrize(
    "p, shown", [(0.5, "p = 0.50"), (0.0499, "p = 0.050"), (0.0123, "p = 0.012"), (1e-9, "p < 0.001"), (np.nan, "")]
)
def test_p_values_as_text(p, shown):
    assert p_text(p) == shown


@pytest.mark.parametrize(
    "value, signed, shown",
    [(0.456, False, "0.46"), (0.0, False, "0.00"), (0.004, False, "0.004"), (1e-7, False, "<0.001"),
     (1.0, True, "+1.00"), (1 - 1e-7, False, ">0.999"), (-0.25, False, "−0.25"), (-1e-5, True, "≈0"),
     (1e-12, True, "0.00"), (np.nan, True, "–")],
)  # fmt: skip
def test_numbers_never_round_to_a_certainty_they_are_not(value, signed, shown):
    assert number(value, signed) == shown


def test_estimates_and_tables_as_text():
    assert estimate_text(Estimate(0.5, 0.25, 0.75, 4, 4)) == "0.50 [0.25, 0.75]"
    assert estimate_text(Estimate(0.5, np.nan, np.nan, 1, 1)) == "0.50"
    assert estimate_text(None) == "–"
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
