"""Conversations that several questions share, in a file beside that of the questions, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

MAX_LINE_BYTES = 64 * 2**20


@dataclass
class SharedContexts:
    """Where each conversation stands in ``file``: offset and length by id.

    It is sent to worker processes as it is, which read the file themselves; the last conversation is kept, as questions
    about one stand together.
    """

    file: Path | None = None
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    _last: tuple[str, list[dict[str, Any]]] | None = field(default=None, repr=False)

    def get(self, context: str) -> list[dict[str, Any]] | None:
        """The messages of a conversation; None where there is none of this id."""
        import orjson

        if context not in self.places:
            return None
        if self._last is None or self._last[0] != context:
            assert self.file is not None
            offset, length = self.places[context]
            with self.file.open("rb") as stream:
                stream.seek(offset)
                self._last = context, orjson.loads(stream.read(length))[context]
        return self._last[1]


def questions_in(name: str, split: str | None) -> str:
    """The one file of questions (``questions_SPLIT.csv``) in the folder ``name``; whatever is no folder as it is.

    Raises:
        ValueError: there is none, or there are several.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return name
    found = sorted(folder.glob(f"questions_{split}.csv" if split else "questions*.csv"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ValueError(f"input folder {folder}: one file questions_SIZE.csv is needed, found {names}; name the file")
    return str(found[0])


def find(questions: str, split: str) -> SharedContexts:
    """The conversations for a file of questions (``questions_32k.csv``: ``shared_contexts_32k.jsonl`` beside it), or
    for a split of the set of the hub with this id, from which they are downloaded.

    Raises:
        ValueError: there is no such file, it can't be read, or a line is no {id: [messages]}.
    """
    path = Path(questions).expanduser()
    if path.is_file():
        size = path.name.split(".")[0].removeprefix("questions").strip("_")
        file = path.with_name(f"shared_contexts_{size}.jsonl" if size else "shared_contexts.jsonl")
        if not file.is_file():
            raise ValueError(f"{file}: missing; {path.name} refers to conversations in it, so both are needed here")
    else:
        file = _download(questions, f"shared_contexts_{split}.jsonl")
    try:
        with file.open("rb") as stream:
            return SharedContexts(file, dict(_places(stream, file)))
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error})") from error


def _places(stream: IO[bytes], file: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    import orjson

    offset, number = 0, 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        try:
            held = orjson.loads(line) if line.strip() else {}
            shaped = isinstance(held, dict) and all(
                isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
                for messages in held.values()
            )
        except orjson.JSONDecodeError:
            shaped = False
        if not shaped or len(line) > MAX_LINE_BYTES:
            raise ValueError(f"{file}:{number}: {{id: [messages]}} of at most {MAX_LINE_BYTES >> 20} MB is needed")
        for context in held:
            yield context, (offset, len(line))
        offset += len(line)


def _download(hub_id: str, name: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(hub_id, filename=name, repo_type="dataset"))
    except Exception as error:  # of whatever kind the network and the hub raise
        raise ValueError(
            f"{name} of the hub's {hub_id!r}: cannot be loaded ({error}). Without a network, download it elsewhere, "
            "beside the file of the questions, and name that file"
        ) from error
