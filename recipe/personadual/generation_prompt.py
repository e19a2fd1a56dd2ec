"""What a forced tag would stand behind: the end of the chat template's generation prompt, as the trainer judges it."""

from __future__ import annotations

from typing import Any

from personadual.checks import ConfigError
from personadual.preflight.template import generation_findings
from personadual.settings import BLOCK, DualGRPOSettings

_NO_PLACE = ("opens-thinking", "tag-in-generation-prompt")
"""With these a forced tag does not begin an answer, though rollouts, rewards and metrics take it that it does."""


def check_generation_prompt(config: Any, settings: DualGRPOSettings, tokenizer: Any) -> list[str]:
    """Nothing is open where a mode's tag is forced, with the template called as rollouts call it.

    ``personadual doctor`` says more; this is for runs that it was not asked about.

    Returns:
        What to warn of: whatever else was found, and that too where no training rollout is forced.

    Raises:
        ConfigError: an open think block, or a tag that the template writes itself, where rollouts are forced.
    """
    if not getattr(tokenizer, "chat_template", None):
        return []  # verl's rollouts say so themselves, or write the prompt without one
    kwargs = dict(config.data.get("apply_chat_template_kwargs") or {})
    warnings = []
    for finding in generation_findings(tokenizer, settings.modes, kwargs):
        if finding.ok:
            continue
        required = f"required is {finding.required}, " if finding.required else ""
        told = f"{finding.what}: {required}found: {finding.found}. To mend it: {finding.mend}"
        if finding.what in _NO_PLACE and settings.free_share < 1:
            raise ConfigError(f"{told} ({BLOCK}.free_share=1 forces none)")
        warnings.append(told)
    return warnings
