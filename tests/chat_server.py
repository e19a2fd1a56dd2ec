"""A real HTTP server in this process that speaks chat completions and fails on demand."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server does with one request. ``raw`` is sent instead of a completion; ``drop`` sends nothing."""

    text: Any = "ok"
    finish_reason: Any = "stop"
    status: int = 200
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    drop: bool = False
    wait_for: Callable[[], object] | None = None


class ChatServer:
    """Replies by ``script(prompt, attempt)``, where ``attempt`` counts the requests with this prompt from 1."""

    def __init__(self, script: Callable[[str, int], Reply] | None = None):
        self.script = script or (lambda prompt, attempt: Reply(f"re: {prompt}"))
        self.hits: Counter[str] = Counter()
        self.bodies: list[dict] = []
        self.authorizations: list[str] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body["messages"][-1]["content"]
                with server.lock:
                    server.hits[prompt] += 1
                    attempt = server.hits[prompt]
                    server.bodies.append(body)
                    server.authorizations.append(self.headers.get("Authorization", ""))
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                try:
                    reply = server.script(prompt, attempt)
                    if reply.wait_for:
                        reply.wait_for()
                finally:
                    with server.lock:
                        server.at_once -= 1
                self.answer(body, reply)

            def answer(self, body: dict, reply: Reply) -> None:
                if reply.drop:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                content = reply.raw
                if content is None and reply.status != 200:
                    content = json.dumps({"error": {"message": reply.message, "code": reply.status}}).encode()
                elif content is None:
                    choice = {
                        "index": 0,
                        "finish_reason": reply.finish_reason,
                        "message": {"role": "assistant", "content": reply.text},
                    }
                    entry = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
                    content = json.dumps({**entry, "choices": [choice]}).encode()
                try:
                    self.send_response(reply.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
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
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> ChatServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
