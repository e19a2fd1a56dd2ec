"""``data inspect``: counts, histograms, and rows as the model will see them."""

import argparse
import copy

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_model import build_tiny_tokenizer

from personadual import schema
from personadual.data_prep import inspect_file
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA
from personadual.data_prep.inspection.counts import histogram
from personadual.data_prep.items import FACT, Item, rl_rows, sft_rows
from personadual.modes import DEFAULT_MODES

HOSTILE = "Which \x1b[31mcity\x1b[0m\u202e?"


def items(number, split="train"):
    return [
        Item(
            question_id=f"{split}-{place}",
            condition=schema.ALIGNED if place % 3 else schema.NONE,
            question=HOSTILE if place == 0 else f"Question {place}?",
            persona="I am a nurse." if place % 3 else "",
            truth="Paris",
            accept=(),
            mode_answers=("Paris", "Lyon"),
            right_mode=0,
            ability=FACT,
            split=split,
            source="test",
        )
        for place in range(number)
    ]


@pytest.fixture
def rl(tmp_path):
    path = tmp_path / "rl.parquet"
    rows = rl_rows(items(6), DEFAULT_MODES, "quickstart_") + rl_rows(
        items(3, "val"), DEFAULT_MODES, "quickstart_", DEFAULT_MODES.names
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=RL_SCHEMA), path)
    return path


@pytest.fixture
def sft(tmp_path):
    path = tmp_path / "sft.parquet"
    rows = sft_rows(items(2), DEFAULT_MODES, [(0, 0), (0, 1), (1, 0)])
    untagged = copy.deepcopy(rows[2])
    untagged["messages"][-1]["content"] = "Paris"
    pq.write_table(pa.Table.from_pylist([*rows, untagged], schema=SFT_SCHEMA), path)
    return path


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tiny_tokenizer().save_pretrained(folder)
    return folder


def run(capsys, *arguments):
    parser = argparse.ArgumentParser()
    inspect_file.add_arguments(parser)
    status = inspect_file.run(parser.parse_args([str(argument) for argument in arguments]))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_rows_are_counted_by_source_condition_split_and_mode(rl, sft, capsys):
    status, printed, _ = run(capsys, rl, sft, "--rows", 0)
    assert status == 0
    found = lines(printed)
    assert "source condition train val rows" in found
    assert "quickstart_aligned aligned 4 4 8" in found
    assert "quickstart_none none 2 2 4" in found
    assert "total 6 6 12" in found
    assert "free general 6 50.0%" in found and "personalized general 3 25.0%" in found
    # SFT: by the tag that is there, beside what the column says.
    assert "- aligned 2 2" in found and "- none 2 2" in found
    assert "general general 2 50.0%" in found and "invalid general 1 25.0%" in found
    assert "row 1" not in printed


def test_lengths_are_tokens_with_a_tokenizer_and_characters_without(rl, sft, tokenizer_folder, capsys):
    assert "characters of the prompt" in run(capsys, rl)[1]
    printed = run(capsys, sft, "--tokenizer", tokenizer_folder)[1]
    tokenizer = build_tiny_tokenizer()
    rows = pq.read_table(sft).to_pylist()
    prompts = [
        tokenizer.apply_chat_template(row["messages"][:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
        for row in rows
    ]
    responses = [tokenizer.encode(row["messages"][-1]["content"] + "<|im_end|>") for row in rows]
    for found in (prompts, responses):
        sizes = [len(ids) for ids in found]
        assert f"shortest {min(sizes)}, " in printed and f"longest {max(sizes)}" in printed


def test_samples_are_what_the_model_sees(rl, sft, tokenizer_folder, capsys):
    printed = run(capsys, rl, "--tokenizer", tokenizer_folder, "--rows", 12)[1]
    samples = {block.split("\n")[0]: block for block in printed.split("\n\n") if block.startswith("row ")}
    assert len(samples) == 12
    second = samples["row 2"]
    assert "<|im_start|>system\n    | User profile: I am a nurse.<|im_end|>" in second
    assert "Question 1? Answer in JSON.<|im_end|>\n    | <|im_start|>assistant\n    | \n" in second
    assert "forced prefix, general:\n    | [General_mode]\n" in second
    assert "forced prefix, personalized:\n    | [Personalized_mode]\n" in second
    # Row 8 asks for the second mode.
    assert "forced prefix, personalized" in samples["row 8"] and "forced prefix, general" not in samples["row 8"]

    printed = run(capsys, sft, "--tokenizer", tokenizer_folder, "--rows", 4)[1]
    assert '    | {"answer": "Lyon"}\n    | </answer><|im_end|>\n' in printed
    printed = run(capsys, sft, "--rows", 1)[1]
    assert "<user> " in printed and "<|im_end|>" not in printed


def test_hostile_text_reaches_no_terminal(rl, sft, tokenizer_folder, capsys):
    for arguments in ([rl, sft], [rl, sft, "--tokenizer", tokenizer_folder]):
        printed = run(capsys, *arguments, "--rows", 20)[1]
        assert "\x1b" not in printed and "\u202e" not in printed
        assert r"Which \u001b[31mcity\u001b[0m\u202e?" in printed


def test_the_seed_chooses_the_rows_whatever_the_folder(rl, tmp_path, capsys):
    def shown(path, seed):
        return [line for line in run(capsys, path, "--rows", 3, "--seed", seed)[1].splitlines() if line[:4] == "row "]

    other = tmp_path / "other"
    other.mkdir()
    (other / rl.name).write_bytes(rl.read_bytes())
    assert len(shown(rl, 1)) == 3 and shown(rl, 1) == shown(other / rl.name, 1)
    assert len({tuple(shown(rl, seed)) for seed in range(10)}) > 1


def test_rows_that_are_no_chat_are_left_out_and_said(tmp_path, rl, capsys):
    rows = pq.read_table(rl).to_pylist()
    rows[0]["prompt"] = []
    pq.write_table(pa.Table.from_pylist(rows, schema=RL_SCHEMA), rl)
    status, printed, _ = run(capsys, rl, "--rows", 12)
    assert status == 0 and "row 1: no chat" in printed
    assert "total 6 6 12" in lines(printed)


def test_files_that_cannot_be_read_are_refused_in_one_line(tmp_path, capsys):
    text, other = tmp_path / "text.parquet", tmp_path / "other.parquet"
    text.write_text("no parquet")
    pq.write_table(pa.table({"text": ["a"]}), other)
    for path, message in ((text, "Parquet"), (other, "neither RL"), (tmp_path / "none.parquet", "no such file")):
        status, printed, error = run(capsys, path)
        assert status == 2 and not printed and message in error and str(path) in error and error.count("\n") == 1


def test_a_tokenizer_without_a_template_is_refused(tmp_path, rl, capsys):
    tokenizer = build_tiny_tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "bare")
    status, _, error = run(capsys, rl, "--tokenizer", tmp_path / "bare")
    assert status == 2 and "no chat template" in error


def test_histogram():
    assert histogram([], "tokens") == "no tokens"
    assert lines(histogram([7], "tokens"))[2:] == ["7 1 " + "#" * 40, "shortest 7, median 7, 90 % 7, 99 % 7, longest 7"]
    # 100 lengths from 1 to 100 and one of 200: steps of 20 (200 lengths in 10 bars).
    found = lines(histogram([*range(1, 101), 200], "tokens"))[2:]
    assert found[0] == "1-20 20 " + "#" * 40 and found[4] == "81-100 20 " + "#" * 40
    assert found[5] == "101-120 0" and found[9] == "181-200 1 ##"
    assert found[10] == "shortest 1, median 51, 90 % 91, 99 % 100, longest 200"
