"""``personadual doctor`` refuses each of a table of planted misconfigurations, before Ray starts, and says the fix."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from flat_configs import MODULE, write_flat_configs
from preflight_place import RL_BASE, SFT_BASE, TAG_IN_TEMPLATE, A, make_place, rl, sft, write

from personadual import cli, schema
from personadual.data_prep.columns import RL_SCHEMA, SFT_SCHEMA


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = make_place(tmp_path_factory.mktemp("preflight"))
    write_flat_configs(folder)
    return folder


@pytest.fixture
def doctor(place, capsys, monkeypatch):
    """Runs the command in this process; returns its status and its findings."""
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))

    def run(kind, *overrides, dry_run=True, arguments=("--config-module", MODULE)):
        base = RL_BASE if kind == "rl" else SFT_BASE
        config = "dual_grpo_trainer" if kind == "rl" else "personadual_sft"
        flags = ["--dry-run"] if dry_run else []
        command = ["doctor", "--config", config, "--json", *flags, *arguments, "--", *base, *overrides]
        status = cli.main(command)
        findings = json.loads(capsys.readouterr().out)["findings"]
        assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()
        return status, findings

    return run


@pytest.mark.parametrize("kind", ["rl", "sft"])
def test_the_shipped_configurations_are_sound(doctor, kind):
    status, findings = doctor(kind, arguments=())
    assert status == 0
    problems = [finding["what"] for finding in findings if finding["severity"] != "ok"]
    assert problems == ["attention", "devices"] or problems == ["devices"]
    assert {finding["section"] for finding in findings} >= {"install", "config", "batch", "model", "data", "memory"}


@dataclass
class Planted:
    """``words`` must be in one finding of ``severity``; ``files`` writes into the working folder first."""

    name: str
    overrides: list[str]
    words: list[str]
    kind: str = "rl"
    severity: str = "error"
    dry_run: bool = True
    files: Callable | None = field(default=None)

    def __str__(self):
        return self.name


def changed(place, name, change, kind="rl"):
    """Write sound rows with one damage as ``name``."""
    rows, table_schema = (rl("train"), RL_SCHEMA) if kind == "rl" else (sft("train"), SFT_SCHEMA)
    rows = change(rows) or rows
    write(place / name, rows, table_schema)


def put(*path, value):
    def change(rows):
        target = rows[2]
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return change


def without_column(name):
    def write_file(place):
        rows = [{key: value for key, value in row.items() if key != name} for row in rl("train")]
        write(place / "planted.parquet", rows)

    return write_file


def planted_rl(change):
    return lambda place: changed(place, "planted.parquet", change)


def few(place):
    write(place / "planted.parquet", rl("train", 10), RL_SCHEMA)


def damaged(place):
    (place / "planted.parquet").write_bytes(b"PAR1 and then nothing")


def other_processes(place):
    shards = place / "run" / "global_step_20" / "actor"
    shards.mkdir(parents=True)
    (shards / "fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 4}')
    (place / "run" / "latest_checkpointed_iteration.txt").write_text("20")


LORA = [f"{A}.model.lora_rank=8", f"{A}.rollout.load_format=safetensors"]
ONE_GPU = ["trainer.n_gpus_per_node=1", f"{A}.rollout.tensor_model_parallel_size=1"]
SEPARATE = [
    "trainer.v1.trainer_mode=dual_grpo_separate_async",
    f"{A}.rollout.nnodes=1",
    "trainer.v1.separate_async.parameter_sync_step=1",
]
SHARING_TAGS = "algorithm.dual_grpo.modes=[{name: a, tag: '<AB>'}, {name: b, tag: '<AC>'}, {name: c, tag: '<D>'}]"
PLANTED_FILE = "data.train_files=planted.parquet"
STATIC = [f"{A}.actor.use_dynamic_bsz=False", f"{A}.rollout.log_prob_micro_batch_size_per_gpu=4"]
STATIC += [f"{A}.ref.log_prob_micro_batch_size_per_gpu=4"]

TABLE = [
    # Configuration: ours.
    Planted(
        "no manager", [f"{A}.rollout.agent.agent_loop_manager_class=null"], ["it is not set", "+dual_grpo=default"]
    ),
    Planted("no such manager", [f"{A}.rollout.agent.agent_loop_manager_class=personadual.rollout.Managr"], ["Managr"]),
    Planted("unknown key", ["+algorithm.dual_grpo.prefix_wieght=3"], ["did you mean prefix_weight?"]),
    Planted("impossible value", ["algorithm.dual_grpo.credit=split"], ["must be one of shared, decoupled"]),
    Planted("one mode", ["algorithm.dual_grpo.modes=[{name: a, tag: '[a]'}]"], ["at least 2 are needed, found 1"]),
    Planted("bypass", ["algorithm.rollout_correction.bypass_mode=True"], ["Set bypass_mode=False"]),
    Planted("geo_mean", [f"{A}.actor.policy_loss.loss_mode=geo_mean"], ["Use vanilla"]),
    Planted("stock trainer", ["trainer.v1.trainer_mode=sync"], ["trainer.v1.trainer_mode=dual_grpo_sync"]),
    Planted("unknown trainer", ["trainer.v1.trainer_mode=dual_grpo_asynch"], ["one of", "dual_grpo_colocate_async"]),
    Planted(
        "another estimator",
        ["algorithm.adv_estimator=grpo"],
        ["trainer and estimator", "+arm=grpo_free", "algorithm.dual_grpo.baseline=true"],
        severity="warning",
    ),
    Planted(
        "another estimator under our arm",
        ["+arm=dual_grpo", "algorithm.adv_estimator=grpo"],
        ["trainer and estimator", "+arm=grpo_free"],
        severity="warning",
    ),
    Planted(
        "our estimator in a baseline",
        ["+arm=grpo_free", "algorithm.adv_estimator=dual_grpo"],
        ["algorithm.dual_grpo.baseline", "+arm=dual_grpo"],
        severity="warning",
    ),
    Planted("legacy trainer", ["trainer.use_v1=False"], ["use_v1=true"]),
    Planted("one rollout", [f"{A}.rollout.n=1"], ["at least 2, found 1"]),
    Planted("a mode without sample", ["algorithm.dual_grpo.mode_shares={general: 19, personalized: 1}"], ["no sample"]),
    Planted("uneven modes", [f"{A}.rollout.n=5"], ["2.5 general", f"{A}.rollout.n=4 or 6"], severity="warning"),
    # Configuration: asynchronous trainers.
    Planted("naive engine", SEPARATE, ["naive", "checkpoint_engine.backend=nccl"]),
    Planted("no rollout nodes", [*SEPARATE, f"{A}.rollout.nnodes=0"], ["rollout.nnodes=1"]),
    Planted(
        "separate batch",
        [*SEPARATE, "trainer.v1.separate_async.parameter_sync_step=4"],
        ["64, not 4 × 64", "data.train_batch_size=256"],
    ),
    Planted("no hybrid engine", [f"{A}.hybrid_engine=False"], ["hybrid_engine=True"]),
    # Configuration: verl's.
    Planted("loss aggregation", [f"{A}.actor.loss_agg_mode=mean"], ["Invalid loss_agg_mode: mean"]),
    Planted("unknown rollout key", [f"+{A}.rollout.temprature=1"], ["temprature"]),
    Planted("unknown model key", [f"+{A}.model.lora_rnak=8"], ["lora_rnak"]),
    Planted("synchronous rollouts", [f"{A}.rollout.mode=sync"], ["rollout.mode=async"]),
    Planted("two kinds of batches", [f"{A}.rollout.log_prob_use_dynamic_bsz=False"], ["log_prob_use_dynamic_bsz=True"]),
    Planted(
        "Ulysses and padding",
        [f"{A}.actor.ulysses_sequence_parallel_size=2", f"{A}.model.use_remove_padding=False"],
        ["use_remove_padding"],
    ),
    Planted(
        "an adapter that can't be collected",
        [*LORA, *ONE_GPU, f"{A}.rollout.layered_summon=True"],
        ["layered_summon", "actor.strategy=fsdp2"],
    ),
    Planted("logger", ["trainer.logger=[console,wandbb]"], ["'wandbb'", "trainer.logger=[console]"]),
    Planted("reward keyword", ["+reward.custom_reward_function.reward_kwargs.wieght=1"], ["unknown keyword wieght"]),
    Planted("reward function", ["reward.custom_reward_function.name=compute_scores"], ["compute_scores"]),
    Planted("reward manager", ["reward.reward_manager.name=dual"], ["dual"]),
    Planted("old reward key", ["custom_reward_function.path=my.py"], ["put reward. before the key"]),
    Planted("device", ["trainer.device=cpu"], ["VERL_PLATFORM=cpu", "trainer.device=cuda"]),
    # Batch arithmetic.
    Planted("mini above train", [f"{A}.actor.ppo_mini_batch_size=128"], ["ppo_mini_batch_size=64"]),
    Planted("mini by ranks", [f"{A}.actor.ppo_mini_batch_size=3", f"{A}.rollout.n=2"], ["ppo_mini_batch_size=4"]),
    Planted(
        "padding",
        ["data.train_batch_size=60", f"{A}.actor.ppo_mini_batch_size=32"],
        ["data.train_batch_size=32 or 64"],
        severity="warning",
    ),
    Planted("micro", [*STATIC, f"{A}.actor.ppo_micro_batch_size_per_gpu=5"], ["ppo_micro_batch_size_per_gpu=4 or 8"]),
    Planted("no micro", STATIC, ["ppo_micro_batch_size_per_gpu", "use_dynamic_bsz"]),
    Planted("tensor parallel", [f"{A}.rollout.tensor_model_parallel_size=3"], ["8 GPUs per node", "size=2 or 4"]),
    Planted("heads", [f"{A}.rollout.tensor_model_parallel_size=4"], ["2 attention heads", "size=2"]),
    Planted("Ulysses", [f"{A}.actor.ulysses_sequence_parallel_size=3"], ["all 8 GPUs", "size=2 or 4"]),
    Planted("shards", [f"{A}.actor.fsdp_config.fsdp_size=3"], ["fsdp_size=-1, 2 or 4"]),
    # Lengths.
    Planted("context", ["data.max_prompt_length=2000"], ["at most 2048 tokens", "data.max_prompt_length=1536"]),
    Planted("max_model_len", [f"{A}.rollout.max_model_len=4096"], [f"{A}.rollout.max_model_len=2048"]),
    Planted("short max_model_len", [f"{A}.rollout.max_model_len=1200"], ["data.max_prompt_length=688"]),
    Planted("token budget", [f"{A}.actor.ppo_max_token_len_per_gpu=500"], ["ppo_max_token_len_per_gpu=1536"]),
    Planted(
        "reference budget", [f"{A}.ref.log_prob_max_token_len_per_gpu=500"], ["ref.log_prob_max_token_len_per_gpu=1536"]
    ),
    Planted("scheduler", [f"{A}.rollout.max_num_batched_tokens=64"], ["max_num_seqs=256"]),
    Planted("no room for an answer", ["data.max_response_length=5"], ["cannot hold the prefix", "set at least"]),
    # Model and template.
    Planted("no model", [f"{A}.model.path=/no/such/model"], ["'/no/such/model' is no folder here"], dry_run=False),
    Planted("no model, dry", [f"{A}.model.path=/no/such/model"], ["not looked at"], severity="warning"),
    Planted("unknown hub id", [f"{A}.model.path=nobody/nothing-1b"], ["in the hub's local cache"], severity="warning"),
    Planted("slash", [f"{A}.model.path=model/"], [f"{A}.model.path=model"]),
    Planted("home", [f"{A}.model.path='~/model'"], ["a path without ~"]),
    Planted("broken model", [f"{A}.model.path=broken"], ["its config or tokenizer can't be loaded"]),
    Planted("open think block", [f"{A}.model.path=open_think"], ["opens no think block", "enable_thinking=False"]),
    Planted(
        "thinking",
        [f"{A}.model.path=qwen3"],
        ["+data.apply_chat_template_kwargs.enable_thinking=False"],
        severity="warning",
    ),
    Planted("no template", [f"{A}.model.path=base"], ["instruct model"]),
    Planted("large tokenizer", [f"{A}.model.path=grown"], ["vocab_size", "resize"]),
    Planted(
        "code in the tokenizer",
        [f"{A}.model.path=coded"],
        ["reward workers would run", "take auto_map out", f"{A}.model.trust_remote_code=True"],
    ),
    Planted("no end token", [f"{A}.model.path=endless"], ["eos_token", "tokenizer_config.json"]),
    Planted(
        "tag in the template",
        [f"{A}.model.custom_chat_template='{TAG_IN_TEMPLATE}'"],
        ["no mode tag in the generation prompt"],
    ),
    Planted(
        "a deciding token for two modes",
        [SHARING_TAGS, "algorithm.dual_grpo.prefix_anchor=1"],
        ["mode tags", "'a' and 'b' share", "prefix_anchor=1", "every pair of modes"],
    ),
    Planted(
        "a metric for two modes",
        [SHARING_TAGS],
        ["mode tags", "'a' and 'b' share", "prob_*"],
        severity="warning",
    ),
    # Data.
    Planted(
        "no file",
        ["data.train_files=none.parquet"],
        ["none.parquet is not a file", "data.train_files=PATH"],
        dry_run=False,
    ),
    Planted("no file, dry", ["data.train_files=none.parquet"], ["not looked at"], severity="warning"),
    Planted("csv", ["data.train_files=rows.csv"], ["a parquet file"]),
    Planted("no validation file", ["data.val_files=null"], ["data.val_files=FILE"]),
    Planted("damaged", [PLANTED_FILE], ["unreadable"], files=damaged),
    Planted(
        "unknown source",
        [PLANTED_FILE],
        ["'nobody'", "reward_kwargs.graders.nobody=objective"],
        files=planted_rl(put(schema.DATA_SOURCE, value="nobody")),
    ),
    Planted(
        "unknown asked mode",
        [PLANTED_FILE],
        ["row 2: extra_info.asked_mode is 'poetic'"],
        files=planted_rl(put(schema.EXTRA_INFO, schema.ASKED_MODE, value="poetic")),
    ),
    Planted(
        "truth",
        [PLANTED_FILE],
        ["truth-not-an-option", "row"],
        files=planted_rl(put(schema.REWARD_MODEL, schema.GROUND_TRUTH, value="Z")),
    ),
    Planted(
        "tag in a prompt",
        [PLANTED_FILE],
        ["mode-tag-in-prompt"],
        files=planted_rl(put(schema.PROMPT, 1, "content", value="Say [General_mode]")),
    ),
    Planted("no column", [PLANTED_FILE], ["missing-column reward_model"], files=without_column(schema.REWARD_MODEL)),
    Planted("prompt key", ["data.prompt_key=question"], ["the column 'question'", "data.prompt_key=COLUMN"]),
    Planted("same files", ["data.val_files=rl_train.parquet"], ["not among data.train_files"], severity="warning"),
    Planted("no step", [PLANTED_FILE], ["10 rows, 0 steps", "data.train_batch_size=10 or less"], files=few),
    Planted(
        "long prompts",
        ["data.max_prompt_length=20", "data.filter_overlong_prompts=False"],
        ["64 of 64 sampled prompts are longer", "a larger data.max_prompt_length"],
    ),
    Planted("SFT file for RL", ["data.train_files=sft_train.parquet"], ["a file for RL", "swap the files"]),
    # Hardware and memory.
    Planted("resume", ["trainer.resume_mode=resume_path"], ["a folder global_step_N"]),
    Planted(
        "other processes", ["trainer.default_local_dir=run"], ["run/global_step_20/actor: 4"], files=other_processes
    ),
    Planted("no GPU", [], ["8 GPUs (trainer.n_gpus_per_node)"], dry_run=False),
    Planted(
        "memory", [f"{A}.actor.ppo_max_token_len_per_gpu=100000000"], ["use_fused_kernels=True"], severity="warning"
    ),
    # SFT.
    Planted(
        "none counts as true",
        ["model.path=qwen3", "data.enable_thinking_default=none"],
        ["'none', which verl would take as true"],
        "sft",
    ),
    Planted("SFT batch", ["data.train_batch_size=12"], ["data.train_batch_size=8 or 16"], "sft"),
    Planted(
        "SFT micro",
        ["data.use_dynamic_bsz=False", "data.micro_batch_size_per_gpu=3"],
        ["micro_batch_size_per_gpu=2"],
        "sft",
    ),
    Planted("SFT budget", ["data.max_token_len_per_gpu=1000"], ["data.max_token_len_per_gpu=2048"], "sft"),
    Planted("SFT context", ["data.max_length=4096"], ["data.max_length=2048"], "sft"),
    Planted("SFT rows", ["data.max_length=20"], ["data.max_length=", "leave long rows out"], "sft"),
    Planted("SFT validation", ["trainer.test_freq=10"], ["trainer.test_freq=-1"], "sft"),
    Planted(
        "SFT data set", ["data.custom_cls.path=pkg://personadual.sft", "data.custom_cls.name=Datset"], ["Datset"], "sft"
    ),
    Planted("SFT engine key", ["+engine.fsdp_sise=2"], ["fsdp_sise"], "sft"),
    Planted("SFT modes", ["data.modes=[{name: a, tag: '[a]'}, {name: b, tag: '[b]'}]"], ["no-mode-tag"], "sft"),
    Planted("SFT turns", ["model.path=qwen3"], ["name=PromptResponseDataset"], "sft"),
    Planted("SFT step", ["data.train_batch_size=128"], ["64 rows, 0 steps"], "sft"),
]


@pytest.mark.parametrize("planted", TABLE, ids=str)
def test_a_planted_misconfiguration_is_found(doctor, place, planted):
    if planted.files is not None:
        planted.files(place)
    status, findings = doctor(planted.kind, *planted.overrides, dry_run=planted.dry_run)
    assert status == (1 if planted.severity == "error" else 0) or planted.severity == "warning"
    of_severity = [finding for finding in findings if finding["severity"] == planted.severity]
    texts = [" ".join(finding[name] for name in ("what", "required", "found", "mend")) for finding in of_severity]
    assert any(all(word in text for word in planted.words) for text in texts), "\n".join(texts)
    assert not any("Traceback" in text for text in texts), "\n".join(texts)


def test_a_dry_run_of_lora_needs_no_engine(doctor):
    """verl imports vLLM to check LoRA's rank; a machine that only checks may have another build of it, or none."""
    status, findings = doctor("rl", *LORA)
    severities = {finding["what"]: finding["severity"] for finding in findings}
    assert status == 0 and severities["verl's validation"] in ("ok", "warning")


def test_there_are_enough_of_them():
    assert len(TABLE) >= 30 and len({planted.name for planted in TABLE}) == len(TABLE)


def test_the_probe_knows_a_model_that_was_never_taught(doctor):
    status, findings = doctor("rl", arguments=["--probe", "6"])
    probed = {finding["what"]: finding for finding in findings if finding["section"] == "probe"}
    assert status == 0 and set(probed) == {"P(general)", "P(personalized)", "P(invalid)"}
    assert all("over 6 prompts" in finding["found"] for finding in probed.values())
    assert probed["P(invalid)"]["severity"] == "warning" and "SFT first" in probed["P(invalid)"]["mend"]
