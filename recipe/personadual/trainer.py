"""Where the modes of a batch meet verl's advantage: a thin mixin over the three V1 trainers of verl 0.9.

No method body of verl is copied; each override prepares, calls verl's own method, and reads what came of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import open_dict
from verl import DataProto
from verl.trainer.ppo.v1 import (
    PPOTrainer,
    PPOTrainerColocateAsync,
    PPOTrainerSeparateAsync,
    PPOTrainerSync,
    register_trainer,
)
from verl.utils.debug.metrics import calculate_debug_metrics

from personadual import checks, schema
from personadual.advantage import dual_grpo_terms
from personadual.estimator import ROLLOUT_ROWS, RolloutRows
from personadual.generation_prompt import check_generation_prompt
from personadual.metrics import training_metrics, validation_metrics
from personadual.modes import INVALID_MODE, Modes, deciding_position, encode_prefixes
from personadual.prefix import adopt_prefix_log_probs, choice_probs
from personadual.settings import DualGRPOSettings
from personadual.validation import indices, lost_rollouts, split_counts, split_source

logger = logging.getLogger(__name__)


class DualGRPOMixin(PPOTrainer):
    """Gives verl's trainer the modes of its rollouts. Works with ``adv_estimator=dual_grpo`` and with verl's own.

    ``base_mode`` is the trainer_mode of verl's class: verl compares the configured name with the literal "sync"
    (trainer_base.py:153, 731, 902, 912, 1004, 1499) and reads ``trainer.v1.<name>``, so the registered name must be
    replaced by it before verl's constructor runs.
    """

    base_mode: str
    _known_rows: tuple[list[str], RolloutRows] | None = None
    """Rows of a batch whose old log-probs were just computed, by its keys: its advantages are next."""

    def __init__(self, config: Any):
        self.dual_grpo = DualGRPOSettings.from_config(config.algorithm.get("dual_grpo"))
        checks.check_trainer_config(config, self.dual_grpo)
        with open_dict(config):
            config.trainer.v1.trainer_mode = self.base_mode
            fix_modes(config, self.dual_grpo.modes)
        super().__init__(config)

    def _init_dataloader(self) -> None:
        prefixes = encode_prefixes(self.tokenizer, self.dual_grpo.modes)
        checks.check_response_length(self.config, self.dual_grpo, prefixes)
        shared = checks.check_deciding_token(self.config, self.dual_grpo, prefixes, self.tokenizer)
        for warning in (shared, *check_generation_prompt(self.config, self.dual_grpo, self.tokenizer)):
            if warning:
                logger.warning(warning)
        self.deciding_position = deciding_position(prefixes)
        super()._init_dataloader()
        loaded = {"data.train_files": self.train_dataset, "data.val_files": self.val_dataset}
        frames = {key: getattr(dataset, "dataframe", None) for key, dataset in loaded.items()}
        known = {key: frame for key, frame in frames.items() if frame is not None}
        checks.check_datasets(self.config, self.dual_grpo, known)

    def _compute_old_log_prob(self, batch: Any, metrics: dict) -> Any:
        """After verl's: forced prefix tokens get the actor's log-prob as rollout log-prob.

        They were written by us and not sampled, so there is no mismatch between rollout and actor to correct: their
        importance weight is 1 and no sequence is rejected for them. (With bypass mode verl would learn from the
        placeholder itself; checks.py refuses that.)
        """
        batch = super()._compute_old_log_prob(batch, metrics)
        self._known_rows = None
        if self.config.actor_rollout_ref.rollout.calculate_log_probs:
            self._adopt_prefix_log_probs(batch, metrics)
        return batch

    def _adopt_prefix_log_probs(self, batch: Any, metrics: dict) -> None:
        rows, old = self._rollout_rows(batch)
        self._known_rows = (list(batch.keys), rows)
        if not rows.forced.any():
            return
        fields = ["rollout_log_probs", "response_mask", "responses"]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        data["old_log_probs"] = old
        data["rollout_log_probs"] = adopt_prefix_log_probs(
            data["rollout_log_probs"], old, rows.prefix_lengths, rows.forced
        )
        tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=data.select("rollout_log_probs"))
        metrics.update(calculate_debug_metrics(DataProto(batch=data.to_padded_tensor())))

    def _compute_advantage(self, batch: Any, metrics: dict) -> Any:
        known, self._known_rows = self._known_rows, None
        rows = known[1] if known is not None and known[0] == list(batch.keys) else self._rollout_rows(batch)[0]
        token = ROLLOUT_ROWS.set(rows)
        try:
            batch = super()._compute_advantage(batch, metrics)
        finally:
            ROLLOUT_ROWS.reset(token)
        metrics.update(self._mode_metrics(batch, rows))
        return batch

    def _rollout_rows(self, batch: Any) -> tuple[RolloutRows, torch.Tensor]:
        """Modes of the batch, in the order of ``batch.keys`` (verl pads and reorders rows before this), and the old
        log-probs that were read for them, jagged (B, T).
        """
        wanted = ["extra_fields", "old_log_probs"]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=wanted)
        fields = [plain_entry(entry) for entry in data["extra_fields"]]
        entries = [entry.get(schema.ROLLOUT_FIELD) for entry in fields]
        padding = [bool(tag.get("is_padding", False)) for tag in batch.tags]
        for key, entry, is_padding in zip(batch.keys, entries, padding, strict=True):
            if is_padding:
                continue
            if entry is None:
                raise RuntimeError(
                    f"rollout {key} does not say in which mode it is. Set actor_rollout_ref.rollout.agent."
                    f"agent_loop_manager_class={checks.MANAGER_CLASS}, and leave the data column agent_name out or at "
                    f"{schema.AGENT_NAME}."
                )
            if not key.endswith("_0"):
                raise RuntimeError(
                    f"rollout {key} is a further output of one session; DualGRPO trains single-output agent loops"
                )
        # A padding row carries the entry of the row it was copied from: it has no mode of its own. Nor has a response
        # without a token, which verl lets through only where the reward comes later (AgentLoopOutput.as_dict).
        bare = [told or tag.get("response_len") == 0 for told, tag in zip(padding, batch.tags, strict=True)]
        known = [None if is_bare else entry for entry, is_bare in zip(entries, bare, strict=True)]
        prefix_lengths = torch.tensor([0 if e is None else int(e["prefix_len"]) for e in known])
        forced = torch.tensor([e is not None and bool(e["forced"]) for e in known])
        old = data["old_log_probs"].to_padded_tensor(padding=0.0)
        rows = RolloutRows(
            modes=torch.tensor([INVALID_MODE if e is None else int(e["mode"]) for e in known]),
            prefix_lengths=prefix_lengths,
            usual_tokens=torch.tensor([e is not None and bool(e["usual_tokens"]) for e in known]),
            forced=forced,
            padding=torch.tensor(padding),
            cached=torch.tensor([_cached_share(entry, tag) for entry, tag in zip(fields, batch.tags, strict=True)]),
            deciding_position=self.deciding_position,
            choice_probs=choice_probs(old, prefix_lengths, forced, self.deciding_position),
            step=self.global_steps,
        )
        return rows, data["old_log_probs"]

    def _mode_metrics(self, batch: Any, rows: RolloutRows) -> dict[str, float]:
        # What the estimator saw: with use_kl_in_reward that is the score less the KL penalty, else verl stores it once.
        seen = "token_level_rewards" if self.config.algorithm.use_kl_in_reward else "rm_scores"
        fields = sorted({"uid", "rm_scores", seen, "data_source"})
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        rewards = data["rm_scores"].to_padded_tensor(padding=0.0).sum(-1)
        terms = dual_grpo_terms(
            data[seen].to_padded_tensor(padding=0.0).sum(-1),
            rows.modes,
            [plain_entry(uid) for uid in data["uid"]],
            norm_by_std=bool(self.config.algorithm.get("norm_adv_by_std_in_grpo", True)),
            std_scope=self.dual_grpo.std_scope,
            gap_centering=self.dual_grpo.centering_at(rows.step),
        )
        sources = [str(plain_entry(source)) for source in data["data_source"]]
        settings = self.dual_grpo
        # As many as verl draws from the replay buffer at once (trainer_base.py, step): in the sync trainer the prompts
        # that were asked, in the async ones such of which no session failed (replay_buffer.py).
        prompts = int(self.config.data.train_batch_size) // int(self.parameter_sync_step)
        asked = (prompts, int(self.config.actor_rollout_ref.rollout.n))
        return training_metrics(rows, terms, rewards, sources, settings.modes, settings.collapse_below, asked)

    def _val_metrics_update(
        self,
        data_sources: Any,
        sample_uids: Any,
        reward_extra_infos_dict: Any,
        sample_turns: Any,
        expected_acc_counts: dict[tuple[str, str], int] | None = None,
    ) -> dict[str, float]:
        """verl's validation metrics, with forced rows under a data source of their own, and ours beside them.

        ``val-dual`` needs what our reward functions return; forced rows are told apart under any.
        """
        infos, modes = dict(reward_extra_infos_dict), self.dual_grpo.modes
        uids, mode_of = [str(uid) for uid in sample_uids], self._asked_modes()
        indicators = [schema.MODE_KEY_PREFIX + name for name in modes.names]
        ours = {schema.ACC, schema.ASKED_MODE, schema.ITEM, *indicators} <= infos.keys()
        items: list[int] = []
        if ours:
            told, items = indices(infos.pop(schema.ASKED_MODE)), indices(infos.pop(schema.ITEM))
            mode_of |= {uid: modes.names[mode] for uid, mode in zip(uids, told, strict=True) if mode != INVALID_MODE}
        expected = expected_acc_counts or {}
        metrics = super()._val_metrics_update(
            [split_source(source, mode_of.get(uid)) for source, uid in zip(data_sources, uids, strict=True)],
            sample_uids,
            infos,
            sample_turns,
            expected_acc_counts=split_counts(expected, mode_of),
        )
        if not ours:
            return metrics
        acc, written = infos[schema.ACC], zip(*(infos[key] for key in indicators), strict=True)
        chosen = [next((index for index, value in enumerate(row) if value), INVALID_MODE) for row in written]
        asked = [modes.index_of(mode_of[uid]) if uid in mode_of else INVALID_MODE for uid in uids]
        scored = [row for row, value in enumerate(acc) if value is not None]

        def pick(values: list) -> list:
            return [values[row] for row in scored]

        return metrics | validation_metrics(
            pick([str(source) for source in data_sources]),
            pick(items),
            pick(asked),
            pick(chosen),
            pick(acc),
            modes,
            lost_rollouts(expected, uids, acc, mode_of, modes),
        )

    def _asked_modes(self) -> dict[str, str]:
        """uid -> mode, of this validation's forced rows, also of those of which no sample came back."""
        known: dict[str, str] = getattr(self.agent_loop_manager, "asked_modes", {})
        found = dict(known)
        known.clear()
        return found


def fix_modes(config: Any, modes: Modes) -> None:
    """Put the modes in the place of a modes file's path, for estimator and reward, in ``config`` (open for writing).

    verl hands this config on to every worker, now and at each rollout. A file that is edited during a run would else
    force new tags while the reward still looks for the old ones.
    """
    block = config.algorithm.dual_grpo
    if isinstance(block.get("modes"), str):
        block.modes = modes.to_config()
    kwargs: Any = (config.reward.get("custom_reward_function") or {}).get("reward_kwargs") or {}
    if checks.uses_our_reward(config) and isinstance(kwargs.get("modes"), str):
        kwargs.modes = Modes.from_config(kwargs.modes).to_config()


def _cached_share(extra_fields: Mapping[str, Any], tag: Mapping[str, Any]) -> float:
    """Cached tokens (verl/workers/rollout/vllm_rollout/vllm_async_server.py:704) of those that the engine was given.

    These are the prompt's and, behind them, a forced prefix's. NaN if either number is not known.
    """
    cached, prompt = extra_fields.get("num_cached_tokens"), tag.get("prompt_len")
    if cached is None or not prompt:
        return float("nan")
    entry = extra_fields.get(schema.ROLLOUT_FIELD) or {}
    return cached / (prompt + (entry["prefix_len"] if entry.get("forced") else 0))


def plain_entry(value: Any) -> Any:
    """A non-tensor entry as TransferQueue returns it: tensordict may wrap it in NonTensorData."""
    return getattr(value, "data", value)


@register_trainer("dual_grpo_sync")
class DualGRPOTrainerSync(DualGRPOMixin, PPOTrainerSync):
    base_mode = "sync"


@register_trainer("dual_grpo_colocate_async")
class DualGRPOTrainerColocateAsync(DualGRPOMixin, PPOTrainerColocateAsync):
    base_mode = "colocate_async"


@register_trainer("dual_grpo_separate_async")
class DualGRPOTrainerSeparateAsync(DualGRPOMixin, PPOTrainerSeparateAsync):
    base_mode = "separate_async"
