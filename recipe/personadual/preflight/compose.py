"""The configuration as verl's trainer would get it, and hydra's refusals as one sentence."""

from __future__ import annotations

from typing import Any


class UsageError(ValueError):
    """A configuration that hydra can't compose: one sentence."""


def compose(config_module: str, config_name: str, overrides: list[str]) -> Any:
    """The composed configuration (DictConfig), every interpolation resolved.

    Raises:
        UsageError: no such config or key, or an override that can't be read.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_module(config_module=config_module, version_base=None):
            config = hydra_compose(config_name=config_name, overrides=overrides)
        OmegaConf.resolve(config)
        return config
    except (HydraException, OmegaConfBaseException, ImportError) as error:
        raise UsageError(_sentence(error)) from error


def _sentence(error: BaseException) -> str:
    """Hydra's message on one line, without the lists of search paths, and with what was behind it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = []
    for line in lines:
        if line.startswith(("Config search path", "provider=", "full_key", "object_type", "See https://")):
            break
        kept.append(line)
    override = getattr(error, "override", None)
    if override is not None and str(override) not in " ".join(kept):
        kept.insert(0, f"{override}:")
    cause = error.__cause__
    if cause is not None and str(cause) and str(cause).splitlines()[0] not in " ".join(kept):
        kept.append(str(cause).splitlines()[0])
    return " ".join(kept) or type(error).__name__
