"""Which row of a training batch is in which mode: by its key, in whatever order verl has put the batch."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from personadual import schema, trainer
from personadual.estimator import ROLLOUT_ROWS
from personadual.modes import INVALID_MODE
from personadual.prefix import adopt_prefix_log_probs
from personadual.settings import DualGRPOSettings

LENGTHS = {"a_0_0": 3, "a_1_0": 5, "b_0_0": 4, "b_1_0": 6, "b_2_0": 2}


def entry(mode: int, forced: bool = True) -> dict:
    told = {"mode": mode, "prefix_len": 2 + mode, "usual_tokens": mode == 0, "forced": forced}
    return {schema.ROLLOUT_FIELD: told, "num_cached_tokens": 6}


STORED = {
    "a_0_0": entry(0), "a_1_0": entry(1), "b_0_0": entry(0), "b_1_0": entry(1),
    "b_2_0": {schema.ROLLOUT_FIELD: {"mode": INVALID_MODE, "prefix_len": 0, "usual_tokens": False, "forced": False}},
}  # fmt: skip


def log_probs(key: str) -> torch.Tensor:
    """Of each token of a row: told apart by the row's length."""
    return -torch.arange(1, LENGTHS[key] + 1) / LENGTHS[key]


def batch_of(keys, padding=()):
    tags = [{"prompt_len": 12, "is_padding": key in padding} for key in keys]
    return SimpleNamespace(keys=list(keys), tags=tags, partition_id="train")


@pytest.fixture
def ours(monkeypatch):
    """The mixin over a store that gives what is asked for by key, as TransferQueue does."""
    reads = []

    def kv_batch_get(keys, partition_id, select_fields):
        reads.append(list(select_fields))
        fields = {
            "extra_fields": [STORED[key] for key in keys],
            "old_log_probs": torch.nested.nested_tensor([log_probs(key) for key in keys], layout=torch.jagged),
        }
        return {name: fields[name] for name in select_fields}

    monkeypatch.setattr(trainer.tq, "kv_batch_get", kv_batch_get)
    made = object.__new__(trainer.DualGRPOTrainerSync)
    made.deciding_position, made.global_steps, made.reads = 1, 7, reads
    return made


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [3, 4, 1, 0, 2]])
def test_modes_follow_their_rows_through_any_order(ours, order):
    keys = [list(STORED)[position] for position in order]
    rows, _ = ours._rollout_rows(batch_of(keys))
    expected = [STORED[key][schema.ROLLOUT_FIELD] for key in keys]
    assert rows.modes.tolist() == [told["mode"] for told in expected]
    assert rows.prefix_lengths.tolist() == [told["prefix_len"] for told in expected]
    assert rows.usual_tokens.tolist() == [told["usual_tokens"] for told in expected]
    assert rows.forced.tolist() == [told["forced"] for told in expected]
    # The deciding token is a forced row's second one.
    probs = [
        log_probs(key)[1].exp().item() if told["forced"] else None for key, told in zip(keys, expected, strict=True)
    ]
    found = [None if value != value else value for value in rows.choice_probs.tolist()]
    assert found == [pytest.approx(value) if value else None for value in probs]
    assert rows.step == 7


def test_padding_has_no_mode_of_its_own(ours):
    rows, _ = ours._rollout_rows(batch_of(["a_1_0", "a_0_0"], padding=["a_1_0"]))
    assert rows.padding.tolist() == [True, False]
    assert rows.modes.tolist() == [INVALID_MODE, 0] and rows.forced.tolist() == [False, True]


def test_a_response_without_a_token_is_in_no_mode_whatever_its_rollout_says(ours, monkeypatch):
    monkeypatch.setitem(LENGTHS, "a_1_0", 0)
    batch = batch_of(["a_0_0", "a_1_0", "b_1_0"])
    for tag, key in zip(batch.tags, batch.keys, strict=True):
        tag["response_len"] = LENGTHS[key]
    rows, old = ours._rollout_rows(batch)
    assert rows.modes.tolist() == [0, INVALID_MODE, 1] and rows.prefix_lengths.tolist() == [2, 0, 3]
    assert rows.forced.tolist() == [True, False, True] and not rows.padding.any()
    assert rows.choice_probs.isnan().tolist() == [False, True, False], "there is no token whose probability it is"
    given = torch.nested.nested_tensor([log_probs(key) - 1 for key in batch.keys], layout=torch.jagged)
    adopted = adopt_prefix_log_probs(given, old, rows.prefix_lengths, rows.forced)
    assert [len(row) for row in adopted.unbind()] == [3, 0, 6]


@pytest.mark.parametrize(
    ("sync_step", "expected"), [(1, (6 / 8, 1, 2 / 4)), (2, (1 / 2, 1, 0))], ids=["sync", "two mini-steps"]
)
def test_what_is_missing_is_counted_against_the_prompts_that_verl_draws_at_once(ours, monkeypatch, sync_step, expected):
    """Batches of four prompts with two rollouts each; here are one row of a and one of b."""
    keys = ["a_0_0", "b_1_0"]
    scores = torch.nested.nested_tensor([log_probs(key) for key in keys], layout=torch.jagged)
    stored = {"uid": ["a", "b"], "rm_scores": scores, "data_source": ["math", "math"]}
    rows, _ = ours._rollout_rows(batch_of(keys))
    monkeypatch.setattr(trainer.tq, "kv_batch_get", lambda keys, partition_id, select_fields: stored)
    ours.dual_grpo, ours.parameter_sync_step = DualGRPOSettings(), sync_step
    ours.config = OmegaConf.create(
        {"data": {"train_batch_size": 4}, "algorithm": {"use_kl_in_reward": False},
         "actor_rollout_ref": {"rollout": {"n": 2}}}
    )  # fmt: skip
    found = ours._mode_metrics(batch_of(keys), rows)
    names = ("missing", "short_groups", "lost_groups")
    assert tuple(found[f"dual_grpo/{name}/mean"] for name in names) == expected


def test_a_rollout_without_a_mode_is_refused_by_its_key(ours, monkeypatch):
    monkeypatch.setitem(STORED, "a_1_0", {})
    with pytest.raises(RuntimeError, match=r"rollout a_1_0 does not say in which mode it is.*agent_loop_manager_class"):
        ours._rollout_rows(batch_of(["a_0_0", "a_1_0"]))
    # A row that only fills the batch up needs none.
    ours._rollout_rows(batch_of(["a_0_0", "a_1_0"], padding=["a_1_0"]))


def test_a_session_with_several_outputs_is_refused(ours, monkeypatch):
    monkeypatch.setitem(STORED, "a_0_1", entry(0))
    monkeypatch.setitem(LENGTHS, "a_0_1", 3)
    with pytest.raises(RuntimeError, match="rollout a_0_1 is a further output of one session"):
        ours._rollout_rows(batch_of(["a_0_0", "a_0_1"]))


@pytest.mark.parametrize("same", [True, False])
def test_rows_that_were_read_for_another_batch_are_not_used(ours, monkeypatch, same):
    used = []
    monkeypatch.setattr(
        trainer.PPOTrainer, "_compute_advantage", lambda self, batch, metrics: used.append(ROLLOUT_ROWS.get())
    )
    monkeypatch.setattr(trainer.DualGRPOMixin, "_mode_metrics", lambda self, batch, rows: {})
    before = batch_of(["a_0_0", "b_1_0"])
    ours._known_rows = (before.keys, ours._rollout_rows(before)[0])
    ours._compute_advantage(before if same else batch_of(["b_1_0", "a_0_0"]), {})
    assert used[0].modes.tolist() == ([0, 1] if same else [1, 0])
    assert len(ours.reads) == (1 if same else 2) and ours._known_rows is None and ROLLOUT_ROWS.get() is None
