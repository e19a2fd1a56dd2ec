"""``personadual export``: which checkpoint is meant, what is refused, and that its weights are the exported ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from export_files import make_checkpoint

from personadual.export import ExportError
from personadual.export.checkpoint import check_shards, find_checkpoint
from personadual.export.checks import agreement, chosen_kind

# Which checkpoint


@pytest.mark.parametrize("given", ["", "global_step_12", "global_step_12/actor", "global_step_12/actor/huggingface"])
def test_every_way_to_name_an_rl_checkpoint(tmp_path, given):
    folder = make_checkpoint(tmp_path / "run" / "global_step_12" / "actor", ranks=2)
    make_checkpoint(tmp_path / "run" / "global_step_9" / "actor")
    (tmp_path / "run" / "latest_checkpointed_iteration.txt").write_text("12")
    found = find_checkpoint(tmp_path / "run" / given)
    assert (found.folder, found.step, found.name, found.weights) == (folder, 12, "global_step_12/actor", "shards")
    assert [path.name[-9:] for path in found.shards] == ["rank_0.pt", "rank_1.pt"]


@pytest.mark.parametrize("given", ["", "global_step_4"])
def test_an_sft_checkpoint_and_one_that_was_moved(tmp_path, given):
    make_checkpoint(tmp_path / "run" / "global_step_4")
    (tmp_path / "run" / "latest_checkpointed_iteration.txt").write_text("4\n")
    assert find_checkpoint(tmp_path / "run" / given).name == "global_step_4"
    moved = make_checkpoint(tmp_path / "mine")
    assert (find_checkpoint(moved).name, find_checkpoint(moved).step) == ("mine", None)


def test_the_full_model_is_preferred_and_shards_can_be_asked_for(tmp_path):
    folder = make_checkpoint(tmp_path / "global_step_1", full=True)
    assert find_checkpoint(folder).weights == "huggingface"
    assert find_checkpoint(folder, "shards").weights == "shards"
    without = make_checkpoint(tmp_path / "global_step_2")
    with pytest.raises(ExportError, match="holds no safetensors"):
        find_checkpoint(without, "huggingface")


def test_a_full_model_does_not_need_every_shard(tmp_path):
    folder = make_checkpoint(tmp_path / "global_step_1", ranks=2, full=True)
    (folder / "model_world_size_2_rank_1.pt").unlink()
    assert find_checkpoint(folder).shards == ()


def remove(name: str):
    return lambda folder: (folder / name).unlink()


def write(name: str, text: str):
    def act(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return act


INDEX = "huggingface/model.safetensors.index.json"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            remove("model_world_size_2_rank_0.pt"),
            r"shard 1 of 2 is missing \(model_world_size_2_rank_0",
        ),
        (remove("fsdp_config.json"), "fsdp_config.json is missing"),
        (remove("huggingface/config.json"), "config.json: missing"),
        (write("fsdp_config.json", '{"world_size": -1}'), "world_size.*must be a number of ranks, found -1"),
        (write("fsdp_config.json", '{"world_size": 99999999999}'), "must be a number of ranks"),
        (write("fsdp_config.json", "{"), "cannot be read as JSON"),
        (write("fsdp_config.json", "[" * 100000), "cannot be read as JSON"),
        (write("lora_train_meta.json", "{}"), "a LoRA checkpoint.*merge_and_unload"),
        (write("huggingface/config.json", '{"architectures": ["LlamaForTokenClassification"]}'), "a language model"),
        (
            write("huggingface/config.json", '{"architectures": ["XForCausalLM"], "auto_map": {"a": "b"}}'),
            "code of its",
        ),
        (write(INDEX, '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'), "1 of the 1 files of .* missing"),
        (write(INDEX, '{"weight_map": {"a": "../../secret.safetensors"}}'), "names of safetensors files is needed"),
        (write("model/huggingface/config.json", "{}"), "a Megatron checkpoint"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, act, message):
    folder = make_checkpoint(tmp_path / "global_step_1", ranks=2)
    act(folder)
    with pytest.raises(ExportError, match=message):
        find_checkpoint(folder)


def test_folders_that_are_no_checkpoints(tmp_path):
    with pytest.raises(ExportError, match="not a folder"):
        find_checkpoint(tmp_path / "none")
    make_checkpoint(tmp_path / "run" / "global_step_1")
    with pytest.raises(ExportError, match="it has global_step_ 1, give one of them"):
        find_checkpoint(tmp_path / "run")
    for content in ("7", "../..", "", "1" * 1000):
        (tmp_path / "run" / "latest_checkpointed_iteration.txt").write_text(content)
        with pytest.raises(ExportError, match=r"names step .* which is not there"):
            find_checkpoint(tmp_path / "run")
    with pytest.raises(ExportError, match="a critic"):
        find_checkpoint(make_checkpoint(tmp_path / "global_step_2" / "critic"))
    empty = make_checkpoint(tmp_path / "global_step_3", shards=False)
    with pytest.raises(ExportError, match=r"no weights.*hf_model in checkpoint.save_contents"):
        find_checkpoint(empty)


def test_truncated_and_damaged_shards_are_named(tmp_path):
    folder = make_checkpoint(tmp_path / "global_step_1", ranks=2)
    checkpoint = find_checkpoint(folder)
    check_shards(checkpoint)
    second = checkpoint.shards[1]
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExportError, match="shard 2 of 2 is truncated"):
        check_shards(checkpoint)
    second.write_bytes(whole.replace(b"weights", b"Weights", 1))
    with pytest.raises(ExportError, match="shard 2 of 2 is damaged"):
        check_shards(checkpoint)


# Weights


class Dangerous:
    """What a pickle of it does when it is read, it does to a file of the test's."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


def test_a_shard_that_would_run_code_is_refused_and_does_not(tmp_path):
    import torch

    from personadual.export.weights import shard_tensors

    path = tmp_path / "model_world_size_1_rank_0.pt"
    torch.save({"weight": torch.ones(2), "more": Dangerous(tmp_path / "canary")}, path)
    with pytest.raises(ExportError, match="shard 1 of 1 cannot be read as weights alone"):
        list(shard_tensors([path]))
    assert not (tmp_path / "canary").exists()


def test_weights_are_compared_tensor_by_tensor(tmp_path):
    import torch

    from personadual.export.weights import compare, shard_tensors

    path = tmp_path / "shard.pt"
    held = {"a": torch.arange(12.0).reshape(3, 4) / 8 + 1e-4, "b": torch.ones(2)}
    torch.save(held, path)
    rounded = {name: tensor.bfloat16() for name, tensor in held.items()}
    found = compare(rounded, shard_tensors([path]))
    assert found == {"tensors": 2, "dtype": ["bfloat16"], "checkpoint_dtype": ["float32"]}
    changed = {**rounded, "a": rounded["a"] + 1}
    wrong = {
        "a differs by up to 1": changed,
        "b is not in the exported model": {"a": rounded["a"]},
        "c is not in the checkpoint": {**rounded, "c": torch.ones(1)},
        "b has the shape": {**rounded, "b": torch.ones(3)},
        "b holds values that are not finite": {**rounded, "b": torch.tensor([1.0, float("nan")])},
    }
    for message, state in wrong.items():
        with pytest.raises(ExportError, match=f"not the checkpoint's: .*{message}"):
            compare(state, shard_tensors([path]))


def test_ranks_that_disagree_are_refused(tmp_path):
    import torch

    from personadual.export.weights import shard_tensors

    for rank, value in enumerate((1.0, 2.0)):
        torch.save({"buffer": torch.tensor([value])}, tmp_path / f"{rank}.pt")
    with pytest.raises(ExportError, match="buffer: differs between the ranks"):
        list(shard_tensors([tmp_path / "0.pt", tmp_path / "1.pt"]))


def test_engines_must_agree():
    assert agreement([[-1.0] * 9, [-2.0]], [[-1.0] * 9, [-2.0005]], 1e-3)["largest"] == pytest.approx(5e-4)
    with pytest.raises(ExportError, match=r"mean 0.0005\), at most 0.001 \(mean 0.0001\)"):
        agreement([[-1.0, -2.0]], [[-1.0005, -2.0005]], 1e-3)
    with pytest.raises(ExportError, match=r"disagree: .* differ by up to 0.5 \(mean 0.25\), at most 0.001"):
        agreement([[-1.0, -2.0]], [[-1.0, -2.5]], 1e-3)
    with pytest.raises(ExportError, match="not finite"):
        agreement([[-1.0]], [[float("nan")]], 1e-3)


def test_vllm_can_only_be_asked_for_where_it_is(monkeypatch):
    monkeypatch.setattr("personadual.export.checks.version_of", lambda *names: None)
    assert chosen_kind("auto") == "transformers"
    with pytest.raises(ExportError, match="not installed"):
        chosen_kind("vllm")
