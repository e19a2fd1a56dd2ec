"""vLLM's reasoning parser of a PersonaDual model: ``reasoning`` is the mode's name, ``content`` the rest.

Written against vLLM 0.27.1, where one parser is made for each request, and for a stream one for each of its choices
(vllm/entrypoints/openai/chat_completion/serving.py). What it is told of the request:

- at its making ``chat_template_kwargs``, which hold ``continue_final_message``: only then can a mode be forced, so a
  tag in a persona or a question is never taken for one;
- whole answers come with the request, whose last message is what was forced;
- streams come with the prompt's token ids (vllm/parser/abstract_parser.py, ``parse_delta``), whose end is.

It names itself engine-based because those parsers, and only they, are asked for what they hold when a stream ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from personadual.cpu.versions import installed, vllm_distribution
from personadual.modes import Modes
from personadual.prefix import locate_mode
from personadual.serving.answers import Answer, AnswerStream, read_answer
from personadual.serving.configured import served_modes

NEEDED_OF_PARSERS = ("adjust_initial_state_from_prompt", "engine_based_streaming", "has_engine_confirmed_reasoning_end")
# Set on a request, it has vLLM apply the grammar of a structured output from the first token on.
GRAMMAR_FROM_START = "_grammar_from_parser"


def unsupported(missing: str) -> ImportError:
    """The one sentence for a vLLM that this parser can't work in."""
    name = vllm_distribution()
    found = f"{name} {installed(name)}" if name else "none"
    return ImportError(
        f"the reasoning parser 'personadual' needs vLLM's {missing} as in 0.27.1, found {found}: install vllm==0.27.1, "
        "or serve without --reasoning-parser and let personadual.serving.client read the tag."
    )


def check_interface(parser: type, request: type) -> None:
    """Raise ImportError unless the classes have what this parser builds on."""
    missing = [f"ReasoningParser.{name}" for name in NEEDED_OF_PARSERS if not hasattr(parser, name)]
    if GRAMMAR_FROM_START not in getattr(request, "__private_attributes__", {}):
        missing.append(f"ChatCompletionRequest.{GRAMMAR_FROM_START}")
    if missing:
        raise unsupported(", ".join(missing))


try:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.engine.protocol import DeltaMessage
    from vllm.reasoning import ReasoningParser
except ImportError as error:
    raise unsupported(f"reasoning parsers ({error})") from error
check_interface(ReasoningParser, ChatCompletionRequest)


class PersonaDualReasoningParser(ReasoningParser):
    """Splits an answer into its mode and the text behind the tag; see the module."""

    engine_based_streaming = True

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any):
        super().__init__(tokenizer, *args, **kwargs)
        # The engine's process gives no model_config; there the tokenizer says where the model is.
        model = getattr(kwargs.get("model_config"), "model", None)
        self._modes: Modes = served_modes(model, getattr(tokenizer, "name_or_path", None))
        self._continued = bool((kwargs.get("chat_template_kwargs") or {}).get("continue_final_message"))
        self._stream = AnswerStream(self._modes, "" if self._continued else None)
        self._prompt_length: int | None = None

    # Whole answers

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str]:
        """Mode and content of a whole answer. Keeps no state: one parser serves all choices of a request."""
        written = last_text(request) if self._continued else None
        answer = read_answer(model_output, self._modes, written)
        return answer.mode, answer.text

    def adjust_request(self, request: Any) -> Any:
        """Where the mode is forced no tag comes, so a grammar holds from the first token on."""
        if self._continued and isinstance(request, ChatCompletionRequest):
            setattr(request, GRAMMAR_FROM_START, True)
        return request

    # Streams

    def adjust_initial_state_from_prompt(self, prompt_token_ids: Sequence[int]) -> None:
        if self._continued:
            # At most a token per byte of a tag, and some for white space behind it.
            tail = list(prompt_token_ids[-2 * _longest(self._modes) :])
            self._stream = AnswerStream(self._modes, self.model_tokenizer.decode(tail))

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> DeltaMessage | None:
        return _delta(self._stream.feed(delta_text))

    def has_engine_confirmed_reasoning_end(self) -> bool:
        """From here on vLLM passes text through without asking."""
        return self._stream.decided

    def finish_streaming(self) -> DeltaMessage | None:
        """What is still held when the stream ends, or when the mode has been said (then nothing)."""
        return _delta(self._stream.finish())

    # Token ids: structured output, tool calls, counts

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Always False: at the end of a prompt no mode has been reported, forced or not.

        With True, vLLM would never ask a stream's parser, and a forced mode could not be reported.
        """
        return False

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Whether the tag is over, so that a grammar holds from the next token on.

        Called in the engine's process after each step, with prompt and answer in ``input_ids``. The first call tells
        where the answer begins.
        """
        if self._prompt_length is None:
            self._prompt_length = len(input_ids) - len(list(delta_ids))
        if self._continued:
            return True
        head = input_ids[self._prompt_length : self._prompt_length + _longest(self._modes)]
        text = self.model_tokenizer.decode(list(head), skip_special_tokens=True)
        whole = text.rstrip("\ufffd")  # half a character is no character yet
        return AnswerStream(self._modes).feed(whole) is not None

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """The ids behind the tag's; all of them where the answer begins with none."""
        return list(input_ids)[self.count_reasoning_tokens(input_ids) :]

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        """How many tokens the tag and its line end take."""
        if self._continued:
            return 0
        _, length = locate_mode(list(token_ids), self.model_tokenizer, self._modes, ())
        return length


def last_text(request: Any) -> str:
    """Text of a chat request's last message; "" where it has none."""
    messages = getattr(request, "messages", None) or [{}]
    content = messages[-1].get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))


def _delta(answer: Answer | None) -> DeltaMessage | None:
    """A chunk of the stream; fields that it says nothing in stay unset, so that they are not sent."""
    if answer is None or not (answer.mode or answer.text):
        return None
    delta = DeltaMessage()
    if answer.mode:
        delta.reasoning = answer.mode
    if answer.text:
        delta.content = answer.text
    return delta


def _longest(modes: Modes) -> int:
    """Tokens that the longest prefix can take."""
    return max(len(mode.prefix.encode()) for mode in modes)
