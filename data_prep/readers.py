"""Rows of the inputs: files, folders, globs and data sets of the hub, streamed, with the place of every row.

Local inputs never touch the network. A broken row comes as a ``Rejected`` in its place and ends nothing; what can't be
read at all is a ValueError. For several processes, hand out ``raw_chunks`` and ``decode`` them there.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from personadual.data_prep.chunks import Chunk, Decoded, Rows
from personadual.data_prep.file_formats import FORMATS, format_of

Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

CHUNK_ROWS = 1024
_HUB_ID = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


def rows(
    inputs: Inputs,
    *,
    split: str | None = None,
    config: str | None = None,
    allow_hub: bool = False,
    streaming: bool = True,
) -> Iterator[Decoded]:
    """All rows in order, each as ``(Where, row)`` or ``(Where, Rejected)``.

    Args:
        inputs: a file (.jsonl, .ndjson, .csv, .tsv, each also with .gz; .parquet; .arrow), a folder of such files, a
            glob, or a list of these; with ``allow_hub`` also the id of a data set on the hub ("owner/name") if there
            is no local path of that name.
        split: part of a folder (files that are called so, as in ``train-00000.parquet`` or ``train/a.jsonl``) or of a
            data set of the hub ("train" if not given).
        config: configuration of a data set of the hub.
        streaming: False downloads a data set of the hub first.

    Raises:
        ValueError: an input that is missing, unreadable, of an unknown format, or without any row.
    """
    settings: dict[str, Any] = {"split": split, "config": config, "allow_hub": allow_hub, "streaming": streaming}
    for chunk in raw_chunks(inputs, CHUNK_ROWS, **settings):
        yield from chunk.decode()


def raw_chunks(
    inputs: Inputs,
    size: int,
    *,
    split: str | None = None,
    config: str | None = None,
    allow_hub: bool = False,
    streaming: bool = True,
) -> Iterator[Chunk]:
    """Undecoded chunks of at most ``size`` rows, each of one file. Arguments and errors are those of ``rows``."""
    if size < 1:
        raise ValueError(f"size: a chunk holds at least 1 row, found {size}")
    found = False
    for part in locate(inputs, split=split, allow_hub=allow_hub):
        if isinstance(part, Path):
            reader = format_of(part)
            assert reader is not None
            parts = reader.chunks(part, size)
        else:
            parts = stream_chunks(_load(part, config, split or "train", streaming), part, size)
        for chunk in parts:
            found = found or len(chunk) > 0
            yield chunk
    if not found:
        raise ValueError(f"{_shown(inputs)}: there is no row in it")


def locate(inputs: Inputs, *, split: str | None = None, allow_hub: bool = False) -> list[Path | str]:
    """The files of the inputs in a fixed order (by name within a folder or glob); a str is an id of the hub.

    Raises:
        ValueError: as ``rows``.
    """
    if isinstance(inputs, str | os.PathLike):
        return _locate_one(os.fspath(inputs), split, allow_hub)
    located = [part for entry in inputs for part in locate(entry, split=split, allow_hub=allow_hub)]
    if not located:
        raise ValueError("input: at least one file, folder, glob or data set is needed, found none")
    return located


def _locate_one(name: str, split: str | None, allow_hub: bool) -> list[Path | str]:
    path = Path(name).expanduser()
    if path.is_dir():
        return _files_in(path, split)
    if path.exists():
        matches = [path]
    elif matches := [match for match in map(Path, sorted(glob.glob(str(path), recursive=True))) if match.is_file()]:
        pass
    elif _HUB_ID.fullmatch(name) and allow_hub:
        return [name]
    else:
        hint = "; as the id of a data set of the hub it must be allowed" if _HUB_ID.fullmatch(name) else ""
        raise ValueError(f"input {name!r}: no such file, folder or glob{hint}")
    if split is not None:
        raise ValueError(f"input {name!r}: split={split!r} picks files of a folder or of the hub; this names its files")
    for match in matches:
        if format_of(match) is None:
            raise ValueError(f"input {match}: unknown kind of file; {_known()}{_advice(match)}")
    return list(matches)


def _files_in(folder: Path, split: str | None) -> list[Path | str]:
    inside = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and format_of(path) and not any(part[0] == "." for part in path.relative_to(folder).parts)
    ]
    kept = [path for path in inside if split is None or _is_of_split(path.relative_to(folder), split)]
    if not kept:
        which = "" if split is None else f" of the split {split!r} (of {len(inside)} readable files)"
        raise ValueError(f"input folder {folder}: no file{which}; {_known()}")
    return list(kept)


def splits_in(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of ``names`` by which files in ``folder`` are called. Raises ValueError where there is none to read."""
    inside = [Path(path).relative_to(folder) for path in _files_in(folder, None)]
    return [name for name in names if any(_is_of_split(path, name) for path in inside)]


def _is_of_split(path: Path, split: str) -> bool:
    rest = path.name.removeprefix(split)
    return split in path.parts[:-1] or (rest != path.name and not rest[:1].isalnum())


def _known() -> str:
    zipped = ", ".join(f"{suffix}.gz" for suffix, known in FORMATS.items() if known.text)
    return f"known are {', '.join(FORMATS)}, {zipped}"


def _advice(path: Path) -> str:
    return f" (a JSON list becomes lines with: jq -c '.[]' {path.name})" if path.suffix == ".json" else ""


def _shown(inputs: Inputs) -> str:
    names = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    return "input " + ", ".join(os.fspath(name) for name in names)


def _load(hub_id: str, config: str | None, split: str, streaming: bool) -> Iterable[Mapping[str, Any]]:
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")  # else another host than the hub is told of every load
    try:
        import datasets

        loaded: Iterable[Mapping[str, Any]] = datasets.load_dataset(
            hub_id, name=config, split=split, streaming=streaming
        )
        return loaded
    except Exception as error:  # of whatever kind the network, the hub or the set's files raise
        raise ValueError(
            f"data set {hub_id!r} of the hub (config {config!r}, split {split!r}): cannot be loaded ({error}). Without "
            "a network, download it elsewhere and give the folder."
        ) from error


def stream_chunks(stream: Iterable[Mapping[str, Any]], name: str, size: int) -> Iterator[Chunk]:
    """Chunks of rows that come from elsewhere; a ``Where`` names them by ``name``."""
    first, held = 1, []
    for row in stream:
        held.append(row)
        if len(held) == size:
            yield Rows(name, first, held)
            first, held = first + size, []
    if held:
        yield Rows(name, first, held)
