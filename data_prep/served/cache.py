"""Every answer on disk as it comes: one JSON line each, appended with a single write.

A killed process loses nothing that was answered: its last line may be torn, which is cut off when the file is opened.
Each line carries a checksum, so that a damaged one is refused by its number and never taken for an answer. In memory
is one place per answer, not its text: about 200 bytes each.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType

from personadual.data_prep.served.exchange import Answer

_START = b'{"key": "'
_SHOWN = 5


class AnswerCache:
    """Answers by the key of their request. Only one process at a time may have the file open.

    Raises:
        ValueError: another process has it open, lines are damaged, or the path can't be opened or locked.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._places: dict[bytes, int] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ValueError(f"answer cache {self.path}: cannot be opened ({error.strerror or error})") from error
        try:
            self._lock()
            self._reader = open(self.path, "rb")
            try:
                self._size = self._read_places()
            except BaseException:
                self._reader.close()
                raise
        except BaseException:
            os.close(self._descriptor)
            raise

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._places

    def get(self, key: str) -> Answer | None:
        """The answer under ``key``, or None. ValueError if its line has been changed since the file was opened."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        self._reader.seek(place)
        found = _parse(self._reader.readline())
        if found is None or found[0] != key:
            raise ValueError(f"answer cache {self.path}: the line at byte {place} was changed while the file was open")
        return found[1]

    def put(self, key: str, answer: Answer) -> None:
        """Append an answer. When this returns, the line is with the operating system and survives ``kill -9``.

        Raises:
            OSError: the disk is full or gone; no part of the line remains.
        """
        line = _line(key, answer)
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(f"answer cache {self.path}: only {written} of {len(line)} bytes could be written")
        except BaseException:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._places[bytes.fromhex(key)] = self._size
        self._size += len(line)

    def close(self) -> None:
        """Have the answers on the disk itself, and let other processes open the file."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            self._reader.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        # The kernel drops this lock with the process, however it ends: there is no stale lock file to remove.
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"answer cache {self.path}: another process has it open. Wait until that one has finished or stop it; "
                "two at once would ask for the same answers twice. To run both, give each a cache of its own."
            ) from None
        except OSError as error:
            raise ValueError(
                f"answer cache {self.path}: cannot be locked ({error.strerror or error}); put it on a local disk"
            ) from error

    def _read_places(self) -> int:
        """Fill the table of places; size of the file in whole lines, to which a torn end is cut."""
        size, damaged = 0, []
        for number, line in enumerate(self._reader, 1):
            if not line.endswith(b"\n") and line[: len(_START)] == _START[: len(line)]:
                os.ftruncate(self._descriptor, size)
                break
            found = _parse(line)
            if found is None:
                damaged.append(number)
            else:
                self._places[bytes.fromhex(found[0])] = size
            size += len(line)
        if damaged:
            shown = ", ".join(map(str, damaged[:_SHOWN])) + (", ..." if len(damaged) > _SHOWN else "")
            delete = " ".join(f"-e {number}d" for number in damaged[:_SHOWN])
            raise ValueError(
                f"answer cache {self.path}: {len(damaged)} damaged line(s), which are no answers: {shown}. If this is "
                f"the right file, delete them (sed -i {delete} {self.path}); what they answered is then asked again."
            )
        return size


def _check(key: str, answer: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([key, answer], sort_keys=True).encode("ascii")).hexdigest()[:16]


def _line(key: str, answer: Answer) -> bytes:
    content = {"text": answer.text, "finish_reason": answer.finish_reason}
    # ASCII, because a server may send lone surrogates, which UTF-8 has no bytes for.
    return json.dumps({"key": key, "check": _check(key, content), "answer": content}).encode("ascii") + b"\n"


def _parse(line: bytes) -> tuple[str, Answer] | None:
    """Key and answer of a line, or None for one that is damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
        key, content = entry["key"], entry["answer"]
        if entry["check"] != _check(key, content) or len(bytes.fromhex(key)) != 32:
            return None
        return key, Answer(text=str(content["text"]), finish_reason=str(content["finish_reason"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
