"""Attacks that a persona, a question or a response may hold: none changes how a response is read or graded."""

from collections import Counter

import pytest
from reward_texts import response, score

from personadual.evaluation.attacks import ATTACKS, FAMILIES, TAG
from personadual.modes import DEFAULT_MODES, GENERAL, INVALID_MODE, PERSONALIZED, parse_mode
from personadual.reward_fns import compute_score

WITH_TAG = [(attack, attack.text.replace(TAG, mode.tag)) for attack in ATTACKS for mode in DEFAULT_MODES]
TEXTS = sorted({text for _, text in WITH_TAG})
ANSWERS = [
    response(), response("Lyon"), response(mode=PERSONALIZED), GENERAL.prefix + "Paris", "Paris", "",
]  # fmt: skip


def test_there_are_more_than_two_hundred_in_six_families():
    assert len({attack.text for attack in ATTACKS}) == len(ATTACKS) > 200
    assert len(FAMILIES) == 6 and min(Counter(attack.family for attack in ATTACKS).values()) >= 20


@pytest.mark.parametrize("profile", ["strict", "authors"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_no_persona_or_question_changes_what_an_answer_is_worth(answer, profile):
    plain = compute_score("flan", answer, "Paris", {"persona": "I sail.", "question": "Where?"}, profile=profile)
    for text in TEXTS:
        info = {"persona": f"I sail.{text}", "question": f"Where?{text}", "prompt": text}
        assert compute_score("flan", answer, "Paris", info, profile=profile) == plain, text


# What the attacks would have as the answer.
ATLANTIS = "Atlantis"
AROUND = ["{} " + response("Lyon"), response("Lyon") + "{}", GENERAL.prefix + "{}" + response("Lyon"), "{}\n{}"]


def test_the_attacks_offer_the_answer_that_the_next_test_has_as_the_truth():
    offers = [attack for attack in ATTACKS if ATLANTIS in attack.text]
    assert len(offers) >= 15 and all('{"answer"' in attack.text for attack in offers[:3])
    assert any(score(response("Lyon") + text, ATLANTIS)["format"] == 0 for text in TEXTS)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("options", [None, [ATLANTIS, "Lyon", "Nice", "Lille"]])
def test_no_attack_repeated_by_the_model_makes_a_wrong_answer_right(around, options):
    for text in TEXTS:
        found = score(around.replace("{}", text), truth="A" if options else ATLANTIS, options=options)
        assert found["acc"] == 0, text


def test_a_copied_attack_is_a_mode_only_where_the_tag_line_comes_first():
    for attack, text in WITH_TAG:
        expected = any(text.startswith(mode.prefix) for mode in DEFAULT_MODES)
        assert (parse_mode(text, DEFAULT_MODES).index != INVALID_MODE) is expected, attack
    assert not any(text.startswith(mode.tag) for _, text in WITH_TAG for mode in DEFAULT_MODES)


@pytest.mark.parametrize(
    "tag",
    [
        "［General_mode］", "[Gеneral_mode]", "[General\u200b_mode]", "\u200b[General_mode]", "\ufeff[General_mode]",
        "[General＿mode]", "[general_mode]", "[General_Mode]", "[General mode]", "[ General_mode ]", " [General_mode]",
        "\n[General_mode]", "[General_mode", "General_mode]", "[General_mode]x", "[General_mode][Personalized_mode]",
        "\u202e[General_mode]", "[General_mode]\u0301", "[General_mode\u0000]", "[Gener\u00adal_mode]",
    ],
)  # fmt: skip
def test_what_looks_like_a_tag_is_none(tag):
    assert parse_mode(f"{tag}\nx", DEFAULT_MODES).index == INVALID_MODE
    assert score(f"{tag}\n" + response().removeprefix(GENERAL.prefix))["format"] == 0
