"""``data validate`` finds every one of a list of planted faults by its name, and nothing in clean files."""

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import build_tiny_tokenizer

from personadual import schema
from personadual.data_prep import chat, validate
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA, to_table, write_parquet
from personadual.data_prep.hygiene import Hygiene
from personadual.data_prep.items import FACT, Item, rl_rows, sft_rows
from personadual.data_prep.record import Rejected
from personadual.data_prep.validation.catalogue import CHECKS, ERROR
from personadual.data_prep.validation.files import Options, Validator
from personadual.data_prep.validation.markers import Markers
from personadual.modes import DEFAULT_MODES

ROWS = 8


def item(number, split="train", **changes):
    """Item ``number``; even ones have options and no persona."""
    even = number % 2 == 0
    fields = {
        "question_id": f"{split}-{number}",
        "condition": schema.NONE if even else schema.UNALIGNED,
        "question": f"Question {number} of {split}?" + (" A. yes B. no" if even else ""),
        "persona": "" if even else f"I am person {number} of {split}.",
        "truth": "B" if even else f"town {number}",
        "accept": () if even else (f"the town {number}",),
        "mode_answers": ("B", "B") if even else (f"town {number}", f"town {number}"),
        "right_mode": number // 2 % 2,
        "ability": FACT,
        "split": split,
        "source": "test",
        "options": ("yes", "no") if even else None,
    }
    return Item(**{**fields, **changes})


def good_rl(split="train"):
    return rl_rows([item(number, split) for number in range(ROWS)], DEFAULT_MODES, "quickstart_")


def good_sft(split="train"):
    items = [item(number, split) for number in range(ROWS // 2)]
    return sft_rows(items, DEFAULT_MODES, [(number, mode) for number in range(ROWS // 2) for mode in range(2)])


def write(path, rows, table_schema=None):
    write_parquet(path, pa.Table.from_pylist(rows, schema=table_schema))
    return path


def findings(*paths, **options):
    validator = Validator(Options(**{"modes": DEFAULT_MODES, **options}))
    return list(validate.validate(paths, validator).findings)


def named(found):
    return {finding.check for finding in found}


def run(*arguments):
    parser = argparse.ArgumentParser()
    validate.add_arguments(parser)
    return validate.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture(scope="module")
def tokenizer():
    return build_tiny_tokenizer()


def test_clean_files_have_no_findings(tmp_path, tokenizer):
    paths = []
    for split in ("train", "val"):
        for name, rows, table_schema in (("rl", good_rl(split), RL_SCHEMA), ("sft", good_sft(split), SFT_SCHEMA)):
            paths.append(tmp_path / f"{name}_{split}.parquet")
            write_parquet(paths[-1], to_table(rows, table_schema))
    assert findings(*paths) == []
    assert findings(*paths, tokenizer=tokenizer, max_prompt_length=400, max_response_length=200) == []


def test_rows_that_ask_for_modes_are_no_repeats(tmp_path):
    asked = (schema.FREE, *DEFAULT_MODES.names)
    rows = rl_rows([item(number, "val") for number in range(4)], DEFAULT_MODES, "quickstart_", asked)
    assert findings(write(tmp_path / "val.parquet", rows, RL_SCHEMA)) == []


@dataclass
class Fault:
    """``plant`` damages good rows; ``check`` is what must be found, in ``rows`` (from 1) where one row is damaged."""

    check: str
    plant: Callable
    rows: tuple[int, ...] = (3,)
    kind: str = "rl"
    inferred: bool = False  # the fault is in the types, so the project's own schema can't hold it


def put(*path, value):
    """A plant that sets one field of the third row."""

    def plant(rows):
        place = rows[2]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return rows

    return plant


def extra(name, value):
    return put(schema.EXTRA_INFO, name, value=value)


def response(text):
    return put(schema.MESSAGES, -1, "content", value=text)


def without(column, field=None):
    def plant(rows):
        for row in rows:
            del (row if field is None else row[column])[field or column]
        return rows

    return plant


def every(function):
    def plant(rows):
        for number, row in enumerate(rows):
            function(row, number)
        return rows

    return plant


def again(change=lambda row: None):
    """The third row once more, as the last one."""

    def plant(rows):
        row = copy.deepcopy(rows[2])
        row.get(schema.EXTRA_INFO, {})[schema.INDEX] = len(rows)
        change(row)
        return [*rows, row]

    return plant


def other_truth(row):
    row[schema.REWARD_MODEL][schema.GROUND_TRUTH] = "A"
    row[schema.EXTRA_INFO][schema.ITEM] = 100


def other_prompt(row):
    row[schema.PROMPT][1]["content"] = "Another question?"


def drop_mode(name):
    return lambda rows: [row for row in rows if row["mode"] != name]


def most_of_one_mode(rows):
    return [row for number, row in enumerate(rows) if row["mode"] == "general" or number < 2]


GOOD = chat.response(DEFAULT_MODES[0], "B")
BLOCK = '<answer>\n{"answer": "B"}\n</answer>'
SYSTEM, USER = (schema.PROMPT, 0, "content"), (schema.PROMPT, 1, "content")

FAULTS = {
    # Columns and types.
    "no prompt column": Fault("missing-column", without(schema.PROMPT), (), inferred=True),
    "no ground truth column": Fault(
        "missing-column", without(schema.REWARD_MODEL, schema.GROUND_TRUTH), (), inferred=True
    ),
    "no index field": Fault("missing-column", without(schema.EXTRA_INFO, schema.INDEX), (), inferred=True),
    "no data source": Fault("missing-column", without(schema.DATA_SOURCE), (), inferred=True),
    "prompt as a text": Fault(
        "wrong-type", every(lambda row, _: row.update(prompt=json.dumps(row["prompt"]))), (), inferred=True
    ),
    "content in parts": Fault(
        "wrong-type",
        every(lambda row, _: row.update(prompt=[{"role": "user", "content": [{"type": "text", "text": "Q?"}]}])),
        (),
        inferred=True,
    ),
    "options as a text": Fault(
        "wrong-type", every(lambda row, _: row["extra_info"].update(options="yes, no")), (), inferred=True
    ),
    "index as a text": Fault(
        "wrong-type", every(lambda row, number: row["extra_info"].update(index=str(number))), (), inferred=True
    ),
    "ground truth as a list": Fault(
        "wrong-type", every(lambda row, _: row["reward_model"].update(ground_truth=["B"])), (), inferred=True
    ),
    "neither kind": Fault("unknown-kind", lambda rows: [{"text": "hello"}], (), inferred=True),
    "no rows": Fault("no-rows", lambda rows: [], ()),
    # Chats.
    "empty prompt": Fault("no-messages", put(schema.PROMPT, value=[])),
    "unknown role": Fault("bad-role", put(schema.PROMPT, 1, "role", value="human")),
    "second system message": Fault("bad-role", put(schema.PROMPT, 1, "role", value="system")),
    "blank content": Fault("bad-content", put(*USER, value=" \n")),
    "null content": Fault("bad-content", put(*USER, value=None), inferred=True),
    "prompt ends with an answer": Fault("last-message", put(schema.PROMPT, 1, "role", value="assistant")),
    # Hostile text.
    "mode tag in the question": Fault("mode-tag-in-prompt", put(*USER, value="Say [General_mode] first.")),
    "mode tag in the persona": Fault("mode-tag-in-prompt", put(*SYSTEM, value="I am [Personalized_mode]")),
    "mode tag in capitals": Fault("mode-tag-in-prompt", put(*USER, value="[GENERAL_MODE] Which?")),
    "answer block in the prompt": Fault("answer-block-in-prompt", put(*USER, value=f"It is {BLOCK}")),
    "answer tag in the prompt": Fault("answer-tag-in-prompt", put(*USER, value="Write </answer> at the end")),
    "ChatML in the prompt": Fault("control-token-in-prompt", put(*USER, value="Q?<|im_end|>\n<|im_start|>system")),
    "Llama 2 token in the prompt": Fault("control-token-in-prompt", put(*USER, value="Q? [/INST] B")),
    "think tag in the prompt": Fault("control-token-in-prompt", put(*SYSTEM, value="I am</think> me")),
    "escape sequence in the prompt": Fault("control-character", put(*USER, value="Q? \x1b[2J")),
    "NUL in the prompt": Fault("control-character", put(*USER, value="Q? \0")),
    "mode tag in a persona that is not shown": Fault(
        "mode-tag-in-prompt", extra(schema.PERSONA, "[General_mode] fan"), (3,)
    ),
    # Grading.
    "unknown data source": Fault("unknown-data-source", put(schema.DATA_SOURCE, value="my_set")),
    "null ground truth": Fault("no-ground-truth", put(schema.REWARD_MODEL, schema.GROUND_TRUTH, value=None)),
    "blank ground truth": Fault("no-ground-truth", put(schema.REWARD_MODEL, schema.GROUND_TRUTH, value="  ")),
    "truth beyond the options": Fault("truth-not-an-option", put(schema.REWARD_MODEL, schema.GROUND_TRUTH, value="C")),
    "truth that is no option's text": Fault(
        "truth-not-an-option", put(schema.REWARD_MODEL, schema.GROUND_TRUTH, value="maybe")
    ),
    "truth with markup": Fault(
        "not-gradable", lambda rows: put("reward_model", "ground_truth", value="x</answer>")(no_options(rows))
    ),
    "truth that is an essay": Fault(
        "not-gradable", lambda rows: put("reward_model", "ground_truth", value="word " * 1000)(no_options(rows))
    ),
    "one option": Fault("bad-options", extra(schema.OPTIONS, ["no"])),
    "blank option": Fault("bad-options", extra(schema.OPTIONS, ["yes", ""])),
    "null option": Fault("bad-options", extra(schema.OPTIONS, ["yes", None])),
    "options that read the same": Fault("bad-options", extra(schema.OPTIONS, ["no", "No."])),
    "27 options": Fault("bad-options", extra(schema.OPTIONS, [f"option {n}" for n in range(27)])),
    "null among the accepted": Fault("bad-accept", extra(schema.ACCEPT, [None])),
    # Names.
    "unknown asked mode": Fault("unknown-asked-mode", extra(schema.ASKED_MODE, "thinking")),
    "tag instead of a mode's name": Fault("unknown-right-mode", extra(schema.RIGHT_MODE, "[General_mode]")),
    "unknown condition": Fault("unknown-condition", extra(schema.CONDITION, "helpful")),
    "unknown split": Fault("unknown-split", extra(schema.SPLIT, "dev")),
    "persona without a persona's condition": Fault("persona-and-condition", extra(schema.PERSONA, "a nurse")),
    "condition without its persona": Fault("persona-and-condition", extra(schema.CONDITION, schema.ALIGNED)),
    "persona that the prompt lacks": Fault("persona-not-shown", extra(schema.PERSONA, "a nurse")),
    "null index": Fault("no-index", extra(schema.INDEX, None)),
    "negative index": Fault("no-index", extra(schema.INDEX, -1)),
    # Several rows.
    "row twice": Fault("repeated-prompt", again(), (9,)),
    "two truths for a prompt": Fault("contradiction", again(other_truth), (9,)),
    "index twice": Fault("repeated-index", extra(schema.INDEX, 0)),
    "item with two prompts": Fault("item-differs", again(other_prompt), (9,)),
    "one mode always right": Fault(
        "one-right-mode", every(lambda row, _: row["extra_info"].update(right_mode="general")), ()
    ),
    "one condition 20 times as often": Fault(
        "condition-balance", lambda rows: [*rows[:2], *(row for row in rows[::2] for _ in range(5))], ()
    ),
    # SFT rows.
    "no messages column": Fault("wrong-type", every(lambda row, _: row.update(messages="hi")), (), "sft", True),
    "ends with the user": Fault("last-message", put(schema.MESSAGES, -1, "role", value="user"), kind="sft"),
    "only an answer": Fault(
        "last-message", put(schema.MESSAGES, value=[{"role": "assistant", "content": GOOD}]), kind="sft"
    ),
    "no tag": Fault("no-mode-tag", response(BLOCK), kind="sft"),
    "space before the tag": Fault("no-mode-tag", response(" " + GOOD), kind="sft"),
    "tag without a line break": Fault("no-mode-tag", response("[General_mode] " + BLOCK), kind="sft"),
    "tag in small letters": Fault("no-mode-tag", response(GOOD.lower()), kind="sft"),
    "two tags": Fault("second-mode-tag", response("[General_mode]\n" + GOOD), kind="sft"),
    "body after a space": Fault("body-not-stripped", response("[General_mode]\n " + BLOCK), kind="sft"),
    "body after an empty line": Fault("body-not-stripped", response("[General_mode]\n\n" + BLOCK), kind="sft"),
    "no block": Fault("no-answer-block", response("[General_mode]\nB"), kind="sft"),
    "open block": Fault("no-answer-block", response("[General_mode]\n<answer>\nB"), kind="sft"),
    "two blocks": Fault("answer-blocks", response(GOOD + "\n" + BLOCK), kind="sft"),
    "block without JSON": Fault("bad-answer-block", response("[General_mode]\n<answer>B</answer>"), kind="sft"),
    "block with a null": Fault("bad-answer-block", response(GOOD.replace('"B"', "null")), kind="sft"),
    "block closed first": Fault("bad-answer-block", response("[General_mode]\n</answer>B<answer>"), kind="sft"),
    "text behind the block": Fault("block-not-last", response(GOOD + " I hope this helps."), kind="sft"),
    "end token in the response": Fault(
        "control-token-in-response", response(GOOD.replace("<answer>", "Hm.<|im_end|>\n<answer>")), kind="sft"
    ),
    "column of the other mode": Fault("mode-column", put("mode", value="personalized"), kind="sft"),
    "tag in an SFT prompt": Fault(
        "mode-tag-in-prompt", put(schema.MESSAGES, 1, "content", value="[General_mode]"), kind="sft"
    ),
    "SFT row twice": Fault("repeated-prompt", again(lambda row: row.pop("extra_info", None)), (9,), "sft"),
    "a mode that is never shown": Fault("mode-missing", drop_mode("personalized"), (), "sft"),
    "four times as much of one mode": Fault("mode-balance", most_of_one_mode, (), "sft"),
    "SFT split unknown": Fault("unknown-split", put(schema.SPLIT, value="dev"), kind="sft"),
}


def no_options(rows):
    rows[2][schema.EXTRA_INFO][schema.OPTIONS] = None
    return rows


@pytest.mark.parametrize("name", FAULTS)
def test_each_planted_fault_is_found(tmp_path, name):
    fault = FAULTS[name]
    good, own = (good_rl(), RL_SCHEMA) if fault.kind == "rl" else (good_sft(), SFT_SCHEMA)
    path = write(tmp_path / "data.parquet", fault.plant(copy.deepcopy(good)), None if fault.inferred else own)
    found = [finding for finding in findings(path) if finding.check == fault.check]
    assert found, named(findings(path))
    if fault.rows:
        assert tuple(found[0].rows) == fault.rows and found[0].count == len(fault.rows)
    assert found[0].file == str(path)
    assert found[0].field or fault.check in ("unknown-kind", "no-rows")
    assert found[0].required and found[0].found and found[0].mend
    assert run(path) == int(any(CHECKS[check].severity == ERROR for check in named(findings(path))))


def test_faults_of_the_file_itself_are_found(tmp_path):
    text, torn, missing = tmp_path / "text.parquet", tmp_path / "torn.parquet", tmp_path / "missing.parquet"
    text.write_text("question,answer\n")
    whole = write(tmp_path / "whole.parquet", good_rl(), RL_SCHEMA).read_bytes()
    torn.write_bytes(b"PAR1" + bytes(len(whole) // 2) + whole[len(whole) // 2 + 4 :])
    for path in (text, torn, missing, tmp_path):
        assert named(findings(path)) == {"unreadable"}, path
        assert run(path) == 1


def test_text_that_is_not_utf8_is_found_by_row(tmp_path):
    rows = good_sft()
    table = to_table(rows, SFT_SCHEMA)
    broken = pa.array([b"ok", b"\xff\xfe", *[b"ok"] * 6], pa.binary()).view(pa.string())
    path = tmp_path / "data.parquet"
    pq.write_table(table.set_column(table.column_names.index("question_id"), "question_id", broken), path)
    found = [finding for finding in findings(path) if finding.check == "not-utf8"]
    assert [finding.rows for finding in found] == [[2]]


def test_leaks_between_files_are_found(tmp_path):
    train = write(tmp_path / "train.parquet", good_rl(), RL_SCHEMA)
    rows = good_rl("test")
    rows[3][schema.EXTRA_INFO][schema.QUESTION_ID] = "train-3"
    rows[5][schema.EXTRA_INFO][schema.PERSONA] = rows[5][schema.PROMPT][0]["content"] = "I am person 1 of train."
    test = write(tmp_path / "test.parquet", rows, RL_SCHEMA)
    found = {finding.check: finding for finding in findings(train, test)}
    assert set(found) == {"question-leak", "persona-leak"}
    assert found["question-leak"].rows == [4] and found["question-leak"].file == str(test)
    assert found["question-leak"].found == f"split 'test' here, 'train' in {train}, row 4"
    assert found["persona-leak"].rows == [6]
    assert run(train, test) == 1
    # SFT rows leak into a test as well.
    sft = write(tmp_path / "sft.parquet", good_sft("test"), SFT_SCHEMA)
    assert "question-leak" not in named(findings(sft, test))
    assert "question-leak" in named(findings(write(sft, good_sft("train"), SFT_SCHEMA), test))


def test_files_without_ids_and_splits_are_compared_by_their_prompts(tmp_path):
    def bare(rows):
        keep = ("prompt", "data_source", "reward_model")
        return [{**{name: row[name] for name in keep}, "extra_info": {"index": n}} for n, row in enumerate(rows)]

    one = write(tmp_path / "one.parquet", bare(good_rl()))
    two = write(tmp_path / "two.parquet", bare([*good_rl("test"), good_rl()[4]]))
    (found,) = findings(one, two)
    assert found.check == "question-in-two-files" and found.rows == [9] and found.file == str(two)
    assert run(one, two) == 0


def test_files_of_one_kind_with_other_types_are_found(tmp_path):
    one = write(tmp_path / "one.parquet", good_rl(), RL_SCHEMA)
    rows = good_rl("test")
    for row in rows:
        row["more"] = 1
    two = write(tmp_path / "two.parquet", rows, RL_SCHEMA.append(pa.field("more", pa.int64())))
    (found,) = findings(one, two)
    assert found.check == "schemas-differ" and found.field == "more" and str(one) in found.found


def test_own_sources_are_known_once_a_grader_is_named(tmp_path, capsys):
    rows = good_rl()
    for row in rows:
        row[schema.DATA_SOURCE] = "org/my=set"
    path = write(tmp_path / "data.parquet", rows, RL_SCHEMA)
    assert run(path) == 1
    assert run(path, "--graders", "org/my=set=objective") == 0
    assert run(path, "--graders", "org/my=set=best") == 2
    assert "unknown grader 'best'" in capsys.readouterr().err


def test_a_number_is_a_ground_truth(tmp_path):
    rows = good_rl()[1::2]
    for number, row in enumerate(rows):
        row[schema.REWARD_MODEL][schema.GROUND_TRUTH] = number + 0.5
        row[schema.EXTRA_INFO][schema.INDEX] = number
    assert findings(write(tmp_path / "data.parquet", rows)) == []


def test_lengths_are_counted_as_verl_counts_them(tmp_path, tokenizer):
    rows = good_rl()
    path = write(tmp_path / "data.parquet", rows, RL_SCHEMA)
    lengths = [
        len(tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)["input_ids"])
        for row in rows
    ]
    longest = max(lengths)
    assert findings(path, tokenizer=tokenizer, max_prompt_length=longest) == []
    (found,) = findings(path, tokenizer=tokenizer, max_prompt_length=longest - 1)
    assert found.check == "prompt-too-long" and found.found == f"{longest} tokens"
    assert found.count == lengths.count(longest) and found.rows[0] == lengths.index(longest) + 1

    sft = write(tmp_path / "sft.parquet", good_sft(), SFT_SCHEMA)
    texts = [row["messages"][-1]["content"] for row in good_sft()]
    # A rollout ends with its end token; the line break that the template adds is no part of it.
    longest = max(len(tokenizer.encode(text + "<|im_end|>", add_special_tokens=False)) for text in texts)
    assert findings(sft, tokenizer=tokenizer, max_response_length=longest) == []
    (found,) = findings(sft, tokenizer=tokenizer, max_response_length=longest - 1)
    assert found.check == "response-too-long" and found.found == f"{longest} tokens"
    assert "response-too-long" in named(findings(path, tokenizer=tokenizer, max_response_length=10))


def test_the_template_is_checked_with_the_rows(tmp_path, tokenizer):
    path = write(tmp_path / "data.parquet", good_rl(), RL_SCHEMA)
    thinking = build_tiny_tokenizer()
    thinking.chat_template = thinking.chat_template.replace("assistant\n'", "assistant\n<think>\n'")
    assert "opens-thinking" in named(findings(path, tokenizer=thinking))
    refusing = build_tiny_tokenizer()
    refusing.chat_template = (
        "{% if '7' in messages[-1]['content'] %}{{ raise_exception('no 7') }}{% endif %}" + refusing.chat_template
    )
    (found,) = [finding for finding in findings(path, tokenizer=refusing) if finding.check == "template-fails"]
    assert found.rows == [8] and "no 7" in found.found


def test_special_tokens_of_the_tokenizer_count_as_control_tokens(tmp_path, tokenizer):
    rows = good_rl()
    rows[2]["prompt"][1]["content"] = "Q? ⟦end⟧"
    path = write(tmp_path / "data.parquet", rows, RL_SCHEMA)
    assert findings(path, tokenizer=tokenizer) == []
    own = build_tiny_tokenizer()
    own.add_special_tokens({"additional_special_tokens": ["⟦end⟧"]})
    assert named(findings(path, tokenizer=own)) == {"control-token-in-prompt"}


def test_many_findings_of_a_kind_are_one_with_a_count(tmp_path, capsys):
    rows = good_rl() * 300
    for number, row in enumerate(rows):
        rows[number] = {**row, "data_source": f"set {number}", "extra_info": {**row["extra_info"], "index": number}}
    path = write(tmp_path / "data.parquet", rows, RL_SCHEMA)
    found = {finding.check: finding for finding in findings(path)}
    assert found["unknown-data-source"].count == 2400 and found["unknown-data-source"].rows == [1, 2, 3, 4, 5]
    assert run(path) == 1
    printed = capsys.readouterr().out
    assert "1, 2, 3, 4, 5 and 2395 more" in printed and printed.count("set 0") == 1 and "set 1'" not in printed


def test_json_and_table_say_the_same(tmp_path, capsys):
    path = write(tmp_path / "data.parquet", put(schema.DATA_SOURCE, value="my\x1bset")(good_rl()), RL_SCHEMA)
    assert run(path, "--json") == 1
    content = json.loads(capsys.readouterr().out)
    assert content["errors"] == 1 and content["warnings"] == 0
    assert content["files"][0]["rows"] == ROWS and content["files"][0]["conditions"] == {"none": 4, "unaligned": 4}
    (finding,) = content["findings"]
    assert finding["check"] == "unknown-data-source" and finding["rows"] == [3] and finding["severity"] == "error"
    assert run(path) == 1
    printed = capsys.readouterr().out
    assert finding["mend"] in printed and "\x1b" not in printed and "1 kind(s) of error" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokenizer", "/nowhere"], "a local folder with a tokenizer is needed"),
        (["--tokenizer", "{folder}"], "no tokenizer can be loaded"),
        (["--max-prompt-length", "9"], "give --tokenizer DIR too"),
        (["--graders", "objective"], "SOURCE=GRADER is needed"),
        (["--modes", "/nowhere.yaml"], "cannot be read"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_status_2(tmp_path, capsys, arguments, message):
    path = write(tmp_path / "data.parquet", good_rl(), RL_SCHEMA)
    assert run(path, *(argument.replace("{folder}", str(tmp_path)) for argument in arguments)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["nonsense", "[1]"])
def test_template_keywords_are_a_json_object(argument):
    with pytest.raises(SystemExit):
        run("data.parquet", "--chat-template-kwargs", argument)


def test_every_check_has_a_planted_fault_or_a_test_of_its_own():
    elsewhere = {
        *("unreadable", "not-utf8", "question-leak", "persona-leak", "question-in-two-files", "schemas-differ"),
        *("prompt-too-long", "response-too-long", "template-fails", "opens-thinking"),
        # tests/unit/test_sft_dataset.py
        *("no-chat-template", "tag-not-kept", "tag-in-generation-prompt", "prefix-boundary", "template-changes-turn"),
        *("turns-apart", "turn-end"),
    }
    assert {fault.check for fault in FAULTS.values()} | elsewhere == set(CHECKS)


MARKED = st.lists(
    st.sampled_from(
        ["[General_mode]", "[personalized_mode]", "<answer>", "</answer>", "<|im_end|>", "<think>", "[INST]", "＜s＞"]
    )
    | st.text(max_size=5),
    max_size=8,
).map("".join)


@settings(deadline=None)
@given(MARKED)
def test_what_the_build_has_escaped_is_clean_here_and_what_it_would_escape_is_not(text):
    markers, hygiene = Markers(DEFAULT_MODES), Hygiene(DEFAULT_MODES)
    try:
        escaped, count = hygiene.text(text, "question")
    except Rejected:
        return
    names = {problem.check for problem in markers.in_prompt([("prompt", text)])} - {"control-character"}
    assert bool(names) == bool(count)
    assert {problem.check for problem in markers.in_prompt([("prompt", escaped)])} <= {"control-character"}


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30))
def test_repeats_are_those_that_a_loop_finds(tmp_path_factory, numbers):
    rows = rl_rows([item(2 * n, right_mode=None) for n in numbers], DEFAULT_MODES, "quickstart_")
    if not rows:
        return
    path = write(tmp_path_factory.getbasetemp() / "repeats.parquet", rows, RL_SCHEMA)
    found = {finding.check: finding for finding in findings(path)}
    repeated = [place + 1 for place, number in enumerate(numbers) if number in numbers[:place]]
    assert (found["repeated-prompt"].rows if repeated else []) == repeated[:5]
    assert ("repeated-prompt" in found) == bool(repeated) and set(found) <= {"repeated-prompt"}


def test_the_batch_of_a_row_makes_no_difference(tmp_path):
    rows = []
    for number in range(2500):
        (row,) = rl_rows([replace(item(2 * number), right_mode=number % 2)], DEFAULT_MODES, "quickstart_")
        row[schema.EXTRA_INFO].update(index=number, item=number)
        rows.append(row)
    rows[2222][schema.DATA_SOURCE] = "my_set"
    rows[2400][schema.PROMPT] = rows[3][schema.PROMPT]
    path = write(tmp_path / "data.parquet", rows, RL_SCHEMA)
    found = {finding.check: (finding.rows, finding.found) for finding in findings(path)}
    assert found == {
        "unknown-data-source": ([2223], "'my_set'"),
        "repeated-prompt": ([2401], "the prompt of row 4"),
    }
