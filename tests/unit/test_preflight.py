"""Preflight's pure parts: nearest numbers, contexts, budgets, memory, disk, nodes, the probe's probabilities."""

import pytest
import torch
from preflight_place import bad, the_one
from tiny_model import build_tiny_model

from personadual.context import scaled_context
from personadual.modes import DEFAULT_MODES, encode_prefixes
from personadual.preflight import arithmetic, batches, hardware, lengths, memory, probe, show
from personadual.preflight.findings import ERROR, OK, WARNING, Finding, guarded, judged, ok
from personadual.settings import DualGRPOSettings


@pytest.mark.parametrize(
    ("value", "divisor", "expected"), [(7, 4, [4, 8]), (8, 4, [8]), (3, 4, [4]), (0, 4, [4]), (9, 1, [9])]
)
def test_nearest_multiples(value, divisor, expected):
    assert arithmetic.nearest_multiples(value, divisor) == expected


def test_nearest_multiples_keep_within_bounds():
    assert arithmetic.nearest_multiples(10, 8, most=15) == [8]
    assert arithmetic.nearest_multiples(1, 2, least=2) == [2]


@pytest.mark.parametrize(
    ("value", "whole", "also", "expected"),
    [(3, 8, 0, [2, 4]), (4, 8, 0, [4]), (9, 8, 0, [8]), (4, 28, 8, [4]), (5, 28, 8, [4])],
)
def test_nearest_divisors(value, whole, also, expected):
    assert arithmetic.nearest_divisors(value, whole, also) == expected


def test_either():
    assert [arithmetic.either(values) for values in ([1], [1, 2], [1, 2, 3])] == ["1", "1 or 2", "1, 2 or 3"]


@pytest.mark.parametrize(
    ("shares", "multiple"), [([0.5, 0.5, 0], 2), ([1 / 3] * 3, 3), ([0.375, 0.375, 0.25], 8), ([1, 0], 1)]
)
def test_whole_shares(shares, multiple):
    assert arithmetic.whole_shares_multiple(shares) == multiple


def test_a_check_that_fails_is_a_finding_and_keeps_what_came_before():
    def check():
        yield ok("first", "fine")
        raise KeyError("gone")

    first, second = guarded("part", check)
    assert (first.section, first.severity) == ("part", OK)
    assert second.severity == ERROR and "Traceback" in second.found and "KeyError: 'gone'" in second.found


def test_what_files_and_configs_hold_is_shown_with_control_characters_spelt_out():
    text = show.as_text([Finding("a\x1b[31m", ERROR, "b\x07\nc", "d", "e", "part")], {"verl": None})
    assert "\x1b" not in text and "\x07" not in text and "\\u001b" in text
    assert "verl             not installed" in text and "1 error(s), 0 warning(s)" in text


NODE = batches.Parallel(nodes=1, gpus=8, tensor=2)


@pytest.mark.parametrize(
    ("batch", "parallel", "severity", "words"),
    [
        (batches.RLBatch(64, 8, 128), NODE, ERROR, ["ppo_mini_batch_size=64"]),
        (batches.RLBatch(64, 2, 3), NODE, ERROR, ["3 × 2 = 6", "ppo_mini_batch_size=4"]),
        (batches.RLBatch(60, 8, 32), NODE, WARNING, ["filled with 32", "data.train_batch_size=32 or 64"]),
        (batches.RLBatch(62, 8, 16, sync_steps=4), NODE, ERROR, ["a divisor of data.train_batch_size=62", "=60 or 64"]),
        (batches.RLBatch(64, 8, 64, dynamic=False, micro=5), NODE, ERROR, ["the 64 rows of a GPU", "_gpu=4 or 8"]),
        (
            batches.RLBatch(64, 8, 64, dynamic=False, micro=4, rollout_log_prob=3),
            NODE,
            ERROR,
            ["rollout.log_prob_micro_batch_size_per_gpu=2 or 4"],
        ),
        (
            batches.RLBatch(64, 8, 64, dynamic=False, micro=4, ref_log_prob=7),
            NODE,
            ERROR,
            ["ref.log_prob_micro_batch_size_per_gpu=4 or 8"],
        ),
    ],
)
def test_batches_that_verl_cannot_divide(batch, parallel, severity, words):
    finding = next(
        finding for finding in bad(batches.rl_batch_findings(batch, parallel)) if finding.severity == severity
    )
    for word in words:
        assert word in f"{finding.what} {finding.required} {finding.found} {finding.mend}"


def test_the_papers_batch_is_sound():
    assert bad(batches.rl_batch_findings(batches.RLBatch(64, 8, 64), NODE)) == []


@pytest.mark.parametrize(
    ("parallel", "words"),
    [
        (batches.Parallel(1, 8, tensor=3), ["=2 or 4"]),
        (batches.Parallel(2, 6, tensor=4), ["6 GPUs per node", "=3 or 6"]),
        (batches.Parallel(1, 8, tensor=2, rollout_data=8), ["tensor_model_parallel_size"]),
        (batches.Parallel(1, 8, sequence=3, tensor=1), ["ulysses_sequence_parallel_size=2 or 4"]),
        (batches.Parallel(1, 8, fsdp=3, tensor=1), ["fsdp_size=-1, 2 or 4"]),
        (batches.Parallel(1, 0, tensor=1), ["at least one"]),
    ],
)
def test_parallel_sizes_that_do_not_divide(parallel, words):
    finding = the_one(batches.parallel_findings(parallel, "engine"))
    assert finding.severity == ERROR
    for word in words:
        assert word in f"{finding.what} {finding.required} {finding.found} {finding.mend}"


@pytest.mark.parametrize("parallel", [batches.Parallel(2, 8, tensor=16), batches.Parallel(1, 8, 2, tensor=4), NODE])
def test_parallel_sizes_that_divide(parallel):
    assert bad(batches.parallel_findings(parallel, "engine")) == []


@pytest.mark.parametrize(
    ("train", "micro", "words"),
    [(12, None, "data.train_batch_size=8 or 16"), (4, None, "=8"), (32, 3, "data.micro_batch_size_per_gpu=2 or 4")],
)
def test_sft_batches_that_verl_would_floor(train, micro, words):
    assert words in the_one(batches.sft_batch_findings(train, micro, batches.Parallel(1, 8))).mend


def test_shares_that_are_no_whole_rollouts():
    settings = DualGRPOSettings(free_share=0.25)
    finding = the_one(batches.share_findings(6, settings))
    assert finding.severity == WARNING
    assert "a multiple of 8" in finding.required and "rollout.n=8" in finding.mend and "1.5 free" in finding.found
    assert bad(batches.share_findings(8, settings)) == []
    assert "rollout.n=4" in the_one(batches.share_findings(2, DualGRPOSettings())).mend


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({}, 4096),
        ({"rope_type": "default", "rope_theta": 1e4}, 4096),
        ({"rope_type": "linear", "factor": 2.0}, 8192),
        ({"rope_type": "dynamic", "factor": 4.0}, 16384),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}, 8192),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 512}, 4096),
        ({"rope_type": "longrope", "factor": 8.0}, 4096),
        ({"full": {"rope_type": "linear", "factor": 2.0}, "sliding": {"rope_type": "default"}}, 8192),
    ],
)
def test_contexts_are_scaled_as_vllm_scales_them(scaling, expected):
    assert scaled_context(4096, scaling) == expected


@pytest.mark.parametrize(
    ("changes", "contexts", "words"),
    [
        ({}, (1024, 1024), ["at most 1024", "= 1536", "data.max_prompt_length=512"]),
        ({}, (1024, 4096), ["at most 1024"]),
        ({"max_model_len": 1200}, (4096, 4096), ["rollout.max_model_len", "data.max_response_length=176"]),
        ({"max_model_len": 8192}, (4096, 4096), ["max_position_embeddings (verl, 4096)", "max_model_len=4096"]),
        ({"max_batched": 128}, None, ["max_num_seqs=256", "max_num_batched_tokens=1536"]),
        ({"max_batched": 1000, "chunked": False}, None, ["max_num_batched_tokens=1536", "enable_chunked_prefill=True"]),
        ({"rollout_response": 9}, None, ["rollout.response_length", "data.max_response_length (512)"]),
    ],
)
def test_sequences_that_do_not_fit(changes, contexts, words):
    given = {"prompt": 1024, "response": 512, "rollout_prompt": 1024, "rollout_response": 512, **changes}
    finding = the_one(lengths.rollout_findings(lengths.RolloutLengths(**given), contexts))
    for word in words:
        assert word in f"{finding.what} {finding.required} {finding.found} {finding.mend}"


def test_a_token_budget_counts_ulysses():
    assert lengths.budget_finding("k", 512, 2, 1024, "x").severity == OK
    assert lengths.budget_finding("k", 500, 2, 1024, "x").mend == "k=512"


SIZE = memory.ModelSize(parameters=1000, embeddings=300, block=70, layers=10, hidden=8, vocabulary=100, adapters=20)


def test_memory_is_the_documented_sum():
    lines = memory.estimate(SIZE, memory.Training(shard=4, tokens=5, tensor=2, share=0.5, reference=True), gpu=10_000.0)
    assert lines["weights"] == 1000 * 4 / 4
    assert lines["gradients"] == lines["weights"] and lines["Adam"] == 2 * lines["weights"]
    assert lines["gathered"] == 2 * (300 + 2 * 70)
    assert lines["activations"] == 2 * 8 * 5 * 10 + 34 * 8 * 5
    assert lines["logits"] == 10 * 100 * 5
    assert lines["training"] == sum(lines[name] for name in list(lines)[:6])
    assert lines["vLLM's weights"] == 2 * 1000 / 2
    assert lines["rolling out"] == 5000 + lines["weights"] + lines["Adam"]
    assert lines["host memory of a node"] == 1000 * 4 / 4


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"fused": True}, "logits", 0),
        ({"checkpointing": False}, "activations", 34 * 8 * 5 * 10),
        ({"lora_rank": 2}, "gradients", 2 * 20 * 4 / 4),
        ({"lora_rank": 2}, "weights", 1040 * 4 / 4),
        ({"master_bytes": 2}, "Adam", 1000),
        ({"param_offload": True, "optimizer_offload": True}, "rolling out", 5000),
        ({"all_offloaded": True}, "weights", 0),
        ({"shard": 1}, "gathered", 0),
    ],
)
def test_memory_honours_what_is_offloaded_or_left_out(changes, name, expected):
    given = {"shard": 4, "tokens": 5, "tensor": 2, "share": 0.5, **changes}
    assert memory.estimate(SIZE, memory.Training(**given), 10_000.0)[name] == expected


def test_memory_that_does_not_fit_says_what_takes_less():
    lines = memory.estimate(SIZE, memory.Training(shard=1, tokens=5, tensor=1, share=0.1), gpu=1000.0)
    assert [finding.what for finding in bad(memory.fit_findings(lines, 1000.0, False))] == [
        "memory for training",
        "memory for rolling out",
        "memory for vLLM",
    ]
    assert bad(memory.fit_findings(memory.estimate(SIZE, memory.Training(1, 5), 1e6), 1e6, False)) == []


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build_tiny_model(tmp_path_factory.mktemp("model"))
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def test_a_models_size_is_that_of_the_real_one(tiny):
    model, _ = tiny
    size = memory.measure(model.config)
    assert size.parameters == sum(weight.numel() for weight in model.parameters())
    assert size.embeddings == model.get_input_embeddings().weight.numel()  # tied: counted once
    assert size.block == sum(weight.numel() for weight in model.model.layers[0].parameters())
    assert (size.layers, size.hidden, size.vocabulary) == (2, 64, model.config.vocab_size)
    # q, k, v, o: 64 -> 64; gate, up: 64 -> 128; down: 128 -> 64
    assert size.adapters == 2 * (4 * 128 + 3 * 192)
    assert memory.measure(model.config, ["q_proj"]).adapters == 2 * 128


def test_the_probes_probabilities_are_those_of_one_row_at_a_time(tiny):
    model, tokenizer = tiny
    prefixes = encode_prefixes(tokenizer, DEFAULT_MODES)
    prompts = [tokenizer.encode(text) for text in ("A", "Which city is the capital of France?", "yes and no", "tea")]
    found = probe.prefix_probabilities(model, prompts, prefixes, tokenizer.pad_token_id, batch=3)
    expected = torch.empty(len(prompts), len(prefixes))
    with torch.inference_mode():
        for row, prompt in enumerate(prompts):
            for column, prefix in enumerate(prefixes):
                log_probs = model(torch.tensor([prompt + prefix])).logits[0].log_softmax(-1)
                places = range(len(prompt) - 1, len(prompt) + len(prefix) - 1)
                total = sum(log_probs[place, token] for place, token in zip(places, prefix, strict=True))
                expected[row, column] = total.exp()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "words"),
    [
        ([[0.5, 0.49]], []),
        ([[1.0, 1e-6], [0.999, 1e-5]], ["P(personalized)"]),
        ([[0.3, 0.3], [0.4, 0.4]], ["P(invalid)"]),
        ([[0.0, 0.0]], ["P(general)", "P(personalized)", "P(invalid)"]),
    ],
)
def test_a_model_of_one_mode_is_sent_to_sft(probabilities, words):
    found = bad(probe.mode_findings(DEFAULT_MODES.names, torch.tensor(probabilities)))
    assert [finding.what for finding in found] == words
    assert all(finding.severity == WARNING and "SFT" in finding.mend for finding in found)


GIB = memory.GIB


@pytest.mark.parametrize(
    ("memories", "elsewhere", "severity", "words"),
    [
        ([80 * GIB] * 8, False, OK, "8: 80 GiB"),
        ([80 * GIB] * 2, False, ERROR, "trainer.n_gpus_per_node=2"),
        ([], False, ERROR, "VERL_PLATFORM=cpu"),
        ([], True, WARNING, "not looked at"),
    ],
)
def test_devices(memories, elsewhere, severity, words):
    (finding,) = hardware.device_findings(memories, {"trainer.n_gpus_per_node": 8}, elsewhere)
    assert finding.severity == severity and words in f"{finding.found} {finding.mend}"


def test_checkpoints_are_measured_by_their_contents():
    assert hardware.checkpoint_bytes(100, 100, ["model", "optimizer", "extra"]) == 100 * 4 + 200 * 4
    assert hardware.checkpoint_bytes(100, 10, ["model", "optimizer", "hf_model"], 2) == (100 + 20 + 100) * 2
    assert hardware.checkpoint_bytes(100, 100, ["extra"]) == 0


@pytest.mark.parametrize(
    ("one", "kept", "severity"), [(50, 1, OK), (50, 3, WARNING), (200, 1, ERROR), (200, 0, OK), (0, 5, OK)]
)
def test_disk(one, kept, severity):
    (finding,) = hardware.disk_findings(one * GIB, kept, 100 * GIB)
    assert finding.severity == severity
    assert severity == OK or "trainer.default_local_dir" in finding.mend


def test_shared_memory_of_a_container():
    finding = hardware.shared_memory_finding(64 << 20, GIB)
    assert finding.severity == WARNING and "--shm-size" in finding.mend
    assert hardware.shared_memory_finding(2 * GIB, GIB).severity == OK


def test_judged_is_ok_or_says_what_to_do():
    assert judged("a", True, "b", 1, "c") == Finding("a", OK, "1", "b")
    assert judged("a", False, "b", 1, "c", WARNING) == Finding("a", WARNING, "1", "b", "c")
