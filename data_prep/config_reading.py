"""Dataclasses from a yaml file: every key is known, every value has its type, and what is wrong is said by name."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_yaml(path: Path) -> Mapping[str, Any]:
    """The mapping in a yaml file.

    Raises:
        ValueError: the file can't be read, is no yaml, or holds something else.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: cannot be read as yaml ({error})") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: keys and values are needed, found {type(content).__name__}")
    return content


def read(cls: type[T], content: Any, name: str = "") -> T:
    """``content`` as the dataclass ``cls``; ``name`` is its place in the file, "" for the whole.

    Raises:
        ValueError: an unknown key (with the nearest known one), a missing one, or a value of another type.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{name}: keys and values are needed, found {content!r}")
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    for key in content:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise ValueError(f"{_joined(name, key)}: unknown key; {hint}")
    types_ = get_type_hints(cls)
    values = {key: _value(types_[key], value, _joined(name, key)) for key, value in content.items()}
    try:
        return cls(**values)
    except TypeError as error:  # a required key is missing
        raise ValueError(f"{name or 'configuration'}: {str(error).partition('__init__() ')[2] or error}") from error


def _value(wanted: Any, value: Any, name: str) -> Any:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(wanted) if option is not type(None)]
        if value is None and len(options) < len(get_args(wanted)):
            return None
        for option in options[:-1]:
            try:
                return _value(option, value, name)
            except ValueError:
                continue
        return _value(options[-1], value, name)
    if is_dataclass(wanted):
        return read(wanted, value, name)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name}: a list is needed, found {value!r}")
        return tuple(_value(get_args(wanted)[0], entry, f"{name}[{place}]") for place, entry in enumerate(value))
    if wanted is Mapping or (origin is not None and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name}: keys and values are needed, found {value!r}")
        entry_type = get_args(wanted)[1] if get_args(wanted) else Any
        return {str(key): _value(entry_type, entry, _joined(name, key)) for key, entry in value.items()}
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is Any or type(value) is wanted or (isinstance(value, wanted) and not isinstance(value, bool)):
        return value
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    raise ValueError(f"{name}: {words.get(wanted, wanted)} is needed, found {value!r}")


def _joined(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)
