"""What ``personadual data build`` makes of every source, trained on: real SFT, then a real DualGRPO step on Qwen3's
template; and SFT again by verl's own data set on ChatML.

The inputs are small files in the sets' own published formats. Each batch of the RL step holds rows of every source.
"""

from __future__ import annotations

from pathlib import Path

import published_rows as published
import pyarrow.parquet as pq
import pytest
import yaml
from harness import read_jsonl, rl_command, running, sft_command
from published_rows import write_lines
from tiny_model import build_tiny_model, tokenizer_with

from personadual import cli, schema
from personadual.modes import DEFAULT_MODES

QWEN3 = Path(__file__).parents[1] / "templates" / "qwen3.jinja"
PROMPT_LENGTH, MAX_LENGTH, ROLLOUTS = 1500, 2000, 2
# As recipe/personadual/sft.py says: prompt and response as rollouts have them, without thinking.
PROMPT_RESPONSE = (
    "data.custom_cls.path=pkg://personadual.sft",
    "data.custom_cls.name=PromptResponseDataset",
    "+data.apply_chat_template_kwargs.enable_thinking=False",
)
MAPPING = {"question": "question", "options": ["a", "b", "c"], "answer": "right", "question_id": "id"}
DATA_SOURCES = {"UltraMedical", "flan", "AlignX", "mmlu", "arc", "gsm8k", "my_set"}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sources in one build, by the command."""
    folder = tmp_path_factory.mktemp("sources")
    rows = {
        "ultramedical": published.ultramedical(4),
        "flan": published.flan(4),
        "alignx": published.alignx(4),
        "mmlu": published.mmlu(4),
        "arc": published.arc(4),
        "gsm8k": published.gsm8k(4),
        "personahub": published.personas(40),
    }
    inputs = {name: str(write_lines(folder / f"{name}.jsonl", entries)) for name, entries in rows.items()}
    (folder / "my_set.csv").write_text(published.csv(4))
    mine = {"name": "generic", "input": str(folder / "my_set.csv"), "mapping": {**MAPPING, "data_source": "my_set"}}
    build = {
        "sources": [
            *({"name": name, "input": path} for name, path in inputs.items() if name != "personahub"),
            {"name": "facts", "limit": 4},
            mine,
        ],
        "personas": {"input": inputs["personahub"], "shares": {schema.NONE: 0.5, schema.UNALIGNED: 0.5}},
        "splits": {"train": 1, "val": 0, "test": 0},
        "sft": {"modes": "all"},
        "rl": {},
    }
    (folder / "build.yaml").write_text(yaml.safe_dump(build))
    assert cli.main(["data", "build", "--config", str(folder / "build.yaml"), "--out", str(folder / "data")]) == 0
    build_tiny_model(folder / "chatml")
    build_tiny_model(folder / "qwen3", tokenizer=tokenizer_with(QWEN3.read_text(encoding="utf-8")))
    return folder


def prompts(work: Path) -> list[dict]:
    return pq.read_table(work / "data" / "rl_train.parquet").to_pylist()


def train_sft(work: Path, template: str, epochs: int, *overrides: str) -> tuple[Path, str]:
    """The exported model and the log."""
    out = work / f"sft_{template}"
    command = sft_command(
        work / template,
        work / "data" / "sft_train.parquet",
        out,
        "data.train_batch_size=16",
        f"data.max_length={MAX_LENGTH}",
        f"data.max_token_len_per_gpu={4 * MAX_LENGTH}",
        f"trainer.total_epochs={epochs}",
        "trainer.save_freq=after_each_epoch",
        "trainer.max_ckpt_to_keep=1",
        "optim.lr=1e-2",
        *overrides,
    )
    with running(command, work / f"sft_{template}.log") as run:
        assert run.wait(480) == 0, run.tail()
    (model,) = out.glob("global_step_*/huggingface")
    return model, run.log.read_text(errors="replace")


@pytest.fixture(scope="module")
def metrics(work: Path) -> list[dict]:
    """The metrics of one DualGRPO step on all prompts, from the model that SFT made of Qwen3's template."""
    model, _ = train_sft(work, "qwen3", 12, *PROMPT_RESPONSE)
    size = len(prompts(work))
    data = work / "data" / "rl_train.parquet"
    command = rl_command(
        model,
        data,
        data,
        work / "rl",
        f"data.train_batch_size={size}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={size}",
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        f"actor_rollout_ref.rollout.max_model_len={MAX_LENGTH}",
        "actor_rollout_ref.rollout.temperature=1.0",
        "+data.apply_chat_template_kwargs.enable_thinking=False",
        f"data.max_prompt_length={PROMPT_LENGTH}",
        "data.max_response_length=48",
        "+reward.custom_reward_function.reward_kwargs.graders.my_set=objective",
        "trainer.save_freq=-1",
        "trainer.test_freq=-1",
        "trainer.val_before_train=False",
        "trainer.total_training_steps=1",
    )
    with running(command, work / "rl.log", {"VERL_FILE_LOGGER_PATH": str(work / "metrics.jsonl")}) as run:
        assert run.wait(400) == 0, run.tail()
    return read_jsonl(work / "metrics.jsonl")


def test_the_build_holds_every_source(work: Path) -> None:
    found = {row[schema.DATA_SOURCE] for row in prompts(work)}
    assert {name for name in found if not name.startswith(schema.QUICKSTART_SOURCE_PREFIX)} == DATA_SOURCES
    assert any(name.startswith(schema.QUICKSTART_SOURCE_PREFIX) for name in found)
    assert {row[schema.EXTRA_INFO][schema.CONDITION] for row in prompts(work)} >= {
        schema.NONE,
        schema.UNALIGNED,
        schema.PERSONAL,
    }


def test_one_step_trains_on_every_source(work: Path, metrics: list[dict]) -> None:
    (entry,) = metrics
    for source in {row[schema.DATA_SOURCE] for row in prompts(work)}:
        for mode in DEFAULT_MODES.names:
            assert entry["data"][f"dual_grpo/{source}/share_{mode}/mean"] == 0.5
            assert 0 <= entry["data"][f"dual_grpo/{source}/reward_{mode}/mean"] <= 1
    assert entry["data"]["actor/grad_norm"] > 0
    assert len(read_jsonl(work / "rl" / "rollouts" / "1.jsonl")) == ROLLOUTS * len(prompts(work))


def test_rollouts_write_what_sft_taught_and_are_graded(metrics: list[dict]) -> None:
    # A tenth of the reward is the format's: tag and one answer block. The tiny model learns that, whatever its answers.
    assert metrics[0]["data"]["critic/rewards/max"] >= 0.1


def test_verls_own_sft_data_set_trains_on_every_source(work: Path) -> None:
    model, log = train_sft(work, "chatml", 1)
    assert (model / "model.safetensors").exists()
    assert "train/loss" in log
