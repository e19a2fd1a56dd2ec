"""Serving: vLLM's own parser objects around ours, without an engine; how a mode is forced; what a client reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage
from tiny_model import CHAT_TEMPLATE, tokenizer_with
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser import ParserManager
from vllm.reasoning import ReasoningParser, ReasoningParserManager
from vllm.v1.structured_output import StructuredOutputManager

from personadual.modes import DEFAULT_MODES, Mode, Modes, encode_prefix, parse_mode
from personadual.serving import chat_forcing, forced_prompt_ids, vllm_plugin
from personadual.serving.__main__ import main as check_model
from personadual.serving.answers import Answer, AnswerStream, read_answer
from personadual.serving.client import chat_request, read_message
from personadual.serving.configured import MODES_VARIABLE, served_modes

THREE = Modes([Mode("plain", "<plain>"), Mode("tuned", "[思考]"), Mode("mixed", "[思路]")])
QWEN3 = (Path(__file__).parents[1] / "templates" / "qwen3.jinja").read_text()
TRIMMING = CHAT_TEMPLATE.replace("message['content']", "message['content'] | trim")  # as Llama 3's and Gemma's
BARE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
TEMPLATES = {"tiny": (CHAT_TEMPLATE, {}), "qwen3": (QWEN3, {"enable_thinking": False}), "trimming": (TRIMMING, {})}
QUESTION = [
    {"role": "system", "content": "User profile: likes tea."},
    {"role": "user", "content": "Which city?"},
]
TAGGED = [{"role": "system", "content": "[Personalized_mode]\n"}, {"role": "user", "content": "[General_mode]\n"}]


@pytest.fixture(scope="module", autouse=True)
def plugin():
    vllm_plugin.register()


@lru_cache
def tokenizer(template: str = CHAT_TEMPLATE, folder: str = ""):
    found = tokenizer_with(template)
    found.name_or_path = folder
    return found


def folder_of(path: Path, modes: Modes) -> str:
    """A model's folder as far as serving looks at it."""
    entries = [{"name": mode.name, "tag": mode.tag} for mode in modes]
    (path / "personadual.json").write_text(json.dumps({"format": 1, "modes": entries}))
    return str(path)


class Server:
    """What vLLM's chat endpoint does with a request's text (entrypoints/openai/chat_completion/serving.py)."""

    def __init__(self, messages: list[dict], mode: str | None = None, modes: Modes = DEFAULT_MODES, **options):
        self.tokenizer = tokenizer(options.pop("template", CHAT_TEMPLATE), options.pop("folder", ""))
        self.tool_parser = options.pop("tool_parser", None)
        asked = chat_request(messages, mode, modes=modes, extra_body=options)
        self.request = ChatCompletionRequest(model="m", messages=asked["messages"], **asked["extra_body"])
        self.prompt = self.tokenizer.apply_chat_template(
            asked["messages"],
            tokenize=True,
            return_dict=False,
            add_generation_prompt=self.request.add_generation_prompt,
            continue_final_message=self.request.continue_final_message,
            **(self.request.chat_template_kwargs or {}),
        )

    def parser(self):
        made = ParserManager.get_parser(self.tool_parser, vllm_plugin.NAME, enable_auto_tools=bool(self.tool_parser))
        kwargs = self.request.build_chat_params(None, "auto").chat_template_kwargs
        parser = made(self.tokenizer, self.request.tools, chat_template_kwargs=kwargs, model_config=None)
        parser.adjust_request(self.request)
        return parser

    def whole(self, text: str) -> Answer:
        parser = self.parser()
        parser.is_reasoning_end(self.prompt)
        mode, content, _ = parser.parse(text, self.request)
        return Answer(mode, content)

    def streamed(self, pieces: list[str]) -> Answer:
        parser, modes, texts = self.parser(), [], []
        for number, piece in enumerate(pieces, 1):
            ids = self.tokenizer.encode(piece)
            delta = parser.parse_delta(piece, ids, self.request, self.prompt, finished=number == len(pieces))
            if delta is not None:
                modes += [delta.reasoning] if delta.reasoning is not None else []
                texts += [delta.content or ""]
        assert len(modes) <= 1
        return Answer(modes[0] if modes else None, "".join(texts))


def cut(text: str, places: list[int]) -> list[str]:
    """``text`` in pieces, some of them empty, the last one too perhaps."""
    ends = sorted({place % (len(text) + 1) for place in places})
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


def texts_near(modes: Modes) -> st.SearchStrategy[str]:
    """Texts made of tags, beginnings of tags, line ends and anything else."""
    tags = st.sampled_from([mode.tag for mode in modes])
    parts = st.one_of(
        tags,
        tags.flatmap(lambda tag: st.integers(0, len(tag)).map(lambda end: tag[:end])),
        st.sampled_from(["\n", " ", "\n\n", "é", "🙂", "<answer>"]),
        st.text(max_size=5),
    )
    return st.lists(parts, max_size=6).map("".join)


CUTS = st.lists(st.integers(0, 200), max_size=8)


@pytest.mark.parametrize("modes", [DEFAULT_MODES, THREE], ids=["two", "three"])
@given(data=st.data())
@settings(max_examples=300)
def test_a_stream_says_the_same_as_the_whole_text_however_it_is_cut(modes, data):
    text, places = data.draw(texts_near(modes)), data.draw(CUTS)
    written = data.draw(st.sampled_from([None, "", *(mode.prefix for mode in modes)]))
    stream = AnswerStream(modes, written)
    found = [*map(stream.feed, cut(text, places)), stream.finish()]
    pieces = [piece for piece in found if piece is not None]
    assert Answer(pieces[0].mode, "".join(piece.text for piece in pieces)) == read_answer(text, modes, written)
    assert not any(piece.mode for piece in pieces[1:])


@given(text=texts_near(DEFAULT_MODES))
def test_a_free_text_is_read_as_training_reads_it(text):
    parsed = parse_mode(text)
    assert read_answer(text) == Answer(parsed.name, parsed.body)


@given(body=st.text(max_size=20).filter(lambda text: not text.startswith("\n")))
def test_a_forced_text_is_read_as_training_reads_it_behind_its_prefix(body):
    for mode in DEFAULT_MODES:
        parsed = parse_mode(mode.prefix + body)
        assert read_answer(body, DEFAULT_MODES, mode.prefix) == Answer(parsed.name, parsed.body)


@pytest.mark.parametrize("mode", [None, *DEFAULT_MODES.names])
@pytest.mark.parametrize("messages", [QUESTION, TAGGED], ids=["plain", "tags in the prompt"])
@given(text=texts_near(DEFAULT_MODES), places=CUTS)
@settings(max_examples=60)
def test_vllm_streams_what_it_gives_whole(messages, mode, text, places):
    server = Server(messages, mode)
    written = None if mode is None else DEFAULT_MODES[DEFAULT_MODES.index_of(mode)].prefix
    expected = read_answer(text, DEFAULT_MODES, written)
    assert server.whole(text) == expected
    assert server.streamed(cut(text, places)) == expected


@given(text=texts_near(THREE), places=CUTS)
@settings(max_examples=60)
def test_vllm_streams_what_it_gives_whole_with_modes_of_ones_own(tmp_path_factory, text, places):
    folder = folder_of(tmp_path_factory.getbasetemp(), THREE)
    server = Server(QUESTION, folder=folder)
    assert server.whole(text) == server.streamed(cut(text, places)) == read_answer(text, THREE)


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, TRIMMING, BARE], ids=["tiny", "trimming", "bare"])
def test_tags_in_persona_and_question_are_nobodys_mode(template):
    server = Server(TAGGED, template=template)
    for text, answer in {
        "[General_mode]\nParis": Answer("general", "Paris"),
        "Paris": Answer("invalid", "Paris"),
        " [General_mode]\nParis": Answer("invalid", " [General_mode]\nParis"),
        "Paris [General_mode]\n": Answer("invalid", "Paris [General_mode]\n"),
    }.items():
        assert server.whole(text) == server.streamed(list(text)) == answer


@pytest.mark.parametrize(("template", "kwargs"), TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("mode", DEFAULT_MODES.names)
def test_a_forced_mode_is_reported_under_every_template(template, kwargs, mode):
    server = Server(QUESTION, mode, template=template, chat_template_kwargs=kwargs)
    # The trimming template left the prefix's line end to the model.
    text = "\nParis" if template == TRIMMING else "Paris"
    assert server.whole(text) == server.streamed(list(text)) == Answer(mode, "Paris")


def test_one_parser_serves_several_choices():
    parser, server = Server(QUESTION, "general").parser(), Server(QUESTION, "general")
    found = [parser.parse(text, server.request)[:2] for text in ("one", "two", "one")]
    assert found == [("general", "one"), ("general", "two"), ("general", "one")]


def test_a_continued_message_that_ends_in_no_tag_has_no_known_mode():
    messages = [*QUESTION, {"role": "assistant", "content": "[General_mode]\nThe capital is"}]
    server = Server(messages, continue_final_message=True, add_generation_prompt=False)
    text = "[Personalized_mode]\n Paris"
    assert server.whole(text) == server.streamed(list(text)) == Answer(None, text)


def test_reasoning_is_left_out_when_the_request_does_not_want_it():
    server = Server(QUESTION, include_reasoning=False)
    assert server.streamed(["[General_mode]", "\nParis"]) == Answer(None, "Paris")


def test_a_tool_call_behind_the_tag_is_found():
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    server = Server(QUESTION, tools=[tool], tool_choice="auto", tool_parser="hermes")
    server.tokenizer.add_tokens(["<tool_call>", "</tool_call>"])
    text = '[General_mode]\n<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
    mode, _, calls = server.parser().parse(text, server.request, enable_auto_tools=True)
    assert (mode, [call.name for call in calls]) == ("general", ["look"])
    parser, modes, names = server.parser(), [], []
    for token in (ids := server.tokenizer.encode(text)):
        piece = server.tokenizer.decode([token])
        delta = parser.parse_delta(piece, [token], server.request, server.prompt, finished=token is ids[-1])
        if delta is not None:
            modes += [delta.reasoning] if delta.reasoning else []
            names += [call.function.name for call in delta.tool_calls if call.function and call.function.name]
    assert (modes, names) == (["general"], ["look"])


@pytest.mark.parametrize("modes", [DEFAULT_MODES, THREE], ids=["two", "three"])
@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_grammar_holds_from_the_token_behind_the_tag(tmp_path, modes, step):
    """The engine's side of structured output, which sees ids alone (vllm/v1/structured_output/__init__.py)."""
    server = Server(TAGGED, folder=folder_of(tmp_path, modes))
    for mode in modes:
        tag, body = encode_prefix(server.tokenizer, mode), server.tokenizer.encode("two")
        parser = ReasoningParserManager.get_reasoning_parser(vllm_plugin.NAME)(server.tokenizer)
        known, ends = list(server.prompt), []
        answer = tag + body
        for start in range(0, len(answer), step):
            new = answer[start : start + step]
            known += new
            if not ends and parser.is_reasoning_end_streaming(known, iter(new)):
                begin = len(known) - len(new)
                ends.append(StructuredOutputManager._find_reasoning_end_index(parser, known, begin))
        assert ends == [len(server.prompt) + len(tag) - 1]
        assert parser.extract_content_ids(answer) == body
        assert parser.count_reasoning_tokens(answer) == len(tag)


def test_a_grammar_holds_from_the_first_token_of_a_forced_answer():
    free, forced = Server(QUESTION), Server(QUESTION, "general")
    for server in (free, forced):
        server.parser()
    assert (free.request._grammar_from_parser, forced.request._grammar_from_parser) == (False, True)


@pytest.mark.parametrize("name", ["tiny", "qwen3"])
def test_a_chat_request_forces_with_the_ids_of_training(name):
    template, kwargs = TEMPLATES[name]
    assert chat_forcing(tokenizer(template), **kwargs) == {"general": "", "personalized": ""}
    for mode in DEFAULT_MODES:
        server = Server(QUESTION, mode.name, template=template, chat_template_kwargs=kwargs)
        exact = forced_prompt_ids(server.tokenizer, QUESTION, mode.name, **kwargs)
        assert server.prompt == exact
        assert exact[-len(encode_prefix(server.tokenizer, mode)) :] == encode_prefix(server.tokenizer, mode)


@pytest.mark.parametrize(
    ("template", "kwargs", "said"),
    [
        (TRIMMING, {}, "training had"),
        (QWEN3, {"enable_thinking": True}, "<think>"),
        (BARE.replace("{{", "{{ raise_exception('no assistant') if message.role == 'assistant' }}{{"), {}, "refuses"),
    ],
    ids=["trimming", "thinking", "refusing"],
)
def test_a_template_that_forces_otherwise_than_training_is_told(template, kwargs, said):
    gaps = chat_forcing(tokenizer(template), **kwargs)
    assert all(said in gap for gap in gaps.values()), gaps


def test_an_unknown_mode_is_refused_by_name():
    for call in (lambda: forced_prompt_ids(tokenizer(), QUESTION, "kind"), lambda: chat_request(QUESTION, "kind")):
        with pytest.raises(ValueError, match="unknown mode 'kind'; the configured modes are general, personalized"):
            call()


def test_modes_come_from_the_environment_then_from_the_model(tmp_path, monkeypatch):
    monkeypatch.delenv(MODES_VARIABLE, raising=False)
    assert served_modes(None, str(tmp_path), "owner/name") == DEFAULT_MODES
    assert served_modes(None, folder_of(tmp_path, THREE)) == THREE
    other = tmp_path / "modes.yaml"
    other.write_text("- {name: a, tag: A}\n- {name: b, tag: B}\n")
    monkeypatch.setenv(MODES_VARIABLE, str(other))
    assert served_modes(str(tmp_path)).names == ("a", "b")
    monkeypatch.setenv(MODES_VARIABLE, str(tmp_path / "none.yaml"))
    with pytest.raises(ValueError, match=r"none\.yaml: cannot be read"):
        served_modes(str(tmp_path))


def test_the_command_tells_what_a_chat_request_forces(tmp_path, capsys):
    folder_of(tmp_path, THREE)
    tokenizer_with(QWEN3).save_pretrained(tmp_path)
    assert check_model([str(tmp_path), "--template", '{"enable_thinking": false}']) == 0
    assert capsys.readouterr().out.count("exact") == 3
    assert check_model([str(tmp_path)]) == 1
    assert "forced_prompt_ids" in capsys.readouterr().out


MESSAGES = {
    "the parser's": ({"content": "Paris", "reasoning": "general"}, None, Answer("general", "Paris")),
    "no tag": (
        {"content": "[General_mode]\nParis", "reasoning": "invalid"},
        None,
        Answer("invalid", "[General_mode]\nParis"),
    ),
    "no parser": ({"content": "[General_mode]\nParis"}, None, Answer("general", "Paris")),
    "no parser, forced": ({"content": "Paris"}, "general", Answer("general", "Paris")),
    "another parser": ({"content": "Paris", "reasoning": "Let me think."}, "general", Answer("general", "Paris")),
    "no content": ({"content": None, "reasoning": "general"}, None, Answer("general", "")),
}


@pytest.mark.parametrize(("fields", "mode", "answer"), MESSAGES.values(), ids=MESSAGES)
def test_a_client_reads_every_server(fields, mode, answer):
    assert read_message(ChatCompletionMessage(role="assistant", **fields), mode) == answer


def test_a_forced_request_keeps_its_other_fields_and_changes_nothing_of_the_callers():
    messages, extra = list(QUESTION), {"top_k": 1}
    asked = chat_request(messages, "general", extra_body=extra)
    assert asked["messages"] == [*QUESTION, {"role": "assistant", "content": "[General_mode]\n"}]
    assert asked["extra_body"] == {"top_k": 1, "add_generation_prompt": False, "continue_final_message": True}
    assert messages == QUESTION and extra == {"top_k": 1}


def test_the_plugin_loads_nothing_heavy_and_waits_for_vllm():
    heavy = "{'vllm', 'torch', 'verl', 'transformers'} & set(sys.modules)"
    code = f"import sys, personadual.serving.vllm_plugin as p; p.register(); print({heavy})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert run.stdout.strip() == "set()"


def test_a_vllm_without_the_needed_parts_is_refused_in_one_sentence():
    from personadual.serving.parser import check_interface

    with pytest.raises(ImportError, match=r"needs vLLM's ReasoningParser\.adjust_initial.* as in 0\.27\.1, found vllm"):
        check_interface(object, ChatCompletionRequest)
    with pytest.raises(ImportError, match=r"ChatCompletionRequest\._grammar_from_parser"):
        check_interface(ReasoningParser, object)
