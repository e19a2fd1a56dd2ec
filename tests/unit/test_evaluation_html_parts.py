"""Parts of ``report.html``: which items are shown, how text of others is cut and spelt out, the charts' geometry."""

import math
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from page_rows import RIGHT, answers, row

from personadual.evaluation.bootstrap import Estimate
from personadual.evaluation.html.axes import Axis, nice_ticks, signed_axis, tick_text
from personadual.evaluation.html.comparing import amount, p_cell
from personadual.evaluation.html.dots import LABEL_CHARACTERS, Series, dot_panel, shortened
from personadual.evaluation.html.lines import POINTS, SERIES, curve_panel
from personadual.evaluation.html.origin import flat
from personadual.evaluation.html.samples import PER_CONDITION, sample_cards, spread
from personadual.evaluation.html.words import cut, sentence_parts, visible_lines
from personadual.evaluation.text import foreign


def test_half_of_the_samples_are_items_on_which_the_models_differ():
    rows = answers("a", 3, questions=20) + answers("b", 6, questions=20)
    cards = sample_cards(pd.DataFrame(rows), ["general", "personalized"])
    assert [card.condition for card in cards[::PER_CONDITION]] == list(
        ("none", "unaligned", "aligned", "conflicting", "personal", "ambiguous")
    )
    assert len(cards) == PER_CONDITION * len(RIGHT)
    assert all(sum(card.differ for card in cards if card.condition == c) == PER_CONDITION // 2 for c in RIGHT)
    assert cards == sample_cards(pd.DataFrame(rows[::-1]).sort_values("model"), ["general", "personalized"])


def test_samples_tell_mode_verdict_and_what_is_missing():
    rows = [
        row("a", 0, "none", "free", "general", 1.0),
        row("a", 0, "none", "general", "general", 1.0, tag_logprob=math.log(0.25)),
        row("a", 0, "none", "personalized", "personalized", 0.0),
        row("b", 0, "none", "free", "invalid", 0.5, response="\n\nno tag\n", truncated=True),
    ]
    (card,) = sample_cards(pd.DataFrame(rows), ["general", "personalized"])
    first, second = card.answers
    assert (first.free.kind, first.free.verdict, first.chances) == ("m0", "right", "P(general) 0.25, P(personalized) –")
    assert [answer.verdict for answer in first.forced] == ["right", "wrong"]
    assert (second.free.kind, second.free.verdict, second.free.at_limit) == ("none", "partly right", True)
    assert second.free.text.text == "no tag" and not second.forced
    assert card.differ and card.wrong == [1] and card.right_mode == "general"


def test_samples_take_the_first_seed_and_the_greedy_answer():
    rows = [entry for seed in (7, 3) for entry in answers("m", 5, questions=1, seed=seed, response=f"seed {seed}")]
    rows = [entry | {"sample": 1, "response": "again"} for entry in rows] + rows
    cards = sample_cards(pd.DataFrame(rows), ["general", "personalized"])
    assert {card.answers[0].free.text.text for card in cards} == {"seed 7"} and len(cards) == len(RIGHT)


@given(st.integers(0, 40), st.integers(0, 12))
def test_spread_keeps_order_and_takes_as_many_as_there_are(there, count):
    found = spread(range(there), count)
    assert len(found) == min(count, there) and found == sorted(set(found))


@given(st.text(max_size=200), st.integers(1, 60), st.integers(0, 20), st.integers(3, 6))
def test_cut_text_is_short_visible_and_counted(text, characters, end, lines):
    found = cut(text, characters, end, lines)
    both = found.text + found.end
    assert len(both) <= characters + end and both.count("\n") < lines
    assert all(c.isprintable() or c == "\n" or unicodedata.category(c) == "Zs" for c in both)
    whole = visible_lines(text.replace("\r\n", "\n").strip("\n").rstrip())
    assert whole.startswith(found.text) and whole.endswith(found.end)
    assert (found.left_out == 0) == (both == whole)


def test_a_long_answer_keeps_its_end():
    text = "[General_mode]\n" + "thinking " * 100 + '\n<answer>\n{"answer": "B"}\n</answer>\n'
    found = cut(text, 40, 40)
    assert found.text == text[:40] and found.end.endswith('{"answer": "B"}\n</answer>') and len(found.end) <= 40
    assert found.left_out == len(text.rstrip()) - len(found.text) - len(found.end)


def test_unseen_characters_are_spelt_out_and_line_ends_kept():
    assert visible_lines("a\u202eb\r\nc\td\ud800") == "a\\u202eb\nc\\u0009d\\ud800"


@given(st.text(max_size=100))
@example("\xa0")  # a space of its own kind
def test_sentences_give_foreign_text_back_as_plain_text(text):
    parts = sentence_parts(f"**All**: 0.5 with {foreign(text, limit=500)} and `--flag`.")
    assert parts[0] == ("All", True, False) and parts[-2] == ("--flag", False, True)
    inner = "".join(part.text for part in parts[2:-3])
    assert inner == (text_as_seen(text) if text_as_seen(text).strip() else "(empty)")


def text_as_seen(text):
    return visible_lines(text.replace("\r\n", "\n").replace("\n", " ⏎ "))


def test_flat_names_nested_settings():
    found = list(flat({"a": {"b": 1, "c": {}}, "d": ["x", "y"], "e": None, "f": [1, None]}))
    assert found == [("a.b", "1"), ("a.c", "{}"), ("d", "x y"), ("e", "–"), ("f", "[1, null]")]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
@example(879609.9999999999, 1e-6, 6)  # neighbouring floats there are further apart than a millionth of the span
def test_ticks_are_few_round_and_inside(low, span, most):
    ticks = nice_ticks(low, low + span, most)
    slack = max(span * 1e-6, 4 * math.ulp(abs(low) + span))
    assert len(ticks) <= most + 1 and all(low - slack <= tick <= low + span + slack for tick in ticks)


def test_dots_lie_on_their_axis_and_missing_values_are_left_out():
    estimates = [Estimate(0.5, 0.25, 0.75, 4, 4), Estimate(np.nan, np.nan, np.nan, 0, 0), None]
    more = [Estimate(-0.5, np.nan, np.nan, 1, 1), Estimate(0.0, 0.0, 0.0, 3, 3), None]
    axis = signed_axis([*estimates, *more])
    panel = dot_panel("t", ["a", "b", "c"], [Series("free", "x", estimates), Series("m0", "y", more)], axis)
    assert len(panel.dots) == 3 and len(panel.rows) == 3 and panel.zero is not None
    first, second, third = panel.dots
    assert panel.left <= first.low < first.x < first.high <= 360 and second.low is None and third.x == panel.zero
    assert [dot.y < panel.height for dot in panel.dots] == [True] * 3 and first.y < second.y < third.y
    assert "a, x: +0.50 [+0.25, +0.75] (n = 4)" == first.text
    assert dot_panel("t", ["a"], [Series("free", "x", [None])], axis) is None


@pytest.mark.parametrize("label", ["short", "dualgrpo_decoupled_seed_12", "\u202e" * 30, "W" * 300])
def test_labels_of_rows_are_short_and_keep_both_ends(label):
    found = shortened(label)
    assert len(found) <= LABEL_CHARACTERS and found.isprintable()
    assert len(label) > LABEL_CHARACTERS or found == label
    assert not label.endswith("seed_12") or (found.endswith("seed_12") and found.startswith("dualgrpo"))


@pytest.mark.parametrize(
    "values",
    [[1.0], [0.0, 0.0], [1e16, 1e16 + 2], [np.nan, 1.0, np.inf, -np.inf], [1e308, 2.0, -1e308], list(range(5000))],
)
def test_curves_are_drawn_inside_their_panel_whatever_the_values(values):
    panel = curve_panel("t", {"a": pd.Series(values, index=range(1, len(values) + 1))})
    points = [tuple(map(float, point.split(","))) for point in panel.curves[0].points.split()]
    assert 2 <= len(points) <= POINTS + 2
    assert all(panel.left <= x <= panel.right and 0 <= y <= panel.bottom for x, y in points)
    assert all(tick.text for tick in panel.x_ticks + panel.y_ticks)


def test_curves_beyond_the_most_are_counted_and_empty_ones_left_out():
    series = {f"s{index}": pd.Series([1.0, 2.0], index=[1, 2]) for index in range(SERIES + 3)}
    assert curve_panel("t", series).left_out == 3
    assert curve_panel("t", {"a": pd.Series([np.nan], index=[1])}) is None


@pytest.mark.parametrize(
    "value, signed, shown",
    [
        (0.5, False, "0.50"),
        (-0.25, True, "−0.25"),
        (39.66, False, "39.7"),
        (17.5, True, "+17.5"),
        (-17.5, True, "−17.5"),
    ],
)
def test_lengths_have_one_decimal_and_shares_two(value, signed, shown):
    assert amount(value, signed) == shown


@pytest.mark.parametrize("p, shown", [(0.0001, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50"), (np.nan, "–")])
def test_p_has_no_name_in_its_cell(p, shown):
    assert p_cell(p).text.strip() == shown


def test_ticks_without_an_exponent_stay_short():
    assert [tick_text(value) for value in (0.0, 0.25, -0.5, 1e-7)] == ["0", "0.25", "−0.5", "1e−7"]
    assert Axis(1.0, 1.0).at(1.0) > 0
