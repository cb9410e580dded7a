"""An OpenAI-compatible server on loopback that does what a test tells it to."""

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "parrot"


class Exchange(BaseHTTPRequestHandler):
    """One request: what came, and the means to answer it."""

    server: "Loopback"
    body: dict[str, Any]

    def do_GET(self) -> None:
        self.server.gets.append(dict(self.headers))
        self.server.list_models(self)

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.counting:
            self.server.posts.append(self)
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
            act = self.server.acts.pop(0) if self.server.acts else self.server.act
        try:
            act(self)
        finally:
            with self.server.counting:
                self.server.under_way -= 1

    def send(self, body: object, status: int = 200, **headers: str) -> None:
        """Answer with JSON, or with text as it is."""
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin_stream(self) -> None:
        """Answer with a stream of events, which ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.close_connection = True

    def send_event(self, body: object) -> None:
        """One event: JSON, or text as it is."""
        data = body if isinstance(body, str) else json.dumps(body)
        self.wfile.write(f"data: {data}\n\n".encode())

    def wait_for_disconnect(self) -> bool:
        """Whether the client hangs up within ten seconds."""
        readable, _, _ = select.select([self.connection], [], [], 10)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


Act = Callable[[Exchange], None]


class Loopback(ThreadingHTTPServer):
    """Keeps every request in `posts`; answers with the next of `acts`, then with `act`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, act: Act, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Exchange)
        self.act = act
        self.acts: list[Act] = []
        self.posts: list[Exchange] = []
        self.gets: list[dict[str, str]] = []
        self.list_models: Act = lists(MODEL)
        self.counting = threading.Lock()
        self.under_way = self.most_under_way = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def loopback(act: Act, port: int = 0) -> Iterator[Loopback]:
    """A running server; gone, with its port closed, when the block ends."""
    with Loopback(act, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def lists(*names: str, **facts: object) -> Act:
    """Answer with a list of models."""
    return lambda exchange: exchange.send(
        {"object": "list", "data": [{"id": name, "object": "model", **facts} for name in names]}
    )


def says(text: str | None, finish_reason: str = "stop", usage: object = None, **message: Any) -> Act:
    """Answer with a chat completion."""
    if usage is None:
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}

    def act(exchange: Exchange) -> None:
        exchange.send(completion(text, finish_reason, usage, **message))

    return act


def completion(text: str | None, finish_reason: str, usage: object, **message: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": finish_reason,
            }
        ],
        "usage": usage,
    }


def streams(*pieces: object, finish_reason: str | None = "stop", usage: object = None) -> Act:
    """Answer with a streamed completion; a piece that is no text is sent as the event that it is."""
    if usage is None:
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}

    def act(exchange: Exchange) -> None:
        exchange.begin_stream()
        for piece in pieces:
            exchange.send_event(chunk(piece) if isinstance(piece, str) else piece)
        if finish_reason is not None:
            exchange.send_event(chunk("", finish_reason))
            exchange.send_event({**chunk(""), "choices": [], "usage": usage})
            exchange.send_event("[DONE]")

    return act


def chunk(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    """One event of a streamed completion."""
    return {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL,
        "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
        ],
    }


def refuses(status: int, message: str = "no", **headers: str) -> Act:
    """Answer with an error, as vLLM words it."""
    error = {"error": {"message": message, "type": "error", "param": None, "code": status}}
    return lambda exchange: exchange.send(error, status, **headers)


class Waits:
    """An act that answers nothing, and notes that a request arrived and that its client hung up."""

    def __init__(self) -> None:
        self.arrived, self.withdrawn = threading.Event(), threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.arrived.set()
        if exchange.wait_for_disconnect():
            self.withdrawn.set()


def hangs_up(exchange: Exchange) -> None:
    """Close the connection without an answer."""
    exchange.close_connection = True
    exchange.connection.shutdown(socket.SHUT_RDWR)
