"""Forcing a prefix on a rollout, and finding one in a response."""

import asyncio

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from verl.workers.rollout.replica import TokenOutput

from personadual.modes import DEFAULT_MODES, INVALID_MODE, Mode, Modes, encode_prefixes
from personadual.prefix import ForcedPrefixClient, adopt_prefix_log_probs, locate_mode


class Engine:
    """verl's client protocol: records every request, and answers with the numbers 100, 101, ... to its budget."""

    replica = "replica 3"

    def __init__(self, log_probs=True, aborted=False):
        self.requests = []
        self.log_probs = log_probs
        self.aborted = aborted

    async def generate(self, request_id, *, prompt_ids, sampling_params, **kwargs):
        self.requests.append(
            {"id": request_id, "prompt_ids": list(prompt_ids), "params": dict(sampling_params), "kwargs": kwargs}
        )
        await asyncio.sleep(0)
        size = 0 if self.aborted else sampling_params.get("max_tokens", 4)
        asked = sampling_params.get("logprobs") and self.log_probs and not self.aborted
        # An engine that writes to what it is given, as verl's server does when it pops its own keys.
        prompt_ids.append(-1)
        sampling_params["touched"] = True
        return TokenOutput(
            token_ids=list(range(100, 100 + size)),
            log_probs=[-0.5 - index for index in range(size)] if asked else None,
            stop_reason="aborted" if self.aborted else "completed",
            extra_fields={"global_steps": 3},
        )


def generate(client, prompt_ids=(1, 2), request_id="r", **kwargs):
    params = kwargs.pop("sampling_params", {"temperature": 1.0, "logprobs": True})
    return asyncio.run(
        client.generate(request_id=request_id, prompt_ids=list(prompt_ids), sampling_params=params, **kwargs)
    )


def test_the_engine_continues_prompt_and_prefix_and_the_response_starts_with_the_prefix():
    engine = Engine()
    output = generate(ForcedPrefixClient(engine, [7, 8, 9], response_length=10))
    assert engine.requests[0]["prompt_ids"] == [1, 2, 7, 8, 9]
    assert output.token_ids == [7, 8, 9, 100, 101, 102, 103, 104, 105, 106]


@pytest.mark.parametrize("length", [1, 3, 9])
def test_the_prefix_costs_budget_and_never_the_tail(length):
    engine = Engine()
    output = generate(ForcedPrefixClient(engine, list(range(length)), response_length=10))
    assert engine.requests[0]["params"]["max_tokens"] == 10 - length
    assert len(output.token_ids) == 10
    assert output.token_ids[-1] == 100 + 10 - length - 1, "the last token of the engine is the last of the response"


def test_sessions_that_share_prompt_and_parameters_get_their_own_prefix_and_budget():
    """verl hands all sessions of a prompt the same list and the same dict."""
    engine = Engine()
    prompt, params = [1, 2], {"temperature": 0.6, "logprobs": True}
    prefixes = [[7, 8], [7, 9, 9], [7, 8], [7, 9, 9]]
    clients = [ForcedPrefixClient(engine, prefix, response_length=8) for prefix in prefixes]

    async def run():
        return await asyncio.gather(
            *(
                client.generate(request_id=i, prompt_ids=prompt, sampling_params=params)
                for i, client in enumerate(clients)
            )
        )

    outputs = asyncio.run(run())
    assert [request["prompt_ids"] for request in engine.requests] == [[1, 2, *prefix] for prefix in prefixes]
    assert [request["params"]["max_tokens"] for request in engine.requests] == [6, 5, 6, 5]
    assert [output.token_ids[: len(prefix)] for output, prefix in zip(outputs, prefixes, strict=True)] == prefixes
    assert [len(output.token_ids) for output in outputs] == [8] * 4
    assert prompt == [1, 2] and params == {"temperature": 0.6, "logprobs": True}


def test_the_clients_own_prefix_list_may_be_shared_too():
    engine, prefix = Engine(), [7, 8]
    for _ in range(3):
        output = generate(ForcedPrefixClient(engine, prefix, response_length=4))
        output.token_ids.append(0)
    assert prefix == [7, 8]
    assert [request["prompt_ids"] for request in engine.requests] == [[1, 2, 7, 8]] * 3


def test_log_probs_are_aligned_with_the_response():
    output = generate(ForcedPrefixClient(Engine(), [7, 8], response_length=5))
    assert len(output.log_probs) == len(output.token_ids) == 5
    assert output.log_probs[2:] == [-0.5, -1.5, -2.5]


def test_an_aborted_request_has_log_probs_for_its_prefix():
    """Rows of one batch with and without the field could not be put together."""
    output = generate(ForcedPrefixClient(Engine(aborted=True), [7, 8], response_length=5))
    assert output.token_ids == [7, 8]
    assert output.log_probs == [0.0, 0.0]


def test_generated_tokens_without_log_probs_are_refused():
    with pytest.raises(RuntimeError, match=r"gave 0 for 3 tokens.*calculate_log_probs=False"):
        generate(ForcedPrefixClient(Engine(log_probs=False), [7, 8], response_length=5))


@pytest.mark.parametrize("params", [{}, {"logprobs": False}, {"logprobs": None}])
def test_no_log_probs_appear_that_nobody_asked_for(params):
    assert generate(ForcedPrefixClient(Engine(), [7, 8], 5), sampling_params=params).log_probs is None


def test_the_rest_of_request_and_answer_passes_through():
    engine = Engine()
    client = ForcedPrefixClient(engine, [7], response_length=5)
    output = generate(client, request_id="det-3", image_data=["image"], priority=4)
    assert engine.requests[0]["id"] == "det-3"
    assert engine.requests[0]["kwargs"] == {"image_data": ["image"], "priority": 4}
    assert engine.requests[0]["params"]["temperature"] == 1.0
    assert output.stop_reason == "completed" and output.extra_fields == {"global_steps": 3}
    assert client.replica == "replica 3"
    with pytest.raises(AttributeError):
        _ = client.no_such_attribute


def test_only_the_first_turn_is_forced():
    engine = Engine()
    client = ForcedPrefixClient(engine, [7, 8], response_length=6)
    generate(client)
    second = generate(client, prompt_ids=[1, 2, 3], sampling_params={"max_tokens": 2})
    assert engine.requests[1]["prompt_ids"] == [1, 2, 3]
    assert engine.requests[1]["params"]["max_tokens"] == 2
    assert second.token_ids == [100, 101]


CHINESE = Modes([Mode("general", "【通用模式】"), Mode("personalized", "【个性化模式】")])


def tokenizer_of(modes) -> PreTrainedTokenizerFast:
    """A byte-level BPE that writes the modes' prefixes in few tokens, and could write them byte by byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([mode.prefix for mode in modes] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def byte_by_byte(tokenizer, text: str) -> list[int]:
    """The ids of ``text`` with one token for each of its bytes."""
    stand_ins = "".join(piece for piece, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text))
    return [tokenizer.convert_tokens_to_ids(stand_in) for stand_in in stand_ins]


def locate(text_or_ids, modes=DEFAULT_MODES):
    tokenizer = tokenizer_of(modes)
    ids = tokenizer.encode(text_or_ids) if isinstance(text_or_ids, str) else text_or_ids
    return locate_mode(ids, tokenizer, modes, encode_prefixes(tokenizer, modes))


@pytest.mark.parametrize("modes", [DEFAULT_MODES, CHINESE])
@pytest.mark.parametrize("index", [0, 1])
def test_a_prefix_in_the_usual_tokens_is_found_with_their_number(modes, index):
    tokenizer = tokenizer_of(modes)
    prefixes = encode_prefixes(tokenizer, modes)
    body = tokenizer.encode("Because of tea.")
    assert locate_mode(prefixes[index] + body, tokenizer, modes, prefixes) == (index, len(prefixes[index]))


@pytest.mark.parametrize("modes", [DEFAULT_MODES, CHINESE])
@pytest.mark.parametrize("index", [0, 1])
def test_a_prefix_in_other_tokens_is_found_with_their_number(modes, index):
    """The model may write the same text in any tokens: here one for each byte."""
    tokenizer = tokenizer_of(modes)
    spelled = byte_by_byte(tokenizer, modes[index].prefix)
    assert tokenizer.decode(spelled) == modes[index].prefix
    assert len(spelled) > len(encode_prefixes(tokenizer, modes)[index])
    found = locate(spelled + tokenizer.encode("Because of tea."), modes)
    assert found == (index, len(spelled))


def test_a_newline_that_is_merged_with_the_next_one_counts_to_the_prefix():
    tokenizer = tokenizer_of([*DEFAULT_MODES, Mode("x", "\n\n\n")])
    ids = tokenizer.encode("[General_mode]") + tokenizer.encode("\n\n") + tokenizer.encode("Two.")
    assert tokenizer.decode(tokenizer.encode("\n\n")[:1]) == "\n\n", "one token for two line ends"
    mode, length = locate_mode(ids, tokenizer, DEFAULT_MODES, encode_prefixes(tokenizer, DEFAULT_MODES))
    assert mode == 0
    assert tokenizer.decode(ids[:length]) == "[General_mode]\n\n"


def test_a_response_that_is_nothing_but_the_tag_has_a_mode():
    tokenizer = tokenizer_of(DEFAULT_MODES)
    ids = tokenizer.encode("[General_mode]")
    assert locate(ids) == (0, len(ids))
    assert locate([*ids, tokenizer.eos_token_id]) == (0, len(ids)), "the end of the text is no token of the prefix"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Two.",
        " [General_mode]\nTwo.",
        "[General_mode] Two.",
        "[general_mode]\nTwo.",
        "[General_mode",
        "Two.\n[Personalized_mode]\nTea.",
    ],
)
def test_a_response_without_a_tag_at_its_very_start_is_invalid(text):
    assert locate(text) == (INVALID_MODE, 0)


@pytest.mark.parametrize("other_tokens", [False, True])
def test_a_special_token_before_the_end_of_the_tag_leaves_no_mode(other_tokens):
    tokenizer = tokenizer_of(DEFAULT_MODES)
    spell = (lambda text: byte_by_byte(tokenizer, text)) if other_tokens else tokenizer.encode
    special, tag, rest = tokenizer.eos_token_id, spell("[General_mode]"), spell("\nTea.")
    assert tokenizer.decode([special, *tag, *rest], skip_special_tokens=True) == "[General_mode]\nTea."
    assert locate([special, *tag, *rest]) == (INVALID_MODE, 0)
    assert locate([*tag[:1], special, *tag[1:], *rest]) == (INVALID_MODE, 0)
    assert locate([*tag, special, *rest])[0] == 0, "the tag had ended"


def jagged(rows):
    return torch.nested.nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def test_forced_prefix_tokens_take_the_actors_log_probs_and_nothing_else_changes():
    rollout = jagged([[-9.0, -9.0, -1.0], [-9.0, -2.0], [-0.5, -0.6, -0.7, -0.8]])
    actor = jagged([[-0.1, -0.2, -0.3], [-0.4, -0.5], [-1.0, -1.1, -1.2, -1.3]])
    lengths, forced = torch.tensor([2, 1, 2]), torch.tensor([True, True, False])
    found = adopt_prefix_log_probs(rollout, actor, lengths, forced)
    expected = jagged([[-0.1, -0.2, -1.0], [-0.4, -2.0], [-0.5, -0.6, -0.7, -0.8]])
    torch.testing.assert_close(found.values(), expected.values())
    torch.testing.assert_close(found.to_padded_tensor(0.0), expected.to_padded_tensor(0.0))


def test_log_probs_of_other_row_lengths_are_refused():
    with pytest.raises(ValueError, match="lengths of their rows"):
        adopt_prefix_log_probs(jagged([[-1.0]]), jagged([[-1.0, -1.0]]), torch.tensor([1]), torch.tensor([True]))
