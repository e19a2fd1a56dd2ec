"""What SFT trains on is what rollouts see: the RL prompt, then tag, body and end token, to the token."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import OmegaConf
from tiny_model import tokenizer_with

from personadual.data_prep import chat, template_checks
from personadual.data_prep.chat_tokens import Sequences, render_ids, training_ids, turn_end
from personadual.data_prep.columns import SFT_SCHEMA, to_table, write_parquet
from personadual.data_prep.items import FACT, Item, sft_rows
from personadual.modes import DEFAULT_MODES, GENERAL, PERSONALIZED, Mode, Modes, encode_prefix
from personadual.sft import PromptResponseDataset

QWEN3 = Path(__file__).parents[1] / "templates" / "qwen3.jinja"
QWEN3_SHA256 = "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5"

# As SmolLM2's and Qwen2.5's: ChatML with a system message of its own where none is given.
DEFAULT_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As Gemma's: roles must take turns, so that verl's data set can't be built at all.
ALTERNATING = (
    "{% for message in messages %}"
    "{% if loop.index0 and message['role'] == messages[loop.index0 - 1]['role'] %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def qwen3():
    return tokenizer_with(QWEN3.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rows():
    items = [
        Item(
            question_id=f"q{number}",
            condition="aligned" if persona else "none",
            question=question,
            persona=persona,
            truth=answer,
            accept=(),
            mode_answers=(answer, answer),
            right_mode=None,
            ability=FACT,
            split="train",
            source="test",
        )
        for number, (question, persona, answer) in enumerate(
            [
                ("Which city is the capital of France?", "", "Paris"),
                ("Which city is it?", "I am a nurse\n\nfrom Lyon", "Łódź <b>"),
                ("你好?", "likes tea", "three\n four"),
            ]
        )
    ]
    order = [(number, mode) for number in range(len(items)) for mode in range(2)]
    return sft_rows(items, DEFAULT_MODES, order)


@pytest.fixture(scope="module")
def parquet(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("sft") / "train.parquet"
    write_parquet(path, to_table(rows, SFT_SCHEMA))
    return str(path)


def config(**changes):
    return OmegaConf.create({"pad_mode": "no_padding", "max_length": 1024, "enable_thinking_default": False, **changes})


def stock(parquet, tokenizer, **changes):
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    return MultiTurnSFTDataset([parquet], tokenizer, config(**changes))


def rl_prompt(tokenizer, messages, **kwargs):
    """The ids that verl's agent loop starts a rollout from."""
    from verl.utils.tokenizer.continuous_token import ContinuousTokenBuilder

    builder = ContinuousTokenBuilder.__new__(ContinuousTokenBuilder)
    builder.tokenizer, builder.chat_template_kwargs = tokenizer, kwargs
    return builder.build_initial_tokens(messages)


def assert_is_rl_prompt_and_response(row, tokenizer, messages, end="<|im_end|>\n", **kwargs):
    prompt = rl_prompt(tokenizer, messages[:-1], **kwargs)
    ids, mask = row["input_ids"].tolist(), row["loss_mask"].tolist()
    assert ids[: len(prompt)] == prompt
    assert mask == [0] * len(prompt) + [1] * (len(ids) - len(prompt))
    response = messages[-1]["content"]
    mode = GENERAL if response.startswith(GENERAL.tag) else PERSONALIZED
    prefix = encode_prefix(tokenizer, mode)
    assert ids[len(prompt) : len(prompt) + len(prefix)] == prefix
    assert tokenizer.decode(ids[len(prompt) :]) == response + end
    assert tokenizer.eos_token_id in ids[len(prompt) :]


def test_the_qwen3_template_is_the_published_one():
    assert hashlib.sha256(QWEN3.read_bytes()).hexdigest() == QWEN3_SHA256


@pytest.mark.parametrize("template", [None, DEFAULT_SYSTEM], ids=["chatml", "default system message"])
def test_verls_own_data_set_is_right_on_chatml(rows, parquet, template):
    tokenizer = tokenizer_with(template)
    dataset = stock(parquet, tokenizer)
    assert len(dataset) == len(rows)
    for number, row in enumerate(rows):
        assert_is_rl_prompt_and_response(dataset[number], tokenizer, row["messages"])


@pytest.mark.parametrize("pad_mode", ["right", "no_padding"])
@pytest.mark.parametrize("template", [None, DEFAULT_SYSTEM], ids=["chatml", "default system message"])
def test_ours_gives_the_same_rows_as_verls_where_that_one_works(rows, parquet, template, pad_mode):
    tokenizer = tokenizer_with(template)
    # "right" truncation of the longest rows is part of the comparison.
    lengths = sorted(len(stock(parquet, tokenizer)[number]["input_ids"]) for number in range(len(rows)))
    settings = {"pad_mode": pad_mode, "max_length": lengths[2], "truncation": "right"}
    ours = PromptResponseDataset([parquet], tokenizer, config(**settings))
    theirs = stock(parquet, tokenizer, **settings)
    assert len(ours) == len(theirs)
    for number in range(len(theirs)):
        assert ours[number].keys() == theirs[number].keys()
        for name, tensor in theirs[number].items():
            assert ours[number][name].dtype == tensor.dtype and torch.equal(ours[number][name], tensor), name


@pytest.mark.parametrize("settings", [{"shuffle": True, "seed": 3}, {}], ids=["drawn", "the first"])
def test_it_takes_the_samples_that_verls_takes(parquet, settings):
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    tokenizer = tokenizer_with()
    ours, theirs = (
        kind([parquet, parquet], tokenizer, config(**settings), max_samples=5)
        for kind in (PromptResponseDataset, MultiTurnSFTDataset)
    )
    assert [row["input_ids"].tolist() for row in ours] == [theirs[n]["input_ids"].tolist() for n in range(5)]


def test_a_subset_that_each_rank_would_draw_for_itself_is_refused(rows, parquet):
    tokenizer = tokenizer_with()
    with pytest.raises(ValueError, match=r"data\.shuffle=true draws 2 of .*data\.seed=1"):
        PromptResponseDataset(parquet, tokenizer, config(shuffle=True), max_samples=2)
    # Without a subset nothing is drawn here: verl's sampler shuffles.
    assert len(PromptResponseDataset(parquet, tokenizer, config(shuffle=True), max_samples=len(rows))) == len(rows)


@pytest.mark.parametrize("thinking", [True, False])
def test_ours_is_right_on_qwen3(rows, parquet, qwen3, thinking):
    dataset = PromptResponseDataset(parquet, qwen3, config(enable_thinking_default=thinking))
    assert len(dataset) == len(rows)
    for number, row in enumerate(rows):
        assert_is_rl_prompt_and_response(dataset[number], qwen3, row["messages"], enable_thinking=thinking)


@pytest.mark.parametrize("thinking", [True, False])
def test_verls_refuses_qwen3_and_trains_on_another_prompt_when_told_to_go_on(rows, parquet, qwen3, thinking):
    with pytest.raises(AssertionError, match="ignore_input_ids_mismatch"):
        stock(parquet, qwen3, enable_thinking_default=thinking)[0]
    row = stock(parquet, qwen3, enable_thinking_default=thinking, ignore_input_ids_mismatch=True)[0]
    lists = {name: row[name].tolist() for name in ("input_ids", "loss_mask")}
    found = template_checks.training_row_problems(
        qwen3, DEFAULT_MODES, rows[0]["messages"], lists, enable_thinking=thinking
    )
    # With thinking the parts happen to fit. Without it the empty think block of the rollouts' prompt is not there.
    assert bool(list(found)) == (not thinking)
    assert ("<think>" in qwen3.decode(rl_prompt(qwen3, rows[0]["messages"][:2], enable_thinking=thinking))) == (
        not thinking
    )
    assert "<think>" not in qwen3.decode(lists["input_ids"])


def test_it_serves_templates_that_verls_cannot_even_be_built_on(rows, parquet):
    from jinja2 import TemplateError

    tokenizer = tokenizer_with(ALTERNATING)
    with pytest.raises(TemplateError, match="alternate"):
        stock(parquet, tokenizer)
    dataset = PromptResponseDataset(parquet, tokenizer, config())
    for number, row in enumerate(rows):
        assert_is_rl_prompt_and_response(dataset[number], tokenizer, row["messages"])


def test_verls_trainer_builds_it_from_the_config_and_its_collator_takes_the_rows(rows, parquet, qwen3):
    from verl.trainer.sft_trainer import create_sft_dataset
    from verl.utils.dataset.dataset_utils import DatasetPadMode, SFTTensorCollator

    custom = {"path": "pkg://personadual.sft", "name": "PromptResponseDataset"}
    for pad_mode in (DatasetPadMode.NO_PADDING, DatasetPadMode.RIGHT):
        data = config(custom_cls=custom, pad_mode=pad_mode.value, max_length=300)
        dataset = create_sft_dataset(parquet, data, qwen3, None, max_samples=4)
        batch = SFTTensorCollator(pad_mode)([dataset[number] for number in range(len(dataset))])
        assert len(dataset) == batch["input_ids"].size(0) == 4
        assert torch.equal(batch["input_ids"][1][:5], dataset[1]["input_ids"][:5])


def test_other_modes_come_from_the_config(tmp_path):
    modes = Modes([Mode("facts", "<facts>"), Mode("user", "<user>")])
    rows = [{"messages": [*chat.prompt_messages("", "Q?"), answer(chat.response(mode, "A"))]} for mode in modes]
    path = tmp_path / "sft.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    tokenizer = tokenizer_with()
    block = [{"name": mode.name, "tag": mode.tag} for mode in modes]
    dataset = PromptResponseDataset(str(path), tokenizer, config(modes=block))
    assert tokenizer.decode(dataset[1]["input_ids"]).endswith(
        '<user>\n<answer>\n{"answer": "A"}\n</answer><|im_end|>\n'
    )
    with pytest.raises(ValueError, match=r"row 1: the response must start with one of '\[General_mode\]"):
        PromptResponseDataset(str(path), tokenizer, config())


def answer(text):
    return {"role": "assistant", "content": text}


GOOD = chat.response(GENERAL, "Paris")


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([{"role": "user", "content": "Q?"}], "row 1: a prompt and then an assistant message"),
        ([answer(GOOD)], "row 1: a prompt and then an assistant message"),
        ([{"role": "user", "content": "Q?"}, answer(" " + GOOD)], "row 1: the response must start with"),
        ([{"role": "user", "content": "Q?"}, answer("[General_mode]\n Paris")], "row 1: text must follow"),
        ([{"role": "user", "content": "Q?"}, answer("[General_mode]\n")], "row 1: text must follow"),
        ([{"role": "user", "content": None}, answer(GOOD)], "row 1: the content of every message"),
    ],
)
def test_rows_that_are_no_prompt_with_a_tagged_response_are_refused_at_once(tmp_path, messages, message):
    path = tmp_path / "sft.parquet"
    pq.write_table(pa.Table.from_pylist([{"messages": messages}]), path)
    with pytest.raises(ValueError, match=message):
        PromptResponseDataset(str(path), tokenizer_with(), config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"enable_thinking_default": "none"},
            "enable_thinking_default is 'none'.*Set data.enable_thinking_default=false",
        ),
        ({"apply_chat_template_kwargs": {"enable_thinking": "False"}}, "enable_thinking is 'False'"),
        ({"apply_chat_template_kwargs": {"enable_thinking": True}}, "Set both alike"),
        ({"truncation": "left"}, "lost its beginning"),
        ({"pad_mode": "left_right"}, "right or no_padding"),
        ({"messages_key": "chat"}, "no column 'chat', found messages.*Set data.messages_key"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_fix(parquet, changes, message):
    with pytest.raises(ValueError, match=message):
        PromptResponseDataset(parquet, tokenizer_with(), config(**changes))


def test_the_template_may_be_left_to_its_own_default_or_set_in_either_place(parquet, qwen3):
    texts = {}
    for name, changes in {
        "own default": {"enable_thinking_default": None},
        "default": {"enable_thinking_default": False},
        "kwargs": {"enable_thinking_default": None, "apply_chat_template_kwargs": {"enable_thinking": False}},
        "both": {"apply_chat_template_kwargs": {"enable_thinking": False}},
    }.items():
        texts[name] = qwen3.decode(PromptResponseDataset(parquet, qwen3, config(**changes))[0]["input_ids"])
    assert "<think>" not in texts.pop("own default")
    assert all("<think>\n\n</think>\n\n[General_mode]\n" in text for text in texts.values())


@pytest.mark.parametrize("column", ["enable_thinking", "tools", "images"])
def test_columns_that_change_single_prompts_are_refused(tmp_path, rows, column):
    path = tmp_path / "sft.parquet"
    pq.write_table(pa.Table.from_pylist([{**rows[0], column: "x"}, {**rows[1], column: None}]), path)
    with pytest.raises(ValueError, match=f"the column '{column}' changes the prompt"):
        PromptResponseDataset(str(path), tokenizer_with(), config())


def test_a_row_that_is_too_long_is_named(parquet):
    dataset = PromptResponseDataset(parquet, tokenizer_with(), config(max_length=10))
    with pytest.raises(ValueError, match=r"row 3 has \d+ tokens, data.max_length is 10"):
        dataset[2]


def test_a_model_with_images_is_refused(parquet):
    with pytest.raises(ValueError, match="verl's own data set"):
        PromptResponseDataset(parquet, tokenizer_with(), config(), processor=object())


# The checks of the template itself.


def problems(tokenizer, modes=DEFAULT_MODES, **kwargs):
    return [problem.check for problem in template_checks.template_problems(tokenizer, modes, **kwargs)]


OPEN_THINKING = DEFAULT_SYSTEM.replace("assistant\n' }}{% endif %}", "assistant\n<think>\n' }}{% endif %}")
TAGGED = DEFAULT_SYSTEM.replace("assistant\n' }}{% endif %}", "assistant\n[General_mode]\n' }}{% endif %}")
NO_END = DEFAULT_SYSTEM.replace("message['content'] + '<|im_end|>' + '\n'", "message['content'] + '\n'")
SHOUTING = DEFAULT_SYSTEM.replace("message['content']", "message['content'] | upper")
# Without a line break, so that the generation prompt's last characters and the tag's first could merge.
GLUED = DEFAULT_SYSTEM.replace("assistant\n' }}{% endif %}", "assistant[' }}{% endif %}")


@pytest.mark.parametrize(
    ("template", "kwargs", "expected"),
    [
        (None, {}, []),
        (DEFAULT_SYSTEM, {}, []),
        (ALTERNATING, {}, ["turns-apart"]),
        (OPEN_THINKING, {}, ["opens-thinking", "template-changes-turn"]),
        (TAGGED, {}, ["tag-in-generation-prompt", "template-changes-turn"]),
        (NO_END, {}, ["turn-end"]),
        (SHOUTING, {}, ["template-changes-turn"]),
        ("{{ raise_exception('no') }}", {}, ["template-fails"]),
        ("qwen3", {"enable_thinking": False}, ["turns-apart"]),
        ("qwen3", {"enable_thinking": True}, ["template-changes-turn"]),
        ("qwen3", {}, ["template-changes-turn"]),
    ],
)
def test_template_problems(template, kwargs, expected):
    template = QWEN3.read_text(encoding="utf-8") if template == "qwen3" else template
    found = problems(tokenizer_with(template), **kwargs)
    assert [check for check in dict.fromkeys(found) if check != "prefix-boundary"] == expected


def test_a_tokenizer_without_a_template_and_one_that_loses_the_tag_are_named():
    tokenizer = tokenizer_with()
    tokenizer.chat_template = None
    assert problems(tokenizer) == ["no-chat-template"]
    special = tokenizer_with()
    special.add_special_tokens({"additional_special_tokens": ["[General_mode]"]})
    assert problems(special) == ["tag-not-kept"]


def test_a_tag_that_merges_with_the_prompt_is_named():
    # The tokenizer has learnt "</" as one token: behind a "<" that the template wrote, the tag's "/" is gone.
    modes = Modes([Mode("facts", "/facts"), Mode("user", "/user")])
    tokenizer = tokenizer_with(GLUED.replace("assistant['", "assistant<'"))
    assert "prefix-boundary" in problems(tokenizer, modes)


def test_training_ids_are_the_two_parts(rows, qwen3):
    messages = rows[1]["messages"]
    found = training_ids(qwen3, messages, DEFAULT_MODES, enable_thinking=False)
    assert isinstance(found, Sequences) and found.prompt == rl_prompt(qwen3, messages[:2], enable_thinking=False)
    assert qwen3.decode(found.response) == messages[2]["content"] + "<|im_end|>\n"
    assert turn_end(qwen3) == "<|im_end|>\n"
    assert render_ids(qwen3, messages[:2], generate=True, enable_thinking=False) == found.prompt


def test_a_row_with_loss_elsewhere_is_described(rows, qwen3):
    messages = rows[0]["messages"]
    prompt, response = training_ids(qwen3, messages, DEFAULT_MODES)
    ids = prompt + response

    def described(ids, mask):
        return list(
            template_checks.training_row_problems(qwen3, DEFAULT_MODES, messages, {"input_ids": ids, "loss_mask": mask})
        )

    right = [0] * len(prompt) + [1] * len(response)
    assert described(ids, right) == []
    (no_tag,) = described(ids, [0] * (len(prompt) + 1) + [1] * (len(response) - 1))
    assert no_tag.startswith("the loss is on")
    (no_end,) = described(ids, [*right[:-2], 0, 0])
    assert no_end.startswith("the loss is on")
    assert "does not begin with the RL prompt" in described(ids[1:], right[1:])[0]
    assert "the response is" in described(ids[:-1], right[:-1])[0]
    assert described(ids, [0] * len(ids))[0].startswith("the loss is on ''")
