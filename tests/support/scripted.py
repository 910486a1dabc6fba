"""An HTTP server that keeps every request as it came on the wire and answers as it is told.

For what the local PostHog does not do or keep: redirects, raw bodies, answers that never end.
"""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True)
class Request:
    """``body`` is decompressed, ``moment`` the server's monotonic clock in seconds."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    moment: float

    @property
    def document(self) -> dict[str, Any]:
        return orjson.loads(self.body)

    @property
    def uuids(self) -> list[str]:
        return [event["uuid"] for event in self.document["batch"]]


@dataclass(frozen=True)
class Answer:
    """``trickle`` sends the body again and again, a byte at a time, until the client or the server is gone."""

    status: int = 200
    body: bytes = b'{"status":"Ok"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    trickle: bool = False


class ScriptedServer:
    """``answer`` gives the answer to each request; it gets the request and how many came before it.

    With ``tls`` it is HTTPS.
    """

    def __init__(
        self,
        answer: Callable[[Request, int], Answer] = lambda request, before: Answer(),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.received = threading.Event()
        self._answer = answer
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                owner._serve(self)

            do_GET = do_POST  # noqa: N815 - the name is http.server's; a redirect that is followed may come as GET

            def log_message(self, *arguments: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False  # a client may keep its connection open longer than the test
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = Request(handler.path, dict(handler.headers.items()), body, time.monotonic())
        with self._lock:
            before = len(self.requests)
            self.requests.append(request)
        self.received.set()
        answer = self._answer(request, before)
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.trickle:
            self._trickle(handler, answer.body)
            return
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)

    def _trickle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.close_connection = True
        handler.end_headers()
        try:
            while not self._stopping.wait(0.05):
                handler.wfile.write(body[:1])
        except OSError:
            return
