"""``data build``: what is the same question, which of several rows of it are used, and ids that are no ids."""

import re

import numpy as np
from build_inputs import config, rows_of
from chat_server import ChatServer, Reply
from hypothesis import given
from hypothesis import strategies as st

from personadual import cli, schema
from personadual.data_prep import hashing, selection
from personadual.data_prep.build import build
from personadual.data_prep.pipeline.summary import table

MAPPING = {"question": "q", "answer": "right", "question_id": "id", "data_source": "mine"}
ALL_TRAIN = {"train": 1.0, "val": 0, "test": 0}


def generic(path, **keys):
    return [{"name": "generic", "input": str(path), "mapping": {**MAPPING, **keys}}]


def write_parts(folder):
    """Two files that both count from 1: other questions and options, the same letters."""
    folder.mkdir()
    for part, kinds in {"part1": ("herb", "root"), "part2": ("wheel", "motor")}.items():
        rows = [f"{n},Which one is number {n} of {part}?,{kinds[0]} {n},{kinds[1]} {n},B\n" for n in range(1, 31)]
        (folder / f"{part}.csv").write_text("id,q,a,b,right\n" + "".join(rows))
    return folder


def reply(prompt, attempt):
    if "self-description" in prompt:
        answer = prompt.split("words in it: ")[1].splitlines()[0]
        return Reply(f"I am a careful clerk in a large office, and from my work I know well that it is {answer}.")
    return Reply(f'This is {named(prompt)}.\n<answer>\n{{"answer": "B"}}\n</answer>')


def named(text):
    return re.search(r"number \d+ of part\d", text)[0]


def test_different_questions_under_one_id_keep_their_own_personas_and_traces(tmp_path):
    content = {
        "sources": generic(write_parts(tmp_path / "sets"), options=["a", "b"]),
        "personas": {"shares": {"aligned": 1.0}},
        "splits": ALL_TRAIN,
        "sft": {},
        "rl": {},
    }
    with ChatServer(reply) as server:
        manifest = build(config(**content, served={"base_url": server.url, "model": "m"}), tmp_path / "out")
    assert manifest["dropped"] == {} and manifest["ids_told_apart"] == {"mine": 60}
    assert "       60  mine" in table(manifest)
    extras = [row[schema.EXTRA_INFO] for row in rows_of(tmp_path / "out", "rl_train.parquet")]
    assert len(extras) == 60 == len({extra[schema.QUESTION_ID] for extra in extras})
    assert all(re.fullmatch(r"mine:\d+~[0-9a-f]{8}", extra[schema.QUESTION_ID]) for extra in extras)
    assert all(extra[schema.PERSONA].endswith(f" {extra[schema.OPTIONS][1]}.") for extra in extras)
    shown = rows_of(tmp_path / "out", "sft_train.parquet")
    turns = [[message["content"] for message in row[schema.MESSAGES]] for row in shown]
    assert len(turns) >= 60 and all(named(asked) == named(answered) for _, asked, answered in turns)


def test_one_id_for_one_question_stays_as_it_is(tmp_path):
    rows = [f"{n},What is {n}?,value {n}\n{n},what is  {n}?,Value {n}.\n" for n in range(30)]
    (tmp_path / "own.csv").write_text("id,q,right\n" + "".join(rows))
    content = {"sources": generic(tmp_path / "own.csv"), "splits": ALL_TRAIN, "rl": {}}
    manifest = build(config(**content), tmp_path / "out")
    assert manifest["dropped"] == {"mine": {"repeated record": 30}} and manifest["ids_told_apart"] == {}
    extras = [row[schema.EXTRA_INFO] for row in rows_of(tmp_path / "out", "rl_train.parquet")]
    assert {extra[schema.QUESTION_ID] for extra in extras} == {f"mine:{n}" for n in range(30)}


def test_a_question_with_two_right_answers_is_left_out_and_counted(tmp_path):
    rows = [f"{n},Which place has number {n}?,place {n},I am Cy.\n" for n in range(100)]
    rows += ["a,Which city is it?,Paris,I am Cy.\n", "a,Which city is it?,Lyon,I am Cy.\n"]
    rows += ["b,Which river is it?,Rhine,I am Cy.\n", "c,Which river  is it?,Ebro,I am Cy.\n"]  # whatever their ids
    rows += ["d,Which city is mine?,Paris,I am Ann.\n", "d,Which city is mine?,Lyon,I am Bob.\n"]
    (tmp_path / "own.csv").write_text("id,q,right,who\n" + "".join(rows))
    sources = generic(tmp_path / "own.csv", persona="who", condition={"value": "personal"})
    content = {"sources": sources, "splits": {**ALL_TRAIN, "own_personas": False}, "rl": {}}
    manifest = build(config(**content), tmp_path / "out")
    assert manifest["dropped"] == {"mine": {"two answers to one question": 4}}
    asked = [row[schema.EXTRA_INFO][schema.QUESTION] for row in rows_of(tmp_path / "out", "rl_train.parquet")]
    assert len(asked) == 102 and asked.count("Which city is mine?") == 2
    file = str(tmp_path / "out" / "rl_train.parquet")
    assert cli.main(["data", "validate", file, "--graders", "mine=objective"]) == 0


rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans()), max_size=30)


@given(rows)
def test_keys_with_several_values_are_marked_among_the_rows_that_count(rows):
    keys, values = (hashing.keys(str(row[place]) for row in rows) for place in (0, 1))
    among = np.array([row[2] for row in rows], dtype=bool)
    found = selection.with_several(keys, values, among)
    seen = {key: {row[1] for row in rows if row[0] == key and row[2]} for key in range(5)}
    assert list(found) == [bool(row[2] and len(seen[row[0]]) > 1) for row in rows]
