"""Test items: what a row must say, what is filled in, and files that data preparation built."""

import pandas as pd
import published_rows as published
import pytest
from published_rows import write_lines

from personadual import cli
from personadual.evaluation.data import check_right_modes, first_of_each_condition, read_items
from personadual.modes import DEFAULT_MODES
from personadual.reward_fns import compute_score


def rows(count=3, **changes):
    return [
        {
            "prompt": [{"role": "user", "content": f"q{item}", "name": None if item else "x"}],
            "data_source": "quickstart_none",
            "reward_model": {"style": "rule", "ground_truth": "yes"},
            "extra_info": {
                "item": item,
                "question_id": f"q{item}",
                "condition": "none" if item % 2 else "personal",
                "right_mode": None if item == 1 else "general",
                "persona": "",
                "question": f"q{item}",
                **changes,
            },
        }
        for item in range(count)
    ]


def written(tmp_path, content):
    pd.DataFrame(content).to_parquet(tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_limit_counts_by_condition(tmp_path):
    items = read_items(written(tmp_path, rows()))
    assert [item.item for item in first_of_each_condition(items, 1)] == [0, 1]
    assert [item.item for item in first_of_each_condition(items, 2)] == [0, 1, 2]


def test_rows_of_an_item_under_several_asked_modes_are_one_item(tmp_path):
    content = [row for row in rows() for _ in range(3)]
    assert [item.item for item in read_items(written(tmp_path, content))] == [0, 1, 2]


def test_what_verl_needs_is_enough(tmp_path):
    content = [
        {
            "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": f"q{number}"}],
            "data_source": "flan",
            "reward_model": {"style": "rule", "ground_truth": "B"},
            "extra_info": {"index": number, "options": ["x", "y"]},
        }
        for number in (7, 8)
    ]
    found = read_items(written(tmp_path, content))
    assert [item.item for item in found] == [0, 1]
    assert found[1].extra_info == {
        "index": 8, "options": ["x", "y"], "item": 1, "question_id": "item 1", "condition": "unknown",
        "persona": "", "question": "q8", "right_mode": None,
    }  # fmt: skip
    bare = [{name: value for name, value in row.items() if name != "extra_info"} for row in content]
    assert [item.condition for item in read_items(written(tmp_path, bare))] == ["unknown"] * 2


def test_a_row_that_says_there_is_no_persona_has_condition_none(tmp_path):
    content = rows(2)
    for row, persona in zip(content, ("", "I sail."), strict=True):
        row["extra_info"] = {"persona": persona}
    assert [item.condition for item in read_items(written(tmp_path, content))] == ["none", "unknown"]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda row: row["extra_info"].update(item=None), r"row 1: extra_info.item is missing, and other rows have it"),
        (lambda row: row["reward_model"].update(ground_truth=None), r"row 1: reward_model.ground_truth is missing"),
        (lambda row: row.update(prompt=[]), r"row 1: prompt is empty"),
        (lambda row: row["extra_info"].update(item=0), r"row 1: item 0 is there twice"),
    ],
)
def test_bad_data_is_named_by_row_and_field(change, message, tmp_path):
    content = rows(2)
    change(content[1])
    with pytest.raises(ValueError, match=message):
        read_items(written(tmp_path, content))


def test_a_persona_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"row 0: extra_info.persona must be a text, found dict"):
        read_items(written(tmp_path, rows(1, persona={"name": "x"})))


def test_missing_column_and_empty_file_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"missing column\(s\) reward_model"):
        read_items(written(tmp_path, pd.DataFrame(rows(1)).drop(columns="reward_model")))
    with pytest.raises(ValueError, match="no rows"):
        read_items(written(tmp_path, pd.DataFrame(rows(1)).iloc[:0]))


def test_a_right_mode_of_other_modes_is_refused(tmp_path):
    items = read_items(written(tmp_path, rows(1, right_mode="terse")))
    with pytest.raises(ValueError, match="item 0: right_mode 'terse' is none of the modes general, personalized"):
        check_right_modes(items, DEFAULT_MODES)


def test_files_of_data_build_are_read_and_graded(tmp_path):
    """Multiple choice with letters (UltraMedical), open and listed options (FLAN), preferences (AlignX)."""
    sources = {
        "ultramedical": published.ultramedical(12),
        "flan": published.flan(12),
        "alignx": published.alignx(12),
    }
    for name, lines in sources.items():
        write_lines(tmp_path / f"{name}.jsonl", lines)
        out = tmp_path / name
        arguments = ["--source", name, "--input", tmp_path / f"{name}.jsonl", "--task", "rl", "--out", out]
        assert cli.main(["data", "build", *map(str, arguments)]) == 0
        files = [path for path in sorted(out.glob("*.parquet")) if "sft" not in path.name]
        items = [item for path in files for item in read_items(path)]
        assert len(items) == 12
        check_right_modes(items, DEFAULT_MODES)
        for item in items:
            options = item.extra_info["options"]
            answers = [item.ground_truth, *(options[ord(item.ground_truth) - 65 :][:1] if options else [])]
            for answer in answers:
                block = f'[General_mode]\n<answer>{{"answer": "{answer}"}}</answer>'
                grade = compute_score(item.data_source, block, item.ground_truth, item.extra_info)
                assert grade["acc"] == grade["format"] == 1
    assert {item.condition for item in items} == {"personal"} and all(item.persona for item in items)
