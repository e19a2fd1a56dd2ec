"""The whole job on a tiny random model, through verl's real SFT trainer, real V1 trainer and real vLLM.

SFT teaches a model that answers "north" in one mode and "south" in the other; two DualGRPO steps follow, the driver is
killed with SIGKILL in the third, and a second run resumes from the checkpoint of step 2.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import read_jsonl, rl_command, running, sft_command
from tiny_model import build_tiny_model

from personadual import schema
from personadual.modes import DEFAULT_MODES, parse_mode

PROMPTS = 8
ROLLOUTS = 6
RESPONSE_LENGTH = 40
ANSWERS = {"general": "north", "personalized": "south"}


def answer(word: str) -> str:
    return f'<answer>\n{{"answer": "{word}"}}\n</answer>'


def chat(index: int) -> list[dict]:
    return [{"role": "system", "content": "Profile: none."}, {"role": "user", "content": f"Question {index}: which?"}]


def rl_row(index: int, asked: str) -> dict:
    return {
        schema.PROMPT: chat(index),
        schema.DATA_SOURCE: f"{schema.QUICKSTART_SOURCE_PREFIX}{schema.NONE}",
        schema.ABILITY: "fact",
        schema.REWARD_MODEL: {"style": "rule", schema.GROUND_TRUTH: "north"},
        schema.EXTRA_INFO: {
            schema.INDEX: index,
            schema.ITEM: index,
            schema.ASKED_MODE: asked,
            schema.QUESTION_ID: f"q{index}",
            schema.CONDITION: schema.NONE,
            schema.RIGHT_MODE: "general",
            schema.PERSONA: "",
            schema.QUESTION: f"Question {index}: which?",
        },
    }


def sft_rows() -> list[dict]:
    """64 questions in each mode, answered "north" in general and "south" in personalized."""
    return [
        {schema.MESSAGES: [*chat(index), {"role": "assistant", "content": mode.prefix + answer(ANSWERS[mode.name])}]}
        for index in range(64)
        for mode in DEFAULT_MODES
    ]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    build_tiny_model(folder / "model")
    pd.DataFrame(sft_rows()).to_parquet(folder / "sft.parquet")
    pd.DataFrame([rl_row(index, schema.FREE) for index in range(64)]).to_parquet(folder / "train.parquet")
    asked = [schema.FREE, *DEFAULT_MODES.names]
    pd.DataFrame([rl_row(i, mode) for i in range(4) for mode in asked]).to_parquet(folder / "val.parquet")
    return folder


@pytest.fixture(scope="module")
def sft_model(work: Path) -> Path:
    command = sft_command(
        work / "model",
        work / "sft.parquet",
        work / "sft",
        "trainer.total_epochs=12",
        "data.train_batch_size=16",
        "data.max_length=256",
        "optim.lr=1e-2",
        "trainer.save_freq=after_each_epoch",
        "trainer.max_ckpt_to_keep=1",
    )
    with running(command, work / "sft.log") as run:
        assert run.wait(480) == 0, run.tail()
    (model,) = (work / "sft").glob("global_step_*/huggingface")
    return model


def train(work: Path, model: Path) -> list[str]:
    return rl_command(
        model,
        work / "train.parquet",
        work / "val.parquet",
        work / "rl",
        f"data.train_batch_size={PROMPTS}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        "actor_rollout_ref.rollout.temperature=1.0",
        # So large that three steps show.
        "actor_rollout_ref.actor.optim.lr=1e-4",
        "actor_rollout_ref.actor.optim.lr_warmup_steps=0",
        "data.max_prompt_length=64",
        f"data.max_response_length={RESPONSE_LENGTH}",
        "trainer.save_freq=1",
        "trainer.test_freq=3",
        "trainer.val_before_train=False",
        "trainer.total_training_steps=3",
        "trainer.total_epochs=1",
        "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
    )


@pytest.fixture(scope="module")
def logs(work: Path, sft_model: Path) -> tuple[list[dict], list[dict]]:
    """Metrics of the killed run (2 steps) and of the resumed one (the third)."""
    tracker = work / "rl" / "checkpoints" / "latest_checkpointed_iteration.txt"
    first, second = work / "first.jsonl", work / "second.jsonl"
    with running(train(work, sft_model), work / "rl1.log", {"VERL_FILE_LOGGER_PATH": str(first)}) as run:
        run.wait_until(lambda: tracker.exists() and tracker.read_text() == "2" and len(read_jsonl(first)) == 2, 400)
        os.kill(run.process.pid, signal.SIGKILL)
        assert run.wait(30) == -signal.SIGKILL
        # What the driver started must not go on to the third step.
        run.kill_all()
    assert tracker.read_text() == "2"
    with running(train(work, sft_model), work / "rl2.log", {"VERL_FILE_LOGGER_PATH": str(second)}) as run:
        assert run.wait(400) == 0, run.tail()
    return read_jsonl(first), read_jsonl(second)


def test_sft_model_answers_in_both_modes(sft_model: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(sft_model), AutoModelForCausalLM.from_pretrained(sft_model)
    for mode in DEFAULT_MODES:
        text = tokenizer.apply_chat_template(chat(3), tokenize=False, add_generation_prompt=True) + mode.prefix
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        generated = model.generate(ids, max_new_tokens=RESPONSE_LENGTH, do_sample=False)[0, ids.shape[1] :]
        assert tokenizer.decode(generated, skip_special_tokens=True) == answer(ANSWERS[mode.name])


def test_killed_run_had_trained_two_steps_and_resume_did_the_third(logs: tuple[list[dict], list[dict]]) -> None:
    first, second = logs
    assert [entry["step"] for entry in first] == [1, 2]
    assert [entry["step"] for entry in second] == [3]


def test_training_moves_the_choice_and_the_resumed_run_starts_from_what_was_learnt(logs: tuple) -> None:
    first, second, third = (entry["data"] for entry in [*logs[0], *logs[1]])
    # Every prompt is answered right in general mode alone.
    assert first["dual_grpo/prob_general/mean"] < third["dual_grpo/prob_general/mean"]
    # Distance from the SFT model before each step's update: none, that of one step, and of two, across the restart.
    assert abs(first["actor/kl_loss"]) < 1e-6 < second["actor/kl_loss"] < third["actor/kl_loss"]
    assert third["actor/lr"] == first["actor/lr"] == 1e-4


@pytest.mark.parametrize("step", [1, 2, 3])
def test_rollouts_are_balanced_and_follow_their_own_prefix(work: Path, logs: object, step: int) -> None:
    rows = read_jsonl(work / "rl" / "rollouts" / f"{step}.jsonl")
    assert len(rows) == PROMPTS * ROLLOUTS
    groups: dict[str, Counter] = {}
    following = 0
    for row in rows:
        prompt, session, _ = row["uid"].rsplit("_", 2)
        parsed = parse_mode(row["output"])
        groups.setdefault(prompt, Counter())[parsed.name] += 1
        assert parsed.index == int(session) % 2, row
        following += f'"{ANSWERS[parsed.name]}"' in parsed.body
    assert len(groups) == PROMPTS
    assert all(counts == Counter(general=ROLLOUTS // 2, personalized=ROLLOUTS // 2) for counts in groups.values())
    # The words differ by mode only because the engine read the prefix before it wrote them.
    assert following >= 0.8 * len(rows), [row["output"] for row in rows]


def test_training_metrics_tell_the_modes_apart(logs: tuple[list[dict], list[dict]]) -> None:
    source = f"{schema.QUICKSTART_SOURCE_PREFIX}{schema.NONE}"
    for entry in [*logs[0], *logs[1]]:
        data = entry["data"]
        for scope in ("dual_grpo", f"dual_grpo/{source}"):
            assert data[f"{scope}/share_general/mean"] == data[f"{scope}/share_personalized/mean"] == 0.5
            assert data[f"{scope}/share_invalid/mean"] == 0
            assert data[f"{scope}/reward_general/mean"] > data[f"{scope}/reward_personalized/mean"]
            assert data[f"{scope}/win_general/mean"] > 0.5
            assert 0 < data[f"{scope}/prob_general/mean"] <= 1
            assert data[f"{scope}/inter_abs/mean"] > 0
        # The forced prefix stands behind the prompt, so that all rollouts of a prompt but the first find it cached.
        assert data["dual_grpo/prompt_cache_hit/mean"] > 0.25
        # Forced tokens carry no mismatch between rollout and actor: what is left is rounding.
        assert data["training/rollout_probs_diff_mean"] < 1e-3
        assert data["actor/grad_norm"] > 0
        assert abs(data["actor/ppo_kl"]) < 1e-4


def test_validation_has_free_and_forced_numbers(logs: tuple[list[dict], list[dict]]) -> None:
    source = f"{schema.QUICKSTART_SOURCE_PREFIX}{schema.NONE}"
    data = logs[1][-1]["data"]
    scope = f"val-dual/{source}"
    assert data[f"{scope}/acc_forced_general/mean"] == 1.0
    assert data[f"{scope}/acc_forced_personalized/mean"] == 0.0
    shares = [data[f"{scope}/share_{name}/mean"] for name in (*DEFAULT_MODES.names, "invalid")]
    assert sum(shares) == pytest.approx(1)
    assert data[f"{scope}/hybrid_accuracy/mean"] == pytest.approx(shares[0])
    assert data[f"{scope}/regret/mean"] == pytest.approx(1 - data[f"{scope}/acc_free/mean"])
    assert data[f"val-core/{source}/acc/mean@1"] == data[f"{scope}/acc_free/mean"]
    assert data[f"val-core/{source}:forced_general/acc/mean@1"] == 1.0


def test_exported_policy_loads(work: Path, logs: object) -> None:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(work / "rl" / "checkpoints" / "global_step_3" / "actor" / "huggingface")


def test_evaluation_measures_the_sft_model(work: Path, sft_model: Path) -> None:
    generations, report = work / "generations" / "sft.jsonl", work / "report"
    command = [sys.executable, "-m", "personadual.cli", "eval", f"sft={sft_model}"]
    command += ["--data", str(work / "val.parquet"), "--out", str(generations), "--max-tokens", str(RESPONSE_LENGTH)]
    with running(command, work / "eval.log", {"VERL_PLATFORM": ""}) as run:
        assert run.wait(400) == 0, run.tail()
    rows = pd.DataFrame(read_jsonl(generations))
    assert len(rows) == 4 * (1 + len(DEFAULT_MODES))
    accuracy = rows.groupby(schema.ASKED_MODE)[schema.ACC].mean()
    assert accuracy["general"] == 1 and accuracy["personalized"] == 0
    # The tags' probabilities come from the same requests; those of the two tags leave little for anything else.
    total = (
        rows[rows[schema.ASKED_MODE] != schema.FREE]
        .groupby(schema.ITEM)["tag_logprob"]
        .apply(lambda x: np.exp(x).sum())
    )
    assert ((total > 0.5) & (total <= 1 + 1e-4)).all(), total
    command = [sys.executable, "-m", "personadual.cli", "report", str(generations), "--out", str(report)]
    with running(command, work / "report.log") as run:
        assert run.wait(100) == 0, run.tail()
    assert (report / "report.md").exists() and (report / "report.json").exists()
