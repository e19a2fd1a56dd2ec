"""The experiment's shell functions: what each arm changes, the queue of cells, an SFT run that was stopped."""

import json
import os
import subprocess
from pathlib import Path

from omegaconf import OmegaConf

from personadual.preflight.compose import compose
from personadual.settings import DualGRPOSettings

ROOT = Path(__file__).parents[2]
TORCHRUN = """#!/bin/sh
printf '%s\\n' "$@" > "$RUN.args"
ls "$RUN" > "$RUN.left"
for step in 9 10; do
  mkdir -p "$RUN/global_step_$step/huggingface"
  echo $step > "$RUN/global_step_$step/huggingface/config.json"
  printf $step > "$RUN/latest_checkpointed_iteration.txt"
done
"""


def bash(lines, **environment):
    script = f"set -euo pipefail\nsource examples/common.sh\n{lines}"
    environment = {**os.environ, **environment}
    return subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_every_listed_arm_composes_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / "a b, c"
    cells = (ROOT / "examples/experiment/cells.txt").read_text().splitlines()
    arms = sorted({line.split()[0] for line in cells if line and line[0] != "#"} - {"base", "sft", "sft_twice"})
    lines = """STEPS=60
        source examples/experiment/arms.sh
        for arm in $ARMS; do overrides "$arm" | tr '\\n' '\\t'; echo; done"""
    done = bash(lines, OUT=str(folder), ARMS=" ".join(arms))
    assert done.returncode == 0, done.stderr
    changes = {arm: line.split("\t")[:-1] for arm, line in zip(arms, done.stdout.splitlines(), strict=True)}
    assert changes["alpha_4"] == ["+arm=dual_grpo", "algorithm.dual_grpo.prefix_weight=4"]

    configs = {arm: compose("personadual.config", "dual_grpo_trainer", added) for arm, added in changes.items()}
    assert configs["unbalanced_dual_grpo"].data.train_files == f"{folder}/data_unbalanced/rl_train.parquet"
    assert configs["centred_early"].algorithm.dual_grpo.gap_centering_steps == 10
    settings = {arm: DualGRPOSettings.from_config(config.algorithm.dual_grpo) for arm, config in configs.items()}
    # Whatever changes more than the file of prompts, or less than that, is another training.
    told = {
        arm: json.dumps([repr(settings[arm]), OmegaConf.to_container(config.actor_rollout_ref.actor),
                         config.algorithm.adv_estimator], sort_keys=True)
        for arm, config in configs.items()
        if arm != "control" and not arm.startswith("unbalanced_") and not arm.endswith("_again")
    }  # fmt: skip
    assert len(set(told.values())) == len(told)


def test_an_unknown_arm_ends_the_script():
    for name in ("nothing", "unbalanced_nothing"):
        done = bash(f"OUT=x STEPS=60; source examples/experiment/arms.sh; overrides {name}; echo went on")
        assert done.returncode == 1 and "no arm is called nothing" in done.stderr and "went on" not in done.stdout


def test_sft_that_was_stopped_starts_over_and_its_newest_export_is_taken(tmp_path):
    run, tools = tmp_path / "a run", tmp_path / "tools"
    for step in (2, 4):
        (run / f"global_step_{step}/huggingface").mkdir(parents=True)
    (run / "latest_checkpointed_iteration.txt").write_text("2")
    tools.mkdir()
    (tools / "torchrun").write_text(TORCHRUN)
    (tools / "torchrun").chmod(0o755)
    lines = """SEED=1
        source examples/cpu_stages.sh
        train_sft m rows.parquet "$RUN"
        export_model "$(newest_step "$RUN")/huggingface" "$OUT/model"
        export_model one
        echo went on"""
    done = bash(lines, RUN=str(run), OUT=str(tmp_path), PATH=f"{tools}:{os.environ['PATH']}")
    assert (tmp_path / "a run.left").read_text() == ""
    assert f"trainer.default_local_dir='{run}'" in (tmp_path / "a run.args").read_text().splitlines()
    assert (tmp_path / "model/config.json").read_text() == "10\n"
    assert done.returncode == 1 and "FROM and TO are needed" in done.stderr and "went on" not in done.stdout


CELL = """#!/bin/bash
# Takes what the arm's name says, in seconds; one fails.
echo "cell $*" >> "$OUT/log"
[ "$1" != broken ] || exit 1
name="$1_s$2${3:+_$3}"
echo "${1#takes_}" > "$OUT/stages/$name"
echo 0 > "$OUT/stages/val_$name"
"""


def queue(tmp_path, cells):
    for folder in ("stages", "examples"):
        (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "cells.txt").write_text(cells)
    (tmp_path / "examples/run_experiment_cpu.sh").write_text(CELL)
    lines = "root=$OUT CELLS=$OUT/cells.txt STEPS=20; source examples/experiment/queue.sh; queue"
    return bash(lines, OUT=str(tmp_path))


def test_the_queue_does_the_missing_cells_in_order_and_says_how_long_they_take(tmp_path):
    cells = "# a remark\n\ntakes_300 1\ntakes_600 1 50\ntakes_301 2\n"
    (tmp_path / "stages").mkdir()
    # Done before: one restored, so with its training's seconds beside it; another was stopped before its evaluation.
    (tmp_path / "stages/val_takes_300_s1").write_text("0\n")
    (tmp_path / "stages/takes_300_s1.seconds").write_text("300\n")
    (tmp_path / "stages/takes_600_s1_50").write_text("600\n")
    done = queue(tmp_path, cells)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text() == "cell takes_600 1 50\ncell takes_301 2\n"
    told = [line.split("] ", 1)[1] for line in done.stdout.splitlines() if line]
    # 30 steps' work took 300 seconds; 60 and 30 are left.
    assert told == [
        "1 of 3 cells done, about 15 minutes left; next: takes_600 1 50",
        "2 of 3 cells done, about 5 minutes left; next: takes_301 2",
        "all 3 cells are done",
    ]


def test_a_cell_that_fails_ends_the_queue_and_is_tried_again(tmp_path):
    for _ in range(2):
        done = queue(tmp_path, "takes_5 1\nbroken 1\ntakes_6 1\n")
        assert done.returncode == 1 and "the cell broken 1 failed" in done.stderr
    assert (tmp_path / "log").read_text() == "cell takes_5 1\n" + "cell broken 1\n" * 2
