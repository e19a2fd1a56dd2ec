"""A real HTTP server in this process with both of OpenAI's endpoints, over a tokenizer, and with the faults of others.

What it answers is a function of the prompt's text, so that a test sees what the server took the prompt to be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OPENAI_KEYS = {"model", "messages", "prompt", "max_tokens", "temperature", "top_p", "seed"}


class Refused(Exception):
    """A request that is answered with 400."""


@dataclass
class OpenAIServer:
    """Behaves as vLLM does, unless told otherwise."""

    tokenizer: Any
    answer: Callable[[str, dict], str]
    """Text for a prompt's text and the request."""
    continues: bool = True
    """Whether an assistant message at the end is continued; else it is a finished one, and a new turn begins."""
    repeats: bool = False
    """Whether the continued message comes back with the answer."""
    strict: bool = False
    """Whether keys that OpenAI's API lacks are refused."""
    logprobs: bool = True
    usage: bool = True
    adds: int = 0
    """Tokens put in front of token ids, as a server that adds its own beginning of text."""
    finish: str | None = None
    fault: Callable[[int, dict], int | None] = lambda number, body: None
    """HTTP status instead of an answer, by the request's number from 1."""
    bodies: list[dict] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __enter__(self) -> OpenAIServer:
        served, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    served.bodies.append(body)
                    served.keys.append(self.headers.get("Authorization", ""))
                    number = len(served.bodies)
                status = served.fault(number, body) or 200
                try:
                    content = served.reply(body) if status == 200 else {"error": {"message": "no", "code": status}}
                except Refused as error:
                    status, content = 400, {"error": {"message": str(error), "code": 400}}
                data = json.dumps(content).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.send_header("Retry-After", "0.01")
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # the client has gone
                    self.close_connection = True

            def log_message(self, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, body: dict) -> dict:
        unknown = sorted(set(body) - OPENAI_KEYS)
        if self.strict and unknown:
            raise Refused(f"Unrecognized request argument supplied: {unknown[0]}")
        ids, written = self.prompt(body)
        text = self.answer(self.tokenizer.decode(ids), body)
        tokens = [*self.tokenizer.encode(text), self.tokenizer.eos_token_id]
        finish = "stop" if len(tokens) <= body["max_tokens"] else "length"
        tokens = tokens[: body["max_tokens"]]
        text = (written if self.repeats else "") + self.tokenizer.decode(tokens, skip_special_tokens=True)
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.finish or finish, "logprobs": None}
        if "messages" in body:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        if self.logprobs and body.get("prompt_logprobs") is not None:
            choice["prompt_logprobs"] = [None, *({str(token): {"logprob": -token / 100}} for token in ids[1:])]
        entry = {"id": "1", "object": "x", "created": 0, "model": body["model"], "choices": [choice]}
        counts = {"prompt_tokens": len(ids), "completion_tokens": len(tokens), "total_tokens": len(ids) + len(tokens)}
        return entry | ({"usage": counts} if self.usage else {})

    def prompt(self, body: dict) -> tuple[list[int], str]:
        """Token ids of the prompt, and the text that is continued."""
        if "messages" not in body:
            return [0] * self.adds + body["prompt"], ""
        messages = body["messages"]
        continued = self.continues and messages[-1]["role"] == "assistant"
        ids = self.tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=not continued,
            continue_final_message=continued,
            tokenize=True,
            return_dict=False,
            **body.get("chat_template_kwargs", {}),
        )
        return ids, messages[-1]["content"] if continued else ""
