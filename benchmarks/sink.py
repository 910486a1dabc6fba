"""An HTTP endpoint in a process of its own that answers 200 to everything, so that only the sender is measured."""

from __future__ import annotations

import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    received = 0

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        if self.path.startswith("/hang/"):
            time.sleep(60)
        _Handler.received += length
        body = b"" if "/v1/traces" in self.path else b'{"status":"Ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        body = str(_Handler.received).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def _serve(pipe: Connection) -> None:
    sys.setswitchinterval(0.0005)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    pipe.send(server.server_address[1])
    server.serve_forever()


class Sink:
    """``with Sink() as sink: post to sink.url``; :meth:`received` is the number of body bytes so far."""

    def __enter__(self) -> Sink:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.url = f"http://127.0.0.1:{ours.recv()}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.join(5)

    def received(self) -> int:
        """Bytes of request bodies so far."""
        from urllib.request import urlopen

        with urlopen(self.url) as answer:  # noqa: S310 - loopback
            return int(answer.read())
