"""What the trainer mixin, the estimator and the metrics take for granted about verl's V1 trainers."""

import inspect
import re

import pytest
from omegaconf import OmegaConf
from verl.trainer import main_ppo
from verl.trainer.ppo import padding_utils
from verl.trainer.ppo.v1 import agent_loop_tq, get_trainer_cls, trainer_base
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.trainer.ppo.v1.utils import MetricsAggregator, compute_advantage_for_multi_trajectories
from verl.utils.debug import metrics as debug_metrics

from personadual.trainer import DualGRPOMixin

OVERRIDDEN = {
    "_init_dataloader": ["self"],
    "_compute_old_log_prob": ["self", "batch", "metrics"],
    "_compute_advantage": ["self", "batch", "metrics"],
    "_val_metrics_update": [
        "self",
        "data_sources",
        "sample_uids",
        "reward_extra_infos_dict",
        "sample_turns",
        "expected_acc_counts",
    ],
}
MODES = ["sync", "colocate_async", "separate_async"]


@pytest.mark.parametrize("name", OVERRIDDEN)
@pytest.mark.parametrize("mode", MODES)
def test_the_overridden_methods_have_the_known_parameters(mode, name):
    """Also where one of the three trainers overrides the method again."""
    found = list(inspect.signature(getattr(get_trainer_cls(mode), name)).parameters)
    assert found == OVERRIDDEN[name], f"trainer.DualGRPOMixin.{name} must be adapted to {found}"


def test_every_method_that_the_mixin_calls_above_itself_exists():
    called = set(re.findall(r"super\(\)\.(\w+)\(", inspect.getsource(DualGRPOMixin)))
    assert called == {"__init__", *OVERRIDDEN}
    for name in called:
        assert hasattr(PPOTrainer, name)


@pytest.mark.parametrize("mode", MODES)
def test_our_trainer_of_a_mode_is_verls_with_the_mixin_in_front(mode):
    ours = get_trainer_cls(f"dual_grpo_{mode}")
    assert ours.base_mode == mode
    assert ours.__mro__[1:3] == (DualGRPOMixin, get_trainer_cls(mode))


def test_verl_still_compares_the_trainers_name_with_a_literal():
    source = inspect.getsource(trainer_base)
    assert re.search(r'self\.trainer_mode (==|!=) "sync"', source), (
        "verl no longer compares the name: trainer.DualGRPOMixin.base_mode may be dropped"
    )
    assert "self.config.trainer.v1.get(self.trainer_mode" in source


def test_main_looks_trainer_and_manager_up_by_the_keys_that_our_config_sets():
    source = inspect.getsource(main_ppo)
    assert "get_trainer_cls(config.trainer.v1.trainer_mode)" in source
    assert '"agent_loop_manager_class"' in source and "load_class_from_fqn" in source


def test_the_tokenizer_is_there_before_the_data():
    source = inspect.getsource(PPOTrainer)
    assert 0 < source.index("self._init_tokenizer()") < source.index("self._init_dataloader()"), (
        "trainer._init_dataloader encodes the prefixes with self.tokenizer"
    )


def test_the_data_sets_are_kept_on_the_trainer():
    source = inspect.getsource(PPOTrainer._init_dataloader)
    assert "self.train_dataset =" in source and "self.val_dataset =" in source, "checks.check_datasets reads them"


def test_old_log_probs_come_before_advantages_and_both_get_metrics_by_keyword():
    source = inspect.getsource(PPOTrainer._step_once)
    steps = ["_balance_batch(", "_compute_old_log_prob(batch, metrics=", "_compute_advantage(batch, metrics="]
    places = [source.index(step) for step in steps]
    assert places == sorted(places), "the rows that the mixin reads are the balanced ones, with old log-probs"


def test_the_estimator_is_called_in_the_trainers_own_process_in_the_order_of_the_keys():
    source = inspect.getsource(PPOTrainer._compute_advantage)
    assert "compute_advantage_for_multi_trajectories(" in source and ".remote(" not in source, (
        "the context variable estimator.ROLLOUT_ROWS reaches no other process"
    )
    assert "keys=batch.keys" in source
    assert "adv_estimator != core_algos.AdvantageEstimator.GRPO" in inspect.getsource(
        compute_advantage_for_multi_trajectories
    ), "estimators other than GRPO get all rows as they are"


def test_the_fields_that_we_read_of_a_row_are_stored():
    stored = inspect.getsource(agent_loop_tq) + inspect.getsource(trainer_base)
    for field in ("uid", "rm_scores", "data_source", "extra_fields", "rollout_log_probs", "old_log_probs"):
        assert f'"{field}"' in stored, f"trainer.py selects {field!r} from the batch"


def test_validation_reads_what_the_reward_returned():
    source = inspect.getsource(PPOTrainer._validate)
    assert "reward_extra_info" in source and "self._val_metrics_update(" in source, (
        "trainer._val_metrics_update finds asked modes, items and mode indicators there"
    )


def test_a_batch_is_drawn_by_the_number_of_prompts_that_metrics_are_counted_against():
    assert "train_batch_size // self.parameter_sync_step" in inspect.getsource(PPOTrainer.step)
    assert "batch_size=sample_batch_size" in inspect.getsource(PPOTrainer._step_once)


@pytest.mark.parametrize(
    ("buffer", "replaced"), [(ReplayBuffer, set()), (ReplayBufferAsync, {"short", "lost"})], ids=["sync", "async"]
)
def test_only_the_async_trainers_replace_prompts_of_which_a_session_failed(buffer, replaced):
    """What docs/method.md says of ``dual_grpo/missing``; a group whose sessions returned nothing has finished."""
    made = buffer("sync", OmegaConf.create({}), None, "drop", OmegaConf.create({}))
    made.partitions["train"] = {"short_0_0": {}}
    made.failure_keys["train"], made.finished_keys["train"] = {"short", "lost"}, {"silent"}
    reasons = made._terminal_eviction_reasons(1, "train")
    assert set().union(*reasons[:3]) == replaced
    assert made._sampleable_terminal_keys("train", reasons) == {"short", "lost", "silent"} - replaced


def test_a_batch_without_any_rollout_ends_a_sync_run(monkeypatch):
    monkeypatch.setattr(ReplayBuffer, "_sync_metadata_from_transfer_queue", lambda self: None)
    made = ReplayBuffer("sync", OmegaConf.create({}), None, "drop", OmegaConf.create({}))
    made.failure_keys["train"] = {"lost", "gone"}
    with pytest.raises(RuntimeError, match=r"no materializable trajectories.*sync_refill_failed_groups"):
        made.sample(1, "train", 2)


def test_padding_rows_are_tagged():
    assert "is_padding=True" in inspect.getsource(padding_utils), "trainer._rollout_rows leaves tagged rows out"


def test_the_debug_metrics_take_what_we_hand_them():
    source = inspect.getsource(debug_metrics.calculate_debug_metrics)
    for field in ("rollout_log_probs", "old_log_probs", "responses", "response_mask"):
        assert f'"{field}"' in source, "trainer._compute_old_log_prob computes them again with these fields"


def test_metrics_are_merged_by_words_in_their_names():
    kinds = {name: MetricsAggregator()._get_aggregation_type(f"dual_grpo/{name}/mean") for name in ("summary", "math")}
    assert kinds == {"summary": "sum", "math": "weighted_avg"}, (
        "verl no longer picks the aggregation by substring: metrics.metric_label may be dropped"
    )


def test_the_algorithms_config_is_not_checked_by_verl():
    source = inspect.getsource(PPOTrainer._compute_advantage)
    assert "config=self.config.algorithm" in source, "the estimator reads dual_grpo from the raw block"
