"""The authors' rules, next to the strict ones: the same completions, scored by both."""

import pytest

from personadual.modes import GENERAL, PERSONALIZED
from personadual.reward_fns import compute_score
from personadual.reward_fns.authors import MAX_OBJECT_CHARACTERS

TARGET = GENERAL.prefix + 'Because it is.\n\n<answer>\n{"answer":"A"}\n</answer>'


def both(text, truth="A", source="UltraMedical"):
    """(acc, format) of the strict profile, then of the authors'."""
    results = [compute_score(source, text, truth, profile=profile) for profile in ("strict", "authors")]
    return [(result["acc"], result["format"]) for result in results]


@pytest.mark.parametrize("source", ["UltraMedical", "flan", "AlignX", "quickstart_none"])
def test_the_target_output_is_right_in_both(source):
    assert both(TARGET, source=source) == [(1, 1), (1, 1)]
    assert both(TARGET, "B", source) == [(0, 1), (0, 1)]
    assert compute_score(source, TARGET, "A", profile="authors")["score"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "text", "truth", "strict", "authors"),
    [
        ("no normalisation: case", TARGET.replace('"A"', '"a"'), "A", (1, 1), (0, 1)),
        ("no normalisation: full stop", TARGET.replace('"A"', '"A."'), "A", (1, 1), (0, 1)),
        ("no normalisation: space", TARGET.replace('"A"', '"A "'), "A", (1, 1), (0, 1)),
        ("a brace inside an answer", TARGET.replace('"A"', '"{x}"'), "{x}", (1, 1), (0, 1)),
        ("a trailing newline", TARGET + "\n", "A", (1, 1), (1, 0)),
        ("two blocks", TARGET.replace('"A"', '"B"') + TARGET[len(GENERAL.tag) :], "A", (0, 0), (1, 1)),
        ("no JSON in the block", TARGET.replace('"A"', "A, or B, who knows"), "A", (0, 0), (0, 1)),
        ("two answers in the block", TARGET.replace('"A"}', '"B"}\n{"answer":"A"}'), "A", (0, 0), (1, 1)),
        ("a second key", TARGET.replace('"A"', '"A","sure":false'), "A", (0, 0), (1, 1)),
        ("the last of two equal keys", TARGET.replace('"A"', '"B","answer":"A"'), "A", (0, 0), (1, 1)),
        ("an answer in the reasoning only", GENERAL.prefix + 'So {"answer": "A"}.', "A", (0, 0), (1, 0)),
        ("an answer behind the block", TARGET.replace('"A"', '"B"') + '{"answer": "A"}', "A", (0, 0), (1, 0)),
        ("a tag that does not end its line", TARGET.replace("]\n", "] "), "A", (1, 0), (1, 1)),
        ("no blank line before the block", TARGET.replace("\n\n", "\n"), "A", (1, 1), (1, 0)),
        ("a space before the colon", TARGET.replace('":"', '" : "'), "A", (1, 1), (1, 0)),
        ("a second tag on the next line", GENERAL.prefix + PERSONALIZED.prefix + TARGET[15:], "A", (1, 1), (1, 0)),
        ("no tag", TARGET[len(GENERAL.prefix) :], "A", (1, 0), (1, 0)),
        ("no answer", GENERAL.prefix + "It is A.", "A", (0, 0), (0, 0)),
        ("an unclosed brace", GENERAL.prefix + '{"answer": "A"', "A", (0, 0), (0, 0)),
    ],
)
def test_where_the_profiles_differ(name, text, truth, strict, authors):
    assert both(text, truth) == [strict, authors], name


def test_a_block_that_looks_right_behind_one_that_does_not():
    text = TARGET.replace("<answer>", "<answer>\n\n<answer>")
    assert both(text) == [(0, 0), (1, 1)]
    assert both(TARGET.replace('{"answer":"A"}', '{"answer":')) == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("literal", "truth", "by_source"),
    [
        ("5", "5", {"UltraMedical": 1, "flan": 1, "AlignX": 0}),
        ("0", "0", {"UltraMedical": 0, "flan": 1, "AlignX": 0}),
        ("true", "True", {"UltraMedical": 1, "flan": 1, "AlignX": 0}),
        ("null", "None", {"UltraMedical": 0, "flan": 1, "AlignX": 0}),
        ('["A"]', "['A']", {"UltraMedical": 1, "flan": 1, "AlignX": 0}),
        ('"5"', "5", {"UltraMedical": 1, "flan": 1, "AlignX": 1}),
    ],
)
def test_answers_that_are_no_strings_differ_per_source(literal, truth, by_source):
    text = TARGET.replace('"A"', literal)
    found = {source: compute_score(source, text, truth, profile="authors")["acc"] for source in by_source}
    assert found == by_source


def test_an_object_longer_than_any_answer_is_not_read():
    padded = TARGET.replace('"A"', '"A",' + " " * (MAX_OBJECT_CHARACTERS - len('{"answer":"A","b":1}')) + '"b":')
    for value, acc in (("1", 1), ("11", 0)):
        assert both(padded.replace('"b":', f'"b":{value}'))[1] == (acc, 1)


def test_the_mode_is_read_strictly_in_both_profiles():
    untagged = TARGET[len(GENERAL.prefix) :]
    assert compute_score("flan", untagged, "A", profile="authors")["mode_invalid"] == 1
    same_line = TARGET.replace("]\n", "] ")
    result = compute_score("flan", same_line, "A", profile="authors")
    assert (result["format"], result["mode_general"], result["mode_invalid"]) == (1, 0, 1)
