"""The launchers without a GPU: what each would run, and that its configuration composes and holds, arm by arm.

A script is run with a ``python`` and a ``torchrun`` that only write down how they were called; the checks that were
asked for are then made in this process, on primary configs that are composed in advance (``flat_configs``).
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from flat_configs import MODULE, PRIMARY, write_flat_configs
from hydra import compose, initialize_config_module

from personadual import cli

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SFT = sorted(path.name for path in EXAMPLES.glob("run_sft_*.sh"))
RL = sorted(path.name for path in EXAMPLES.glob("run_dualgrpo_*.sh"))
ARMS = sorted(path.stem for path in (ROOT / "recipe/personadual/config/arm").glob("*.yaml"))
TRAINERS = ("dual_grpo_sync", "dual_grpo_colocate_async", "dual_grpo_separate_async")
VARIABLES = {
    *("ARM", "CHECKPOINTS", "DRY_RUN", "GPUS", "KEEP", "LORA", "MASTER_ADDR", "MASTER_PORT", "MODEL", "NAME", "NNODES"),
    *("NODE_RANK", "OUT", "PREFLIGHT", "PROBE", "RAY_ADDRESS", "ROLLOUT_GPUS", "ROLLOUT_NNODES", "TP", "TRAIN"),
    *("TENSORBOARD_DIR", "TRAINER", "VAL", "VERL_FILE_LOGGER_PATH", "VERL_PLATFORM"),
}
# What keeps vLLM, Ray and `datasets` from telling their makers of a run.
SILENT = {"VLLM_NO_USAGE_STATS": "1", "RAY_USAGE_STATS_ENABLED": "0", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
RECORD = """#!/usr/bin/env bash
{ printf '%s\\0' "${0##*/}" "$@"; printf '\\n\\0'; } >> "$RECORD"
env > "$RECORD.environment"
[ -z "${FAIL_ON:-}" ] || [[ " $* " != *" $FAIL_ON "* ]]
"""


@pytest.fixture(scope="module", autouse=True)
def flat_configs(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("flat")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield write_flat_configs(folder)


@pytest.fixture(scope="module")
def recorders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bin")
    for name in ("python", "torchrun", "vllm"):
        (folder / name).write_text(RECORD)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def launch(recorders, tmp_path):
    """Runs a launcher in ``tmp_path``: its exit code, its stderr, and the commands it gave."""

    def run(script: str, *overrides: str, **environment: str) -> tuple[int, str, list[list[str]]]:
        record = tmp_path / "record"
        record.unlink(missing_ok=True)
        clean = {key: value for key, value in os.environ.items() if key not in {*VARIABLES, *SILENT}}
        clean["PATH"] = f"{recorders}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", str(EXAMPLES / script), *overrides],
            env=clean | {"RECORD": str(record)} | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        text = record.read_text() if record.exists() else ""
        return done.returncode, done.stderr, [call.split("\0")[:-1] for call in text.split("\n\0")[:-1]]

    return run


def only(calls: list[list[str]]) -> list[str]:
    (call,) = calls
    return call


def overrides_of(call: list[str]) -> list[str]:
    """What stands behind the options of the doctor, of main_ppo or of the SFT trainer."""
    if "doctor" in call:
        return call[call.index("--") + 1 :]
    return call[call.index("--config-name") + 2 :]


@cache
def composed(name: str, *overrides: str, module: str = MODULE):
    with initialize_config_module(module, version_base=None):
        return compose(name, list(overrides))


def doctor(call: list[str]) -> int:
    """The exit status of the doctor that a launcher called."""
    place = call.index("--config")
    return cli.main([*call[3:place], "--config-module", MODULE, *call[place:]])


def config_of(call: list[str]):
    return composed(call[call.index("--config" if "doctor" in call else "--config-name") + 1], *overrides_of(call))


@pytest.mark.parametrize("name", PRIMARY)
def test_the_configs_composed_in_advance_are_the_shipped_ones(name):
    assert composed(name) == composed(name, module="personadual.config")


# Parts that scripts with that line read in.
SOURCED = ("common.sh", "cpu_stages.sh")


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.sh")))
def test_scripts_parse_and_stop_at_errors(script):
    text = (EXAMPLES / script).read_text()
    assert subprocess.run(["bash", "-n", str(EXAMPLES / script)], check=False).returncode == 0
    assert script in SOURCED or "set -euo pipefail" in text
    assert script not in (*SFT, *RL) or len(text.splitlines()) <= 60, "a page at most"


@pytest.mark.parametrize("script", SFT)
def test_sft_launchers_compose_the_papers_settings(launch, capsys, script):
    code, _, calls = launch(script, "trainer.total_epochs=2", DRY_RUN="1", TRAIN="a.parquet")
    assert code == 0
    call = only(calls)
    assert call[:7] == ["python", "-m", "personadual.cli", "doctor", "--config", "personadual_sft", "--dry-run"]
    assert doctor(call) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert (config["data"]["train_batch_size"], config["data"]["max_length"]) == (16, 4096)
    assert config["optim"]["lr_scheduler_type"] == "cosine" and config["trainer"]["total_epochs"] == 2
    assert config["data"]["custom_cls"]["name"] == "PromptResponseDataset"
    assert config["data"]["enable_thinking_default"] is False
    assert "hf_model" in config["checkpoint"]["save_contents"]


@pytest.mark.parametrize("script", [*SFT, *RL])
def test_a_runs_configuration_and_logs_are_kept_with_it(launch, script, tmp_path):
    _, _, calls = launch(script, OUT="a run", PREFLIGHT="0", LOGGERS="file", NNODES="1")
    (override,) = (text for text in overrides_of(calls[0]) if text.startswith("hydra.run.dir="))
    assert override == f"hydra.run.dir='{tmp_path}/a run/hydra'"
    assert (tmp_path / "a run" / "metrics").is_dir()


@pytest.mark.parametrize("script", [*SFT, *RL, "serve.sh", "serve_cpu.sh"])
def test_what_a_launcher_starts_reports_to_nobody_unless_asked_to(launch, script, tmp_path):
    names = {"VLLM_NO_USAGE_STATS"} if script.startswith("serve") else set(SILENT)
    for asked in ({}, dict.fromkeys(SILENT, "x")):
        code, error, calls = launch(script, "more", PREFLIGHT="0", NNODES="1", MODEL="m", PYTHON="python", **asked)
        assert code == 0 and calls, error
        lines = (tmp_path / "record.environment").read_text().splitlines()
        assert {f"{name}={(asked or SILENT)[name]}" for name in names} <= set(lines)


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("script", RL)
def test_every_launcher_composes_every_arm(launch, capsys, script, arm):
    code, _, calls = launch(script, DRY_RUN="1", ARM=arm)
    assert code == 0
    call = only(calls)
    assert call[3:8] == ["doctor", "--config", "dual_grpo_trainer", "--dry-run", "--print"]
    status, printed = doctor(call), capsys.readouterr()
    assert status == 0, printed.err
    assert "[config] trainer and estimator" not in printed.err, "an arm says itself that it is a baseline"
    config = yaml.safe_load(printed.out)
    rollout, actor = config["actor_rollout_ref"]["rollout"], config["actor_rollout_ref"]["actor"]
    assert (config["data"]["train_batch_size"], actor["ppo_mini_batch_size"]) == (64, 64)
    assert (config["data"]["max_prompt_length"], config["data"]["max_response_length"]) == (2048, 1024)
    assert (rollout["n"], rollout["temperature"], actor["optim"]["lr"]) == (8, 0.6, 1e-6)
    assert (actor["use_kl_loss"], actor["kl_loss_coef"], actor["kl_loss_type"]) == (True, 0.04, "low_var_kl")
    assert config["trainer"]["experiment_name"].endswith(arm) or arm == "dual_grpo"
    assert config["trainer"]["resume_mode"] == "auto"
    assert "trust_remote_code: true" not in printed.out.lower() and "trust_remote_code: false" in printed.out


def test_a_dry_run_prints_what_would_run_and_starts_nothing():
    """One launcher as it is, with the environment's own python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    command = ["bash", str(EXAMPLES / "run_dualgrpo_qwen7b.sh"), "algorithm.dual_grpo.inter_coef=0.5"]
    environment = clean | {"PATH": path, "DRY_RUN": "1", "MODEL": "/a model/sft", "TP": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    config = yaml.safe_load(done.stdout)
    assert config["actor_rollout_ref"]["model"]["path"] == "/a model/sft"
    assert config["actor_rollout_ref"]["rollout"]["tensor_model_parallel_size"] == 2
    assert config["algorithm"]["dual_grpo"]["inter_coef"] == 0.5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("algorithm.dual_grpo.credit=split", "algorithm.dual_grpo.credit must be one of shared, decoupled"),
        ("algorithm.rollout_correction.bypass_mode=True", "bypass_mode=False"),
        ("+algorithm.dual_grpo.prefix_wieght=3", "prefix_weight"),
        ("trainer.v1.trainer_mode=dual_grpo_asink", "dual_grpo_asink"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_before_anything_starts(launch, capsys, override, message):
    _, _, calls = launch("run_dualgrpo_qwen7b.sh", override, DRY_RUN="1")
    assert doctor(only(calls)) == 1
    assert message in capsys.readouterr().err


def test_only_the_think_arm_lets_qwen3_think(launch):
    for arm, thinks in (("dual_grpo", False), ("think", True)):
        _, _, calls = launch("run_dualgrpo_qwen3_8b.sh", DRY_RUN="1", ARM=arm)
        assert config_of(only(calls)).data.apply_chat_template_kwargs.enable_thinking is thinks


# Names, paths, several nodes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/a model/lr=1e-5,x", "/it's/a/model", "/{odd}(name)", "~/m", "org/model-1.5B"])
def test_any_path_reaches_the_trainer_unchanged(launch, path):
    for script in ("run_dualgrpo_qwen7b.sh", "run_sft_qwen7b.sh"):
        _, _, calls = launch(script, DRY_RUN="1", MODEL=path, TRAIN=path, NAME="my run")
        config = config_of(only(calls))
        model = config.model if "model" in config else config.actor_rollout_ref.model
        assert (model.path, config.data.train_files, config.trainer.experiment_name) == (path, path, "my run")


def test_several_files_are_a_list(launch):
    _, _, calls = launch("run_dualgrpo_qwen7b.sh", DRY_RUN="1", TRAIN="[a.parquet,/b/c.parquet]")
    assert config_of(only(calls)).data.train_files == ["a.parquet", "/b/c.parquet"]


def test_runs_that_differ_keep_their_checkpoints_apart_and_a_repeated_one_finds_its_own(launch, tmp_path):
    settings = [{}, {"ARM": "think"}, {"ARM": "grpo_free"}, {"TRAINER": TRAINERS[1]}, {"NAME": "x"}]
    folders = []
    for environment in [*settings, *settings]:
        _, _, calls = launch("run_dualgrpo_qwen7b.sh", DRY_RUN="1", **environment)
        folders.append(config_of(only(calls)).trainer.default_local_dir)
    assert len(set(folders)) == len(settings) and folders[: len(settings)] == folders[len(settings) :]
    assert folders[0] == str(tmp_path / "checkpoints/personadual/dualgrpo_qwen7b")
    _, _, calls = launch("run_dualgrpo_qwen7b.sh", DRY_RUN="1", OUT="here")
    assert config_of(only(calls)).trainer.default_local_dir == str(tmp_path / "here")


def test_rl_starts_from_what_sft_exported_last(launch, tmp_path):
    run = tmp_path / "checkpoints/personadual/sft_llama3_8b"
    for step in ("", "40", "80"):
        if step:
            run.mkdir(parents=True, exist_ok=True)
            (run / "latest_checkpointed_iteration.txt").write_text(step)
        _, _, calls = launch("run_dualgrpo_llama3_8b.sh", DRY_RUN="1")
        path = config_of(only(calls)).actor_rollout_ref.model.path
        assert path == str(run / f"global_step_{step or 'N'}" / "huggingface")


def test_a_start_is_a_preflight_and_then_the_trainer_with_the_same_settings(launch):
    for script, config, trainer in (
        ("run_sft_qwen7b.sh", "personadual_sft", "verl.trainer.sft_trainer"),
        ("run_dualgrpo_qwen7b.sh", "dual_grpo_trainer", "verl.trainer.main_ppo"),
    ):
        code, _, (check, start) = launch(script, "trainer.total_epochs=3")
        assert code == 0
        assert check[3:6] == ["doctor", "--config", config] and "--dry-run" not in check
        assert trainer in start and overrides_of(check) == overrides_of(start)
        assert ("--probe" in check) == (config == "dual_grpo_trainer")
        assert "--probe" not in launch(script, PROBE="0")[2][0]
        _, _, calls = launch(script, PREFLIGHT="0")
        assert trainer in only(calls)


@pytest.mark.parametrize("script", ["run_sft_qwen7b.sh", "run_dualgrpo_qwen7b.sh", "run_sft_24gb.sh"])
def test_nothing_starts_where_the_preflight_finds_an_error(launch, script):
    code, _, calls = launch(script, FAIL_ON="doctor", LORA="1")
    assert code != 0 and "doctor" in only(calls)


def test_lora_is_merged_after_sft_and_not_exported_twice(launch, tmp_path):
    code, _, calls = launch("run_sft_24gb.sh", LORA="1", PREFLIGHT="0", DRY_RUN="1")
    assert code == 0 and config_of(only(calls)).model.lora_rank == 32
    assert "hf_model" not in config_of(only(calls)).checkpoint.save_contents
    _, _, calls = launch("run_dualgrpo_24gb.sh", LORA="1", DRY_RUN="1")
    config = config_of(only(calls)).actor_rollout_ref
    assert config.model.lora_rank == 32 and "/sft_24gb_lora/" in config.model.path
    # verl can't collect an adapter layer by layer from FSDP1 on one GPU.
    assert config.rollout.layered_summon and config.actor.strategy == config.actor.fsdp_config.strategy == "fsdp2"


def test_a_ray_cluster_is_joined_by_address_and_checked(launch):
    code, error, calls = launch("run_dualgrpo_qwen3_30b_a3b.sh")
    assert code == 1 and not calls and "RAY_ADDRESS" in error
    code, error, calls = launch("run_dualgrpo_qwen3_30b_a3b.sh", RAY_ADDRESS="http://head:8265")
    assert code == 1 and not calls and "dashboard" in error
    code, _, (check, start) = launch("run_dualgrpo_qwen3_30b_a3b.sh", RAY_ADDRESS="head:6379")
    assert check[check.index("--ray-address") + 1] == "head:6379"
    config = config_of(start)
    assert config.ray_kwargs.ray_init.address == "head:6379"
    # The environment of its workers is the cluster's own.
    told = {"VLLM_NO_USAGE_STATS": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
    assert config.ray_kwargs.ray_init.runtime_env.env_vars == told
    submitted = json.dumps({"runtime_env": {"env_vars": {"VLLM_NO_USAGE_STATS": "1"}}})
    environment = {"RAY_ADDRESS": "auto", "RAY_JOB_CONFIG_JSON_ENV_VAR": submitted}
    _, _, (_, start) = launch("run_dualgrpo_qwen3_30b_a3b.sh", **environment)
    assert "VLLM_NO_USAGE_STATS" not in config_of(start).ray_kwargs.ray_init.runtime_env.env_vars
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node) == (2, 8)


def test_sft_on_several_nodes_meets_at_the_first(launch):
    code, error, calls = launch("run_sft_qwen7b.sh", NNODES="2")
    assert code == 1 and not calls and "MASTER_ADDR" in error and "NODE_RANK=0 to 1" in error
    _, _, (_, start) = launch("run_sft_qwen7b.sh", NNODES="2", MASTER_ADDR="head", NODE_RANK="1", MASTER_PORT="2950")
    for option in ("--nnodes=2", "--node-rank=1", "--master-addr=head", "--master-port=2950", "--nproc-per-node=8"):
        assert option in start
    assert config_of(start).trainer.nnodes == 2


@pytest.mark.parametrize("script", ["run_sft_qwen7b.sh", "run_dualgrpo_qwen7b.sh"])
def test_loggers_are_tensorboard_and_file_unless_others_are_asked_for(launch, script):
    for asked, expected in (("", ["console", "tensorboard", "file"]), ("wandb,file", ["console", "wandb", "file"])):
        _, _, calls = launch(script, DRY_RUN="1", LOGGERS=asked)
        assert list(config_of(only(calls)).trainer.logger) == expected


@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_asynchronous_trainers_pass_the_checks(launch, capsys, trainer):
    _, _, calls = launch("run_dualgrpo_qwen7b.sh", DRY_RUN="1", TRAINER=trainer)
    call = only(calls)
    assert doctor(call) == 0, capsys.readouterr().err
    config = config_of(call)
    assert config.trainer.v1.trainer_mode == trainer
    rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
    if trainer == "dual_grpo_separate_async":
        # What verl asserts when it starts (trainer_separate_async.py), and GPUs of its own for the rollouts.
        step = config.trainer.v1.separate_async.parameter_sync_step
        assert config.data.train_batch_size == step * actor.ppo_mini_batch_size
        assert rollout.checkpoint_engine.backend != "naive"
        assert (rollout.nnodes, rollout.n_gpus_per_node, config.trainer.n_gpus_per_node) == (1, 4, 4)
    else:
        assert (rollout.nnodes, config.trainer.n_gpus_per_node) == (0, 8)


def test_quickstart_refuses_to_mix_two_runs(launch, tmp_path):
    (tmp_path / "settings").write_text("SEED=7 something else")
    code, error, calls = launch("run_quickstart_cpu.sh", OUT=str(tmp_path))
    assert code == 1 and not calls
    assert "made with other settings" in error and "FRESH=1" in error
    assert (tmp_path / "settings").read_text() == "SEED=7 something else"
