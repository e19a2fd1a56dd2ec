"""Answers on disk: nothing that was written is lost, and nothing damaged is taken for an answer."""

import hashlib
import resource
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personadual.data_prep.served.cache import AnswerCache
from personadual.data_prep.served.exchange import Answer

TEXTS = st.text(st.characters(codec=None), max_size=40)  # lone surrogates too


def key(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def written(path, texts):
    """A cache of these texts under key(0), key(1), ...; its bytes."""
    path.unlink(missing_ok=True)
    with AnswerCache(path) as cache:
        for number, text in enumerate(texts):
            cache.put(key(number), Answer(text, "stop"))
    return path.read_bytes()


def test_an_answer_is_there_at_once_and_after_reopening(tmp_path):
    path = tmp_path / "new folder" / "answers.jsonl"
    with AnswerCache(path) as cache:
        assert len(cache) == 0 and cache.get(key(1)) is None
        cache.put(key(1), Answer("", "length"))
        assert cache.get(key(1)) == Answer("", "length") and key(1) in cache and key(2) not in cache
        assert path.read_bytes().count(b"\n") == 1  # before it is closed
    with AnswerCache(path) as cache:
        cache.put(key(2), Answer("two\nlines", "stop"))
        assert cache.get(key(1)) == Answer("", "length") and cache.get(key(2)) == Answer("two\nlines", "stop")
        assert len(cache) == 2


@settings(deadline=None, max_examples=50)
@given(texts=st.lists(TEXTS, max_size=5))
def test_any_text_comes_back_as_it_was(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("cache") / "a"
    assert written(path, texts).count(b"\n") == len(texts)
    with AnswerCache(path) as cache:
        assert [cache.get(key(number)) for number in range(len(texts))] == [Answer(text, "stop") for text in texts]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_file_torn_at_any_byte_keeps_its_whole_lines_and_goes_on(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cache") / "a"
    content = written(path, ["one", "two", "three"])
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    with AnswerCache(path) as cache:
        assert len(cache) == whole
        cache.put(key(9), Answer("after", "stop"))
    with AnswerCache(path) as cache:
        assert [cache.get(key(n)) for n in range(whole)] == [Answer(t, "stop") for t in ("one", "two", "three")[:whole]]
        assert cache.get(key(9)) == Answer("after", "stop") and len(cache) == whole + 1


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_changed_byte_makes_another_answer(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cache") / "a"
    content = bytearray(written(path, ["one", "two", "three"]))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        cache = AnswerCache(path)
    except ValueError as error:
        assert "damaged" in str(error)
        return
    with cache:
        assert len(cache) >= 2
        for number, text in enumerate(["one", "two", "three"]):
            assert cache.get(key(number)) in (None, Answer(text, "stop"))


def test_damaged_lines_are_named_and_nothing_is_changed(tmp_path):
    path = tmp_path / "a"
    lines = written(path, ["one", "two", "three", "four"]).splitlines(keepends=True)
    lines[1] = lines[1].replace(b"two", b"tvo")
    lines[2] = b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"2 damaged line\(s\).*: 2, 3\..*sed -i -e 2d -e 3d"):
        AnswerCache(path)
    assert path.read_bytes() == b"".join(lines)
    path.write_bytes(lines[0] + lines[3])  # what the message tells to do
    with AnswerCache(path) as cache:
        assert len(cache) == 2 and cache.get(key(3)) == Answer("four", "stop")


@pytest.mark.parametrize("content", [b'{"question": "mine"}', b'{"question": "mine"}\n', b"\0\0\0", b"[" * 100_000])
def test_a_file_that_is_no_cache_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="1 damaged"):
        AnswerCache(path)
    assert path.read_bytes() == content


def test_a_line_changed_under_an_open_cache_is_refused(tmp_path):
    path = tmp_path / "a"
    content = written(path, ["one"])
    with AnswerCache(path) as cache:
        path.write_bytes(content.replace(b"one", b"two"))
        with pytest.raises(ValueError, match="was changed while the file was open"):
            cache.get(key(0))


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    path = tmp_path / "a"
    code = f"import sys\nfrom personadual.data_prep.served.cache import AnswerCache\nAnswerCache({str(path)!r})\n"
    holder = subprocess.Popen(
        [sys.executable, "-c", code + "print('open', flush=True)\nsys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"open\n"
    with pytest.raises(ValueError, match="another process has it open"):
        AnswerCache(path)
    holder.kill()  # no clean end, and still no lock is left over
    holder.wait()
    AnswerCache(path).close()


def test_twice_in_one_process_is_refused_too_and_closing_twice_is_not(tmp_path):
    cache = AnswerCache(tmp_path / "a")
    with pytest.raises(ValueError, match="another process has it open"):
        AnswerCache(tmp_path / "a")
    cache.close()
    cache.close()


def test_a_path_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"answer cache .*cannot be opened \(Is a directory\)"):
        AnswerCache(tmp_path)


def test_a_write_that_does_not_fit_leaves_no_part_of_the_line(tmp_path):
    path = tmp_path / "a"
    before = written(path, ["one"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with AnswerCache(path) as cache:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
        try:
            with pytest.raises(OSError):
                cache.put(key(1), Answer("two", "stop"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before and key(1) not in cache
        cache.put(key(2), Answer("three", "stop"))
        assert cache.get(key(2)) == Answer("three", "stop")
