"""compute_score: what a response is worth in the strict profile, and which rows and keywords are refused."""

import numpy as np
import pytest
from omegaconf import OmegaConf
from reward_texts import BLOCK, KEYS, response, score

from personadual import schema
from personadual.modes import GENERAL, PERSONALIZED
from personadual.reward_fns import check_data_sources, compute_score, grader_of, read_settings
from personadual.reward_fns.answer_block import MAX_BLOCK_CHARACTERS, render_block


@pytest.mark.parametrize(
    ("text", "acc", "form"),
    [
        (response(), 1, 1),
        (response(mode=PERSONALIZED), 1, 1),
        (response() + " \n\n", 1, 1),
        (response("Rome"), 0, 1),
        (response(reasoning=""), 1, 1),
        (response(reasoning='See [Personalized_mode]\nand {"answer": "Rome"}.\n'), 1, 1),
        (GENERAL.prefix + '<answer>{"answer":"Paris"}</answer>', 1, 1),
        (GENERAL.prefix + '<answer>\n\t{ "answer" :\n "Paris" }\n</answer>', 1, 1),
        # No tag, or not as the first line: an answer all the same.
        (render_block("Paris"), 1, 0),
        (" " + response(), 1, 0),
        (GENERAL.tag + " " + render_block("Paris"), 1, 0),
        ("general_mode\n" + render_block("Paris"), 1, 0),
        # Something behind the block.
        (response() + "\nI hope this helps.", 1, 0),
        # Behind its thoughts, or in them.
        (response(reasoning="<think>\nLyon?\n</think>\n\n"), 1, 1),
        (response(reasoning="\n</think>\n\n"), 1, 1),
        (response(reasoning="<think>"), 0, 0),
        (response(reasoning="<think>") + "</think>", 0, 0),
        (response(reasoning="<think>") + "</think> Lyon", 0, 0),
        (response(reasoning="<think></think><think>") + "</think> Lyon", 0, 0),
        (response(reasoning="<thinking>") + "</thinking> Lyon", 0, 0),
        (response(reasoning="[THINK]") + "[/THINK] Lyon", 0, 0),
        (response() + "</think> Lyon", 0, 0),
        (response() + " <think>Was it Lyon?</think>", 1, 0),
        (response() + "\nThe answer is Lyon.", 1, 0),
        # No answer block, or not exactly one.
        ("", 0, 0),
        (GENERAL.prefix + "The answer is Paris.", 0, 0),
        (GENERAL.prefix + '{"answer": "Paris"}', 0, 0),
        (response() + "\n" + render_block("Paris"), 0, 0),
        (response("Rome") + "\n" + render_block("Paris"), 0, 0),
        (response(reasoning="I write <answer> now.\n"), 0, 0),
        (response(reasoning="Done </answer>.\n"), 0, 0),
        (response() + "</answer>", 0, 0),
        (GENERAL.prefix + '<answer>\n{"answer": "Paris"}', 0, 0),
        (GENERAL.prefix + '</answer>\n{"answer": "Paris"}\n<answer>', 0, 0),
        (GENERAL.prefix + '<answer>\n<answer>{"answer": "Paris"}\n</answer>\n</answer>', 0, 0),
        # Not one answer in it.
        (GENERAL.prefix + "<answer>\nParis\n</answer>", 0, 0),
        (GENERAL.prefix + '<answer>\n"Paris"\n</answer>', 0, 0),
        (GENERAL.prefix + '<answer>\n["Paris"]\n</answer>', 0, 0),
        (GENERAL.prefix + '<answer>\n{"answer": ["Paris"]}\n</answer>', 0, 0),
        (GENERAL.prefix + '<answer>\n{"answer": {"answer": "Paris"}}\n</answer>', 0, 0),
        (GENERAL.prefix + '<answer>\n{"answer": "Paris", "second": "Rome"}\n</answer>', 0, 0),
        (GENERAL.prefix + '<answer>\n{"answer": "Rome", "answer": "Paris"}\n</answer>', 0, 0),
        (GENERAL.prefix + '<answer>\n{"Answer": "Paris"}\n</answer>', 0, 0),
        (GENERAL.prefix + "<answer>\n{'answer': 'Paris'}\n</answer>", 0, 0),
        (GENERAL.prefix + '<answer>\n{"answer": "Paris"} {"answer": "Paris"}\n</answer>', 0, 0),
        (GENERAL.prefix + '<answer>\n```json\n{"answer": "Paris"}\n```\n</answer>', 0, 0),
        (response(" "), 0, 0),
        (response("\u200b \ufeff"), 0, 0),
        (response("Paris, Rome"), 0, 1),
        (response("Paris or Rome"), 0, 1),
    ],
)
def test_accuracy_and_format(text, acc, form):
    result = score(text)
    assert (result["acc"], result["format"]) == (acc, form)
    assert result["score"] == pytest.approx(0.9 * acc + 0.1 * form)


@pytest.mark.parametrize("value", ["true", "false", "null", "NaN", "Infinity", "-Infinity", "[]", "{}", '""'])
@pytest.mark.parametrize("truth", ["true", "None", "NaN", "inf", "0"])
def test_values_that_are_no_answer(value, truth):
    result = score(f'{GENERAL.prefix}<answer>\n{{"answer": {value}}}\n</answer>', truth)
    assert (result["acc"], result["format"]) == (0, 0)


@pytest.mark.parametrize(
    ("literal", "truth", "acc"),
    [
        ("1000", "1,000", 1),
        ("1000.0", 1000, 1),
        ("1e3", "1000", 1),
        ("0.1", "0.1", 1),
        ("0.30000000000000004", "0.3", 0),
    ],
)
def test_number_literals_are_read_as_written(literal, truth, acc):
    assert score(f'<answer>{{"answer": {literal}}}</answer>', truth)["acc"] == acc


def test_huge_number_and_long_block_are_refused_or_read_without_an_error():
    assert score('<answer>{"answer": ' + "9" * 4000 + "}</answer>", "9" * 4000)["acc"] == 1
    assert score('<answer>{"answer": 1e999999999}</answer>', "1")["acc"] == 0
    longest = MAX_BLOCK_CHARACTERS - len(render_block("")) + len("<answer></answer>")
    assert score(response("a" * longest), "a" * longest)["acc"] == 1
    assert score(response("a" * (longest + 1)), "a" * (longest + 1))["acc"] == 0


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (response(), "general"),
        (response(mode=PERSONALIZED), "personalized"),
        (GENERAL.tag, "general"),
        # Counted as personalized by the released code.
        (render_block("Paris"), "invalid"),
        ("", "invalid"),
        # A tag in the reasoning, or one that follows another.
        ("I would use\n" + response(mode=PERSONALIZED), "invalid"),
        (GENERAL.prefix + response(mode=PERSONALIZED), "general"),
        ("[general_mode]\n" + BLOCK, "invalid"),
    ],
)
def test_one_mode_indicator_is_set(text, mode):
    result = score(text)
    assert {key for key in KEYS if key.startswith("mode_") and result[key] == 1} == {f"mode_{mode}"}
    assert sum(result[key] for key in KEYS if key.startswith("mode_")) == 1


def test_a_tag_in_the_persona_does_not_count():
    result = score(BLOCK, persona=PERSONALIZED.prefix, question=GENERAL.prefix)
    assert result["mode_invalid"] == 1


def test_configured_modes_are_looked_for_and_named():
    modes = [{"name": name, "tag": f"<{name}>"} for name in ("plain", "personal", "mixed")]
    result = compute_score("flan", "<mixed>\n" + BLOCK, "Paris", {schema.ASKED_MODE: "mixed"}, modes=modes)
    assert [key for key in result if key.startswith("mode_")] == [
        "mode_plain",
        "mode_personal",
        "mode_mixed",
        "mode_invalid",
    ]
    assert (result["mode_mixed"], result["format"], result["asked_mode"]) == (1, 1, 2)
    assert compute_score("flan", response(), "Paris", modes=modes)["mode_invalid"] == 1


@pytest.mark.parametrize(
    ("info", "asked", "item"),
    [
        (None, -1, -1),
        ({}, -1, -1),
        ({schema.ASKED_MODE: None, schema.ITEM: None}, -1, -1),
        ({schema.ASKED_MODE: schema.FREE, schema.ITEM: 0}, -1, 0),
        ({schema.ASKED_MODE: "general", schema.ITEM: np.int64(7)}, 0, 7),
        ({schema.ASKED_MODE: "personalized"}, 1, -1),
    ],
)
def test_bookkeeping_of_validation_rows(info, asked, item):
    result = compute_score("flan", BLOCK, "Paris", info)
    assert (result["asked_mode"], result["item"]) == (asked, item)
    assert type(result["item"]) is int


@pytest.mark.parametrize(
    ("value", "found"),
    [(float("inf"), "inf"), (float("nan"), "nan"), (7.5, "7.5"), ([7], r"\[7\]"), ({}, "{}"), ("seven", "'seven'")],
)
def test_an_item_that_is_no_whole_number_is_an_error_that_names_the_row(value, found):
    with pytest.raises(ValueError, match=rf"'flan', row 12: extra_info\.item .*whole number, found {found}\. Number"):
        score(BLOCK, item=value, index=12)


@pytest.mark.parametrize("info", [[], "item", 0, ["item"], np.array([1, 2])])
def test_an_extra_info_that_is_no_mapping_is_an_error(info):
    with pytest.raises(ValueError, match=r"'flan', .*extra_info must map names to values, found .* Write"):
        compute_score("flan", BLOCK, "Paris", info)


def test_unknown_asked_mode_is_named():
    with pytest.raises(ValueError, match="'persnalized'"):
        score(BLOCK, asked_mode="persnalized")


# --- data sources


@pytest.mark.parametrize("profile", ["strict", "authors"])
def test_unknown_data_source_is_an_error(profile):
    with pytest.raises(ValueError, match="'mystery'"):
        compute_score("mystery", BLOCK, "Paris", profile=profile)


def test_check_data_sources_names_all_unknown_ones_and_the_remedy():
    check_data_sources(["UltraMedical", "flan", "AlignX", "quickstart_none", "quickstart_anything"])
    check_data_sources(np.array(["flan", "mine"], dtype=object), {"mine": "personalized"})
    with pytest.raises(ValueError) as error:
        check_data_sources(["mine", "flan", "a/b-c.d"], {"other": "objective"})
    message = str(error.value)
    for part in ("'mine'", "'a/b-c.d'", "UltraMedical", "quickstart_*", "other"):
        assert part in message
    assert "+reward.custom_reward_function.reward_kwargs.graders.mine=objective" in message
    assert "'flan'" not in message
    with pytest.raises(ValueError, match="None"):
        check_data_sources([None])


def test_the_remedy_is_one_that_hydra_reads():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with pytest.raises(ValueError) as error:
        check_data_sources(["a/b-c.d"])
    override = OverridesParser.create().parse_override(str(error.value).split(": ")[-1].strip("'"))
    assert override.value() == {"a/b-c.d": "objective"}


@pytest.mark.parametrize(
    ("source", "grader"),
    [
        ("UltraMedical", "objective"),
        ("flan", "objective"),
        ("AlignX", "personalized"),
        ("quickstart_personal", "personalized"),
        ("quickstart_conflicting", "objective"),
        ("mine", "personalized"),
    ],
)
def test_grader_of(source, grader):
    assert grader_of(source, {"mine": "personalized"}) == grader


def test_the_callers_graders_come_first_and_must_exist():
    assert grader_of("flan", {"flan": "personalized"}) == "personalized"
    assert compute_score("mine", BLOCK, "Paris", graders={"mine": "objective"})["acc"] == 1
    with pytest.raises(ValueError, match=r"graders\.mine.*'llm'"):
        compute_score("mine", BLOCK, "Paris", graders={"mine": "llm"})


# --- ground truth


@pytest.mark.parametrize("truth", [None, "", "  ", "\u200b\u00ad", float("nan"), True, ["Paris"], {}])
@pytest.mark.parametrize("profile", ["strict", "authors"])
def test_a_missing_ground_truth_is_an_error_that_names_the_row(truth, profile):
    for text in (BLOCK, "no answer"):
        with pytest.raises(ValueError, match=r"'flan', row 12: .*ground_truth"):
            compute_score("flan", text, truth, {schema.INDEX: 12}, profile=profile)


def test_a_ground_truth_that_is_no_option_is_an_error_whatever_the_response():
    for text in (BLOCK, "no answer"):
        with pytest.raises(ValueError, match=r"'flan', row 3: .*'Paris' is none of the 2 options"):
            score(text, options=["Rome", "Oslo"], index=3)


@pytest.mark.parametrize("value", ["Lutetia", b"Lutetia", {"Lutetia": 1}, 5, float("nan")])
@pytest.mark.parametrize("column", ["accept", "options"])
def test_a_list_column_that_is_no_list_is_an_error(column, value):
    with pytest.raises(ValueError, match=rf"'flan', .*extra_info\.{column} must be a list of texts, found .* Write"):
        score(BLOCK, **{column: value})


@pytest.mark.parametrize("solution", [None, b"x", 1, ["x"]])
def test_a_solution_that_is_no_text_is_an_error(solution):
    with pytest.raises(TypeError, match="solution_str"):
        compute_score("flan", solution, "Paris")


# --- keywords


def test_weights():
    assert score(response())["score"] == pytest.approx(1.0)
    weighted = compute_score("flan", response("Rome"), "Paris", accuracy_weight=1, format_weight=0.5)
    assert weighted["score"] == 0.5
    assert type(weighted["score"]) is float
    assert compute_score("flan", BLOCK, "Paris", accuracy_weight=2, format_weight=0)["score"] == 2


@pytest.mark.parametrize(
    ("kwargs", "error", "named"),
    [
        ({"acuracy_weight": 1}, TypeError, "acuracy_weight"),
        ({"grader": {}}, TypeError, "grader;"),
        ({"accuracy_weight": -0.1}, ValueError, "accuracy_weight"),
        ({"format_weight": float("nan")}, ValueError, "format_weight"),
        ({"format_weight": float("inf")}, ValueError, "format_weight"),
        ({"format_weight": "0.1"}, ValueError, "format_weight"),
        ({"accuracy_weight": True}, ValueError, "accuracy_weight"),
        ({"accuracy_weight": 0, "format_weight": 0}, ValueError, "both 0"),
        ({"profile": "lenient"}, ValueError, "lenient"),
        ({"graders": ["flan"]}, ValueError, "graders"),
        ({"modes": [{"name": "a", "tag": "[a]"}]}, ValueError, "at least 2"),
        ({"modes": object()}, TypeError, "no value of a config"),
    ],
)
def test_keywords_are_refused_by_name(kwargs, error, named):
    for _ in range(2):  # an error must not be kept as if it were settings
        with pytest.raises(error, match=named):
            compute_score("flan", BLOCK, "Paris", **kwargs)
    with pytest.raises(error, match=named):
        read_settings(**kwargs)


def test_settings_of_equal_values_are_not_confused():
    assert read_settings(accuracy_weight=1).accuracy_weight == 1
    with pytest.raises(ValueError, match="accuracy_weight"):
        read_settings(accuracy_weight=True)


def test_keywords_may_be_omegaconf_containers_none_or_verls_own():
    config = OmegaConf.create(
        {
            "tag": "[x]",
            "kwargs": {
                "modes": [{"name": "x", "tag": "${tag}"}, {"name": "y", "tag": "[y]"}],
                "graders": {"mine": "objective"},
                "profile": None,
            },
        }
    )
    result = compute_score(
        "mine",
        "[x]\n" + BLOCK,
        "Paris",
        None,
        reward_router_address="host:1",
        reward_model_tokenizer=object(),
        **config.kwargs,
    )
    assert (result["mode_x"], result["score"]) == (1, 1)
