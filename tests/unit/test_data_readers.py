"""Reading files: every row in its place, broken ones too, in memory that does not grow with the file."""

import csv
import gzip
import json
import os
import pickle
import sys
import tracemalloc
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personadual.data_prep import file_formats, readers
from personadual.data_prep.record import Rejected, Where
from personadual.data_prep.validation.reading import batches, open_parquet


def read(inputs, **settings):
    """Rows as (line, row) and, for rejected ones, (line, reason)."""
    found = []
    for where, row in readers.rows(inputs, **settings):
        assert not isinstance(row, Rejected) or row.malformed
        found.append((where.row, row.reason if isinstance(row, Rejected) else dict(row)))
    return found


def test_broken_json_lines_are_named_and_the_others_read(tmp_path):
    file = tmp_path / "a.jsonl"
    lines = [
        b'\xef\xbb\xbf{"a": 1}',
        b"",
        b'{"a": ',
        b'{"a": "\xff"}',
        b"[1]",
        b'{"a": "\\ud800"}',
        b'{"a": NaN}',
        b"[" * 5000,
        '{"a": "ü\\u0000"}'.encode(),
        b"  ",
        b'{"a": 2}\r',
    ]
    file.write_bytes(b"\n".join(lines))
    assert read(file) == [
        (1, {"a": 1}),
        (3, "not JSON"),
        (4, "not UTF-8"),
        (5, "not a JSON object"),
        (6, "not JSON"),
        (7, "not JSON"),
        (8, "not JSON"),
        (9, {"a": "ü\0"}),
        (11, {"a": 2}),
    ]
    wheres = {where.file for where, _ in readers.rows(file)}
    assert wheres == {str(file)}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_line_that_is_too_long_is_skipped_in_little_memory(tmp_path, name):
    file = tmp_path / name
    opened = gzip.open(file, "wb", compresslevel=1) if name.endswith(".gz") else file.open("wb")
    with opened as stream:
        stream.write(b'{"a": 1}\n{"a": "')
        for _ in range(60):
            stream.write(b"x" * 2**20)
        stream.write(b'"}\n{"a": 2}\n')
    tracemalloc.start()
    found = read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(1, {"a": 1}), (2, "line over 8 MB"), (3, {"a": 2})]
    assert peak < 3 * file_formats.MAX_LINE_BYTES


@pytest.mark.parametrize("opened", [readers.rows, lambda path: batches(open_parquet(path), {"a": None})])
def test_what_was_read_of_parquet_is_let_go(tmp_path, opened):
    file, before = tmp_path / "a.parquet", pa.total_allocated_bytes()
    kind = pa.schema({"a": pa.string()})
    with pq.ParquetWriter(file, kind, compression="none", use_dictionary=False) as writer:
        for _ in range(40):
            writer.write_table(pa.table({"a": [os.urandom(500).hex()] * 2**10}, kind))
    size = file.stat().st_size
    assert size > 40_000_000 and max(pa.total_allocated_bytes() - before for _ in opened(file)) < size / 4


def test_lines_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(file_formats, "MAX_LINE_BYTES", 10)
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": 123}\n{"a": 1234}\n{"a": 12}\n{"a": 123}')
    assert read(file) == [(1, {"a": 123}), (2, "line over 8 MB"), (3, {"a": 12}), (4, {"a": 123})]


def test_chunks_end_early_when_they_are_large(tmp_path, monkeypatch):
    monkeypatch.setattr(file_formats, "MAX_CHUNK_BYTES", 100)
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps({"a": "x" * 60}) for _ in range(6)))
    assert [len(chunk) for chunk in readers.raw_chunks(file, 1000)] == [2, 2, 2]


@given(st.integers(0, 30), st.integers(1, 9))
def test_chunks_can_be_sent_and_decoded_elsewhere(tmp_path_factory, count, size):
    folder = tmp_path_factory.mktemp("chunks")
    lines = [json.dumps({"a": number}) if number % 4 else "broken" for number in range(count + 1)]
    (folder / "a.jsonl").write_text("\n".join(lines))
    sent = [pickle.loads(pickle.dumps(chunk)) for chunk in readers.raw_chunks(folder, size)]
    assert all(1 <= len(chunk) <= size for chunk in sent)
    found = [(where, str(row)) for chunk in sent for where, row in chunk.decode()]
    assert found == [(where, str(row)) for where, row in readers.rows(folder)]
    assert [where.row for where, _ in found] == list(range(1, count + 2))


def test_a_rejection_keeps_what_it_says_between_processes():
    sent = Rejected("not JSON", "at 3", field="a", malformed=True)
    back = pickle.loads(pickle.dumps(sent))
    assert vars(back) == vars(sent) and str(back) == str(sent) == "a: not JSON: at 3"


CSV = (
    b"\xef\xbb\xbfquestion, answer\r\n"
    b'"What, now?",yes\r\n'
    b"one\r\n"
    b"\r\n"
    b"a,b,c\r\n"
    b'"two\nlines",b\r\n'
    b'"a"b,c\r\n'
    b"caf\xe9,b\r\n"
    b'last,"say ""no"""\r\n'
    b'"never closed,b\r\n'
)


def test_csv_rows_are_counted_strictly(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV)
    assert read(tmp_path / "a.csv") == [
        (2, {"question": "What, now?", "answer": "yes"}),
        (3, "wrong number of cells"),
        (5, "wrong number of cells"),
        (6, {"question": "two\nlines", "answer": "b"}),
        (8, "broken CSV row"),
        (9, "not UTF-8"),
        (10, {"question": "last", "answer": 'say "no"'}),
        (11, "broken CSV row"),
    ]


def test_tabs_and_long_cells(tmp_path):
    long = "x" * 300_000
    (tmp_path / "a.tsv").write_text(f"q\ta\n{long}\t1,5\n")
    assert read(tmp_path / "a.tsv") == [(2, {"q": long, "a": "1,5"})]
    with gzip.open(tmp_path / "b.tsv.gz", "wt") as stream:
        stream.write("q\ta\n1\t2\n")
    assert read(tmp_path / "b.tsv.gz") == [(2, {"q": "1", "a": "2"})]


def test_a_csv_line_that_is_too_long_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(file_formats, "MAX_LINE_BYTES", 20)
    (tmp_path / "a.csv").write_text(f"q,a\n1,2\n{'x' * 99},2\n3,4\n")
    assert read(tmp_path / "a.csv") == [
        (2, {"q": "1", "a": "2"}),
        (3, "broken CSV row"),
        (4, {"q": "3", "a": "4"}),
    ]


@pytest.mark.parametrize("content", [b"", b"\n1,2\n", b"a,a\n1,2\n", b"a,\n1,2\n", b"\xff\xfea,b\n1,2\n", b'"a\n'])
def test_a_csv_file_without_a_header_is_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.csv: .*(first line)"):
        read(tmp_path / "a.csv")


def test_parquet_in_batches_and_texts_that_are_none(tmp_path):
    table = pa.table({"id": list(range(2500)), "choices": [{"text": ["x"], "label": ["A"]}] * 2500})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    found = read(tmp_path / "a.parquet")
    assert [number for number, _ in found] == list(range(1, 2501))
    assert [row["id"] for _, row in found] == list(range(2500))
    assert found[7][1]["choices"] == {"text": ["x"], "label": ["A"]}

    bad = pa.array([b"fine", b"\xff", b"too"]).view(pa.string())
    pq.write_table(pa.table({"a": bad}), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet") == [(1, {"a": "fine"}), (2, "not UTF-8"), (3, {"a": "too"})]


@given(st.lists(st.fixed_dictionaries({"q": st.text(), "a": st.text()}), min_size=1, max_size=4))
def test_rows_of_any_text_are_read_as_they_were_written(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any_text")
    (folder / "a.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), newline="\n")
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    for name, dialect in (("a.csv", csv.excel), ("a.tsv", csv.excel_tab)):
        with (folder / name).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["q", "a"], dialect=dialect)
            writer.writeheader()
            writer.writerows(rows)
    for file in folder.iterdir():
        assert [row for _, row in read(file)] == rows, file.name


def test_what_datasets_saves_is_read_without_it(tmp_path):
    import datasets

    data = datasets.Dataset.from_dict({"a": list(range(10))})
    datasets.DatasetDict({"train": data, "test": data.select([3])}).save_to_disk(str(tmp_path / "saved"))
    assert [row["a"] for _, row in read(tmp_path / "saved", split="train")] == list(range(10))
    assert read(tmp_path / "saved", split="test") == [(1, {"a": 3})]
    assert [len(chunk) for chunk in readers.raw_chunks(tmp_path / "saved" / "train", 4)] == [4, 4, 2]


def test_a_stream_of_datasets_is_chunked(tmp_path):
    import datasets

    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"a": number}) + "\n" for number in range(5)))
    stream = datasets.load_dataset(
        "json", data_files=str(tmp_path / "a.jsonl"), split="train", streaming=True, cache_dir=str(tmp_path / "cache")
    )
    parts = list(readers.stream_chunks(stream, "owner/name", 2))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert parts[2].decode() == [(Where("owner/name", 5), {"a": 4})]


@pytest.fixture
def folder(tmp_path):
    for name in ("data/train-00001.jsonl", "data/train-00000.jsonl", "test.jsonl", "training.jsonl", ".hidden.jsonl"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"file": name}))
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "old.jsonl").write_text('{"file": "old"}')
    (tmp_path / "README.md").write_text("read me")
    return tmp_path


def test_folders_globs_lists_and_splits(folder):
    def names(inputs, **settings):
        return [row["file"] for _, row in read(inputs, **settings)]

    train = ["data/train-00000.jsonl", "data/train-00001.jsonl"]
    assert names(folder) == [*train, "test.jsonl", "training.jsonl"]
    assert names(folder, split="train") == train
    assert names(f"{folder}/**/train-*.jsonl") == train
    assert names([folder / "test.jsonl", str(folder / "data")]) == ["test.jsonl", *train]


@pytest.mark.parametrize(
    ("inputs", "settings", "message"),
    [
        ("missing.jsonl", {}, "no such file"),
        ("none-*.jsonl", {}, "no such file, folder or glob"),
        ("owner/name", {}, "hub it must be allowed"),
        ("README.md", {}, r"unknown kind of file; known are .*\.jsonl\.gz"),
        ("list.json", {}, "jq -c"),
        ("docs", {}, "input folder docs: no file"),
        ("data", {"split": "val"}, "of the split 'val' .of 2 readable"),
        ("test.jsonl", {"split": "test"}, "picks files of a folder"),
        ("empty.jsonl", {}, "there is no row"),
        ("blank.jsonl", {}, "there is no row"),
        ([], {}, "at least one"),
        ("half.jsonl.gz", {}, r"half\.jsonl\.gz: cannot be read"),
        ("not.parquet", {}, r"not\.parquet: cannot be read"),
    ],
)
def test_inputs_that_are_refused(folder, monkeypatch, inputs, settings, message):
    monkeypatch.chdir(folder)
    (folder / "docs").mkdir()
    for name, content in {
        "list.json": b"[]",
        "empty.jsonl": b"",
        "blank.jsonl": b"\n \n",
        "half.jsonl.gz": gzip.compress(b'{"a": 1}\n' * 999)[:-20],
        "not.parquet": b"PAR1 it is not",
    }.items():
        (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(inputs, **settings)


def test_a_data_set_of_the_hub_without_a_network_is_one_line(monkeypatch, tmp_path):
    import datasets

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert readers.locate("owner/name", allow_hub=True) == ["owner/name"]
    with pytest.raises(ValueError, match=r"'owner/name' of the hub .*cannot be loaded.* give the folder"):
        read("owner/name", allow_hub=True)
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").mkdir()
    (tmp_path / "owner" / "name" / "a.jsonl").write_text('{"a": 1}')
    assert read("owner/name", allow_hub=True) == [(1, {"a": 1})]


def test_a_load_from_the_hub_runs_nothing_of_the_set_and_tells_no_other_host(monkeypatch):
    asked = []

    def load_dataset(*place, **settings):
        asked.append((place, settings, os.environ["HF_UPDATE_DOWNLOAD_COUNTS"]))
        return iter([{"a": 1}])

    monkeypatch.setenv("HF_UPDATE_DOWNLOAD_COUNTS", "")
    monkeypatch.delenv("HF_UPDATE_DOWNLOAD_COUNTS")
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert read("owner/name", allow_hub=True) == [(1, {"a": 1})]
    assert asked == [(("owner/name",), {"name": None, "split": "train", "streaming": True}, "0")]
