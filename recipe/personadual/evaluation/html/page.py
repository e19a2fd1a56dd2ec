"""``report.html`` from a ``Report``: the template filled, and the policy that guards the page."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from personadual.evaluation.html.contents import contents
from personadual.evaluation.html.words import finalize

if TYPE_CHECKING:
    from personadual.evaluation.report import Report

FOLDER = Path(__file__).parent


def render_page(report: Report, command: str = "") -> str:
    """The page. ``command`` is the command line that made the report, shown with those of the runs."""
    style, script = (FOLDER / "page.css").read_text("utf-8"), (FOLDER / "page.js").read_text("utf-8")
    return (
        environment()
        .get_template("page.jinja")
        .render(
            title=report.title,
            policy=policy(style, script),
            # The two files of this package are the only markup that is not escaped.
            style=Markup(style),
            script=Markup(script),
            **contents(report, command),
        )
    )


def environment() -> Environment:
    """Everything is escaped, nothing undefined passes, and unseen characters are spelt out (``words.finalize``)."""
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def policy(style: str, script: str) -> str:
    """Content security policy: this style and this script by their hashes, nothing else from anywhere."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
