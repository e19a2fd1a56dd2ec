"""``data validate``: nothing in clean files, several files together, lengths, templates, and how it is told."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest
from build_inputs import config
from hypothesis import given
from hypothesis import strategies as st
from published_rows import write_lines
from tiny_model import build_tiny_tokenizer
from validate_rows import ROWS, findings, good_rl, good_sft, item, named, put, run, write

from personadual import schema
from personadual.data_prep import option_answers
from personadual.data_prep.build import build
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA, to_table, write_parquet
from personadual.data_prep.hygiene import Hygiene
from personadual.data_prep.items import rl_rows
from personadual.data_prep.record import Rejected
from personadual.data_prep.validation.markers import Markers
from personadual.data_prep.validation.rl import RLRows
from personadual.modes import DEFAULT_MODES
from personadual.reward_fns.settings import Settings


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


def test_leaks_between_files_are_found(tmp_path):
    train = write(tmp_path / "train.parquet", good_rl(), RL_SCHEMA)
    rows = good_rl("val")
    rows[3][schema.EXTRA_INFO][schema.QUESTION_ID] = "train-3"
    rows[5][schema.EXTRA_INFO][schema.PERSONA] = rows[5][schema.PROMPT][0]["content"] = "I am person 1 of train."
    val = write(tmp_path / "val.parquet", rows, RL_SCHEMA)
    found = {finding.check: finding for finding in findings(train, val)}
    assert set(found) == {"question-leak", "persona-leak"}
    assert found["question-leak"].rows == [4] and found["question-leak"].file == str(val)
    assert found["question-leak"].found == f"split 'val' here, 'train' in {train}, row 4"
    assert found["persona-leak"].rows == [6]
    assert run(train, val) == 1
    # SFT rows leak into it as well.
    sft = write(tmp_path / "sft.parquet", good_sft("val"), SFT_SCHEMA)
    assert "question-leak" not in named(findings(sft, val))
    assert "question-leak" in named(findings(write(sft, good_sft("train"), SFT_SCHEMA), val))


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
    rows = good_rl("val")
    for row in rows:
        row["more"] = 1
    two = write(tmp_path / "two.parquet", rows, RL_SCHEMA.append(pa.field("more", pa.int64())))
    (found,) = findings(one, two)
    assert found.check == "schemas-differ" and found.field == "more" and str(one) in found.found


def test_a_test_split_without_questions_asked_both_ways_is_found(tmp_path):
    # Its questions have a persona or none, never both.
    rows = good_rl("test")
    (found,) = findings(write(tmp_path / "test.parquet", rows, RL_SCHEMA))
    assert found.check == "no-baseline" and "every_condition_in" in found.mend
    assert found.found == "no such question; rows: none 4, unaligned 4"
    assert run(tmp_path / "test.parquet") == 0
    # The other half may stand in another file.
    (plain,) = rl_rows([item(1, "test", condition=schema.NONE, persona="")], DEFAULT_MODES, "quickstart_")
    more = write(tmp_path / "more.parquet", [plain], RL_SCHEMA)
    assert findings(tmp_path / "test.parquet", more) == []
    # A benchmark without personas lacks nothing.
    assert findings(write(tmp_path / "plain.parquet", rows[::2], RL_SCHEMA)) == []


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


def test_options_that_differ_in_case_alone_are_built_and_taken(tmp_path):
    lines = [
        {"question": f"Which genotype has number {n}?", "options": ["AA", "Aa", "aa"], "answer": "ABC"[n % 3], "id": n}
        for n in range(6)
    ]
    mapping = {name: name for name in ("question", "options", "answer")} | {"question_id": "id", "data_source": "flan"}
    source = {"name": "generic", "input": str(write_lines(tmp_path / "in.jsonl", lines)), "mapping": mapping}
    content = {"sources": [source], "splits": {"train": 1, "val": 0, "test": 0}, "rl": {}}
    build(config(**content), tmp_path / "out")
    found = {finding.check: finding for finding in findings(tmp_path / "out" / "rl_train.parquet")}
    assert found["options-alike"].count == 6
    assert run(tmp_path / "out" / "rl_train.parquet") == 0


@given(st.lists(st.text("aAbBc .", min_size=1, max_size=4), min_size=2, max_size=5), st.data())
def test_what_a_build_takes_for_options_is_no_error_here(options, data):
    answer = data.draw(st.sampled_from([*options, *"ABCDE"]))
    try:
        truth = option_answers.letter_of(answer, options)
    except Rejected:
        return
    rows = rl_rows([item(0, options=tuple(options), truth=truth)], DEFAULT_MODES, "quickstart_")
    checked = RLRows(Settings(), Markers(DEFAULT_MODES))
    assert {problem.check for problem in checked.problems(rows[0])} <= {"options-alike"}


MARKED = st.lists(
    st.sampled_from(
        ["[General_mode]", "[personalized_mode]", "<answer>", "</answer>", "<|im_end|>", "<think>", "[INST]", "＜s＞"]
    )
    | st.text(max_size=5),
    max_size=8,
).map("".join)


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
