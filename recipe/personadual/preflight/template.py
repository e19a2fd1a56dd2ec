"""The chat template under the model's own tokenizer: where a forced tag would stand, and what SFT would teach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from personadual import checks
from personadual.data_prep.template_checks import generation_prompt_problems, probe_messages, sft_problems
from personadual.data_prep.validation.catalogue import CHECKS, ERROR
from personadual.modes import Modes, deciding_position, encode_prefixes
from personadual.preflight.findings import WARNING, Finding, judged, ok, refused
from personadual.preflight.setup import RL, Setup

THINKING = "enable_thinking"
_RL_KEY = f"+data.apply_chat_template_kwargs.{THINKING}=False"
_SFT_KEYS = f"{_RL_KEY} data.enable_thinking_default=false"


def template_findings(setup: Setup) -> Iterator[Finding]:
    yield from setup.model.findings
    tokenizer, modes = setup.model.tokenizer, setup.settings.modes
    if tokenizer is None:
        return
    vocabulary = getattr(setup.model.config.get_text_config(), "vocab_size", None)
    yield from tokenizer_findings(tokenizer, vocabulary)
    try:
        prefixes = encode_prefixes(tokenizer, modes)
    except ValueError as error:
        yield refused("mode tags", error)
        return
    yield tag_finding(setup, prefixes)
    if not getattr(tokenizer, "chat_template", None):
        needed, mend = (
            "an instruct model's chat template",
            f"take the instruct model, or {setup.model_key}.custom_chat_template",
        )
        yield judged("chat template", False, needed, "none", mend)
        return
    yield from generation_findings(tokenizer, modes, setup.template_kwargs)
    if setup.kind == RL:
        if setup.settings.free_share < 1:
            yield from rl_thinking_findings(tokenizer, setup.template_kwargs)
    else:
        own = not setup.get("data.custom_cls.path")
        yield from sft_findings(tokenizer, modes, setup.template_kwargs, own)
        yield from sft_thinking_findings(tokenizer, setup.plain("data") or {})


def tag_finding(setup: Setup, prefixes: Sequence[Sequence[int]]) -> Finding:
    """Where the tags part, and whether that tells each mode from every other, as RL's settings may need."""
    if setup.kind == RL:
        try:
            warning = checks.check_deciding_token(setup.config, setup.settings, prefixes, setup.model.tokenizer)
        except checks.ConfigError as error:
            return refused("mode tags", error)
        if warning:
            return Finding("mode tags", WARNING, warning)
    column = deciding_position(prefixes)
    decided = ", ".join(repr(setup.model.tokenizer.decode([ids[column]])) for ids in prefixes)
    return ok("mode tags", f"they part at token {column + 1}: {decided}")


def tokenizer_findings(tokenizer: Any, vocabulary: int | None) -> Iterator[Finding]:
    yield judged(
        "end token",
        tokenizer.eos_token_id is not None,
        "eos_token in the tokenizer: rollouts stop there",
        tokenizer.eos_token,
        "set eos_token in tokenizer_config.json to the token that ends an assistant turn",
    )
    yield judged(
        "padding token",
        tokenizer.pad_token_id is not None,
        "pad_token in the tokenizer; verl takes the end token in its place",
        tokenizer.pad_token,
        "set pad_token in tokenizer_config.json",
        WARNING,
    )
    if vocabulary is not None:
        yield judged(
            "vocabulary",
            len(tokenizer) <= vocabulary,
            f"at most the model's vocab_size={vocabulary}",
            f"{len(tokenizer)} tokens in the tokenizer",
            "take the model's own tokenizer, or resize the model's embeddings",
        )


def generation_findings(tokenizer: Any, modes: Modes, kwargs: dict[str, Any]) -> Iterator[Finding]:
    """A think block left open, a tag that is there already, a tag that tokenises otherwise behind the prompt."""
    try:
        problems = list(generation_prompt_problems(tokenizer, modes, probe_messages(modes)[:-1], **kwargs))
    except Exception as error:  # a template may raise anything
        yield refused("chat template", ValueError(f"{type(error).__name__}: {error}"), "see what the template asks for")
        return
    mends = {
        "opens-thinking": f"turn thinking off ({_RL_KEY}), or take another template: a forced tag would stand inside "
        "the thoughts"
    }
    for problem in problems:
        check = CHECKS[problem.check]
        yield Finding(
            problem.check, check.severity, problem.found, check.required, mends.get(problem.check, check.mend)
        )
    if not problems:
        yield ok("generation prompt", "the tag follows it, and nothing is open")


def rl_thinking_findings(tokenizer: Any, kwargs: dict[str, Any]) -> Iterator[Finding]:
    """Templates with a switch think unless it is off, and a thinking model writes its tag before its thoughts."""
    if THINKING in str(tokenizer.chat_template):
        yield judged(
            THINKING,
            kwargs.get(THINKING) is False,
            "false in rollouts as in SFT, for the tag to be followed by the answer's own reasoning",
            kwargs.get(THINKING, "not set, which is true"),
            _RL_KEY,
            WARNING,
        )


def sft_findings(tokenizer: Any, modes: Modes, kwargs: dict[str, Any], verl_dataset: bool) -> Iterator[Finding]:
    """What verl's own SFT data set would make of the template; ours is not touched by it."""
    mend = "data.custom_cls.path=pkg://personadual.sft data.custom_cls.name=PromptResponseDataset"
    if not verl_dataset:
        yield ok("SFT data set", "puts the RL prompt and the response together itself")
        return
    problems = list(sft_problems(tokenizer, modes, **kwargs))
    for problem in problems:
        check = CHECKS[problem.check]
        # verl refuses the first row whose turns apart are not the whole (multiturn_sft_dataset.py, sanity_check).
        severity = ERROR if problem.check == "turns-apart" else check.severity
        yield Finding(problem.check, severity, problem.found, check.required, mend)
    if not problems:
        yield ok("SFT data set", "verl's own gives the RL prompt and the response")


def sft_thinking_findings(tokenizer: Any, data: dict[str, Any]) -> Iterator[Finding]:
    """verl's default for SFT is the text "none", which counts as true (multiturn_sft_dataset.py, 0.9.1)."""
    from personadual.sft import template_kwargs

    switch = THINKING in str(tokenizer.chat_template)
    try:
        kwargs = template_kwargs(data)
    except ValueError as error:
        said = refused(THINKING, error, _SFT_KEYS)
        yield said if switch else Finding(said.what, WARNING, said.found, mend=said.mend)
        return
    if switch:
        yield judged(
            THINKING, kwargs.get(THINKING) is False, "false, as in rollouts", kwargs.get(THINKING), _SFT_KEYS, WARNING
        )
