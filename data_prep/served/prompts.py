"""The prompts as jinja templates: ours in ``prompts/*.jinja``, each replaceable by a file of the same name.

All that can be wrong with a template is found when they are read, before the first request: syntax, an unknown
variable or filter, a variable that the prompt can't do without, and what fails only when it is filled in.
"""

from __future__ import annotations

import difflib
import hashlib
import traceback
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    meta,
    nodes,
)
from jinja2.sandbox import SandboxedEnvironment

from personadual.data_prep.served.exchange import Messages

OURS = Path(__file__).with_name("prompts")
SUFFIX = ".jinja"

TRACE_GENERAL, TRACE_PERSONALIZED, TRACE_FILTER = "trace_general", "trace_personalized", "trace_filter"
PERSONA_ALIGNED, PERSONA_CONFLICTING, JUDGE = "persona_aligned", "persona_conflicting", "judge"

VARIABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    TRACE_GENERAL: (("question", "truth"), ("persona", "options", "block")),
    TRACE_PERSONALIZED: (("question", "persona", "truth"), ("options", "block")),
    TRACE_FILTER: (("question", "persona"), ("options", "block")),
    PERSONA_ALIGNED: (("question", "answer"), ("options",)),
    PERSONA_CONFLICTING: (("question", "wrong"), ("answer", "options")),
    JUDGE: (("question", "truth", "candidate"), ("accept", "block")),
}
"""Per template the variables it must use and those it may use. ``options`` is a list of (letter, text) pairs, empty
for an open question; ``block`` is the answer block to be written; ``accept`` further right answers."""

_SAMPLES: tuple[dict[str, Any], ...] = (
    {"options": [("A", "Paris"), ("B", "Lyon")], "accept": []},
    {"options": [], "accept": ["Lutetia"]},
)


class Prompts:
    """The templates, ours or those of ``folder`` where it has one.

    A file whose name starts with an underscore is for the others to include.

    Raises:
        ValueError: no such folder, a file that replaces nothing, or a fault in a template, with its file and line.
    """

    def __init__(self, folder: Path | None = None):
        if folder is not None:
            _check_folder(folder)
        folders = [OURS] if folder is None else [folder, OURS]
        self._environment = SandboxedEnvironment(
            loader=ChoiceLoader([FileSystemLoader(place) for place in folders]),
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # tojson: other scripts stay legible
        self._templates = {name: self._load(name) for name in VARIABLES}

    def messages(self, name: str, **variables: Any) -> Messages:
        """The prompt ``name`` as one user turn.

        Raises:
            ValueError: the template fails on these values; with its file and line.
        """
        return ({"role": "user", "content": _fill(self._templates[name], variables)},)

    def digests(self) -> dict[str, str]:
        """sha256 of each prompt as it reads for two sample questions, included files and all: for a manifest."""
        return {
            name: hashlib.sha256("\0".join(_fill(template, sample) for sample in _samples(name)).encode()).hexdigest()
            for name, template in self._templates.items()
        }

    def _load(self, name: str) -> Template:
        try:
            template = self._environment.get_template(name + SUFFIX)
            used = self._variables(name + SUFFIX)
        except TemplateSyntaxError as error:
            raise ValueError(f"prompt template {error.filename}, line {error.lineno}: {error.message}") from error
        except TemplateNotFound as error:
            raise ValueError(f"prompt template {name}{SUFFIX}: it includes {error.name}, which is not there") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"prompt template {name}{SUFFIX}: it is not UTF-8 ({error})") from error
        must, may = VARIABLES[name]
        for variable, (file, line) in used.items():
            if variable not in (*must, *may):
                near = difflib.get_close_matches(variable, (*must, *may), n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise ValueError(
                    f"prompt template {file}, line {line}: there is no variable {variable!r}; {hint}There are "
                    f"{', '.join((*must, *may))}"
                )
        missing = [variable for variable in must if variable not in used]
        if missing:
            raise ValueError(
                f"prompt template {template.filename}: it never shows {', '.join(missing)}, so that the model could "
                f"not answer. Write {{{{ {missing[0]} }}}} where it belongs."
            )
        for sample in _samples(name):
            _fill(template, sample)
        return template

    def _variables(self, file: str) -> dict[str, tuple[str, int]]:
        """The variables that a template and those it includes expect, each with the file and line of its first use."""
        found: dict[str, tuple[str, int]] = {}
        files, seen = [file], set()
        while files:
            current = files.pop()
            if current in seen:
                continue
            seen.add(current)
            assert self._environment.loader is not None
            source, path, _ = self._environment.loader.get_source(self._environment, current)
            tree = self._environment.parse(source, filename=path)
            expected = meta.find_undeclared_variables(tree) - set(self._environment.globals)
            for node in tree.find_all(nodes.Name):
                if node.name in expected:
                    found.setdefault(node.name, (str(path), node.lineno))
            files += [name for name in meta.find_referenced_templates(tree) if name is not None]
        return found


def _samples(name: str) -> list[dict[str, Any]]:
    must, may = VARIABLES[name]
    return [{variable: sample.get(variable, f"a {variable}") for variable in (*must, *may)} for sample in _SAMPLES]


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"served.prompts: {folder} is no folder; it must hold templates such as {JUDGE}{SUFFIX}")
    for path in sorted(folder.glob("*" + SUFFIX)):
        if path.stem not in VARIABLES and not path.name.startswith("_"):
            near = difflib.get_close_matches(path.stem, VARIABLES, n=1)
            hint = f"; did you mean {near[0]}{SUFFIX}?" if near else "."
            raise ValueError(
                f"served.prompts: {path} replaces no prompt{hint} There are "
                f"{', '.join(name + SUFFIX for name in VARIABLES)}; a file to be included starts with an underscore"
            )


def _fill(template: Template, variables: dict[str, Any]) -> str:
    try:
        return template.render(variables).strip()
    except Exception as error:  # a template is code: whatever it raises is its author's to mend
        # jinja2 gives the frames of a template the file and line of its source.
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(SUFFIX)]
        place = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else str(template.filename)
        raise ValueError(f"prompt template {place}: {type(error).__name__}: {error}") from error
