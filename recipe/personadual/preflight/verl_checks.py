"""verl's own validation and the dataclasses that it makes of its blocks, before a worker does."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from personadual import checks
from personadual.preflight.findings import Finding, judged, not_looked_at, ok, refused
from personadual.preflight.setup import Setup


def verl_findings(setup: Setup) -> Iterator[Finding]:
    """``verl.utils.config.validate_config``, called as verl/trainer/main_ppo.py does (0.9.1), and the dataclasses."""
    from omegaconf import OmegaConf
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config: Any = OmegaConf.create(OmegaConf.to_container(setup.config, resolve=True))
    with quiet():
        critic, reference = need_critic(config), need_reference_policy(config)
    validation = verdict(
        "verl's validation",
        lambda: validate_config(config=config, use_reference_policy=reference, use_critic=critic),
    )
    # For LoRA it imports the engine (verl/third_party/vllm/__init__.py), which a dry run's machine need not have.
    if validation.found.startswith("vllm version None"):
        validation = not_looked_at(validation.what, validation.found, "pip install vllm", setup.dry_run)
    yield validation
    blocks = {"actor_rollout_ref.rollout": config.actor_rollout_ref.rollout}
    if reference:
        blocks["actor_rollout_ref.ref"] = _reference_block(config)
    if critic:
        blocks["critic"] = config.critic
    for key, block in blocks.items():
        yield verdict(key, lambda block=block: omega_conf_to_dataclass(block))  # type: ignore[misc]
    yield _model_verdict(setup, config.actor_rollout_ref.model)


def _reference_block(config: Any) -> Any:
    """The reference's block with the actor's names, as verl's worker renames it (engine_workers.py, init_model)."""
    from omegaconf import OmegaConf

    block = dict(config.actor_rollout_ref.ref)
    names = {"micro_batch_size": None, "micro_batch_size_per_gpu": None, "use_dynamic_bsz": False}
    renamed = {f"ppo_{name}": block.pop(f"log_prob_{name}", default) for name, default in names.items()}
    renamed["use_dynamic_bsz"] = renamed.pop("ppo_use_dynamic_bsz")
    renamed["ppo_max_token_len_per_gpu"] = block.pop("log_prob_max_token_len_per_gpu", None)
    return OmegaConf.create(
        {**block, **renamed, "ppo_mini_batch_size": config.actor_rollout_ref.actor.ppo_mini_batch_size}
    )


def _model_verdict(setup: Setup, block: Any) -> Finding:
    """verl's model block as its dataclass; with the model at hand built, else its keys and types alone."""
    from omegaconf import OmegaConf
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.config import HFModelConfig

    def build() -> None:
        OmegaConf.merge(OmegaConf.structured(HFModelConfig), block)
        if setup.model.folder is not None and setup.model.config is not None:
            # The tokenizer, and the template that is put on it, have been loaded; the rest is what verl reads there.
            known = {"path": setup.model.folder, "load_tokenizer": False, "custom_chat_template": None}
            whole: Any = OmegaConf.merge(block, known)
            omega_conf_to_dataclass(whole)

    return verdict(setup.model_key, build)


def sft_findings(setup: Setup) -> Iterator[Finding]:
    """What ``SFTTrainer`` converts before it loads a model (verl/trainer/sft_trainer.py:131, 0.9.1)."""
    from omegaconf import OmegaConf
    from verl.utils.config import omega_conf_to_dataclass

    from personadual.modes import Modes

    config: Any = OmegaConf.create(OmegaConf.to_container(setup.config, resolve=True))
    for key in ("engine", "optim", "checkpoint", "profiler"):
        yield verdict(key, lambda key=key: omega_conf_to_dataclass(config[key]))  # type: ignore[misc]
    yield _model_verdict(setup, config.model)
    yield verdict("data.modes", lambda: Modes.from_config(setup.plain("data.modes")))
    test_freq, files = setup.get("trainer.test_freq", -1), setup.plain("data.val_files")
    if test_freq == "after_each_epoch" or (isinstance(test_freq, int) and test_freq > 0):
        yield judged(
            "data.val_files",
            bool(files),
            f"files, as trainer.test_freq={test_freq} validates",
            files,
            "data.val_files=FILE, or trainer.test_freq=-1",
        )


def verdict(what: str, check: Callable[[], object]) -> Finding:
    """``check`` passes, or what it raises as a refusal; hydra's wrapping is taken off."""
    try:
        with quiet():
            check()
    except Exception as error:  # verl asserts, raises ValueError, and lets hydra and OmegaConf raise theirs
        cause = error
        while type(cause).__name__ == "InstantiationException" and cause.__cause__ is not None:
            cause = cause.__cause__  # type: ignore[assignment]
        text = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        return refused(what, ValueError(text) if not isinstance(cause, checks.ConfigError) else cause)
    return ok(what, "accepted")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """verl prints and warns while it validates; stdout belongs to the configuration and the findings."""
    logger = logging.getLogger("personadual")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
