"""A proxy in front of the local PostHog that breaks HTTP in the ways that networks, proxies and servers do.

Every fault is a function of the connection; it is played on every fourth request, the others are passed on.
"""

from __future__ import annotations

import gzip
import http.client
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit

_ACCEPTED = b'{"status":"Ok"}'
_EVERY = 4  # requests, of which the first is broken


@dataclass
class Exchange:
    """One request whose head has been read. ``stopping`` ends faults that never end by themselves."""

    connection: socket.socket
    head: bytes
    length: int
    target: str
    stopping: threading.Event

    def body(self, share: float = 1.0) -> bytes:
        """Read the body, or a part of it."""
        found = b""
        while len(found) < int(self.length * share):
            piece = self.connection.recv(min(65_536, int(self.length * share) - len(found)))
            if not piece:
                break
            found += piece
        return found

    def forward(self) -> bytes:
        """PostHog's answer: status line, length and body."""
        request_line, *lines = self.head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc)
        try:
            method, path, _ = request_line.split(" ")
            connection.request(method, path, self.body(), headers)
            answer = connection.getresponse()
            return _answer(answer.status, answer.read())
        finally:
            connection.close()

    def send(self, data: bytes) -> None:
        """Send and close."""
        with suppress(OSError):
            self.connection.sendall(data)

    def trickle(self, data: bytes) -> None:
        """A byte now and then, for ever."""
        with suppress(OSError):
            while not self.stopping.wait(0.05):
                self.connection.sendall(data[:1])
                data = data[1:] or data


Fault = Callable[[Exchange], None]


def _answer(status: int, body: bytes = b"", *headers: str, version: str = "1.1") -> bytes:
    lines = [f"HTTP/{version} {status} x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _reset(exchange: Exchange) -> None:
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_in_mid_body(exchange: Exchange) -> None:
    exchange.body(0.5)
    _reset(exchange)


def reset_in_the_answer(exchange: Exchange) -> None:
    exchange.send(exchange.forward()[:20])
    _reset(exchange)


def half_closed(exchange: Exchange) -> None:
    """No more is sent, but all is read."""
    exchange.connection.shutdown(socket.SHUT_WR)
    exchange.body()


def answered_before_the_body(exchange: Exchange) -> None:
    exchange.send(_answer(503))


def slow_head(exchange: Exchange) -> None:
    exchange.body()
    exchange.trickle(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 10_000)


def slow_body(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    exchange.trickle(b" " * 10_000)


def nothing_read(exchange: Exchange) -> None:
    exchange.stopping.wait(20)


def length_too_large(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + _ACCEPTED[:9])


def length_too_small(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + _ACCEPTED)


def length_of_no_number(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{")


def garbage_chunks(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + _ACCEPTED + b"\r\n-1\r\n\r\n")


def chunks_without_an_end(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + _ACCEPTED)


def no_http(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"SSH-2.0-OpenSSH_9.6\r\n")


def long_head(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5_000 + b"\r\n" + _ACCEPTED)


def gzip_bomb(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(_answer(200, gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip"))


def not_gzip(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(_answer(200, b"\x1f\x8bxxxx", "Content-Encoding: gzip"))


def login_page(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(_answer(200, b"<html>Log in</html>", "Content-Type: text/html"))


def interim_answers(exchange: Exchange) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    exchange.send(interim + exchange.forward())


def interim_answers_only(exchange: Exchange) -> None:
    exchange.body()
    exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 50)


def http_1_0(exchange: Exchange) -> None:
    """Without a length: the body ends with the connection."""
    exchange.send(b"HTTP/1.0 200 OK\r\n\r\n" + exchange.forward().partition(b"\r\n\r\n")[2])


def status(code: int, *headers: str) -> Fault:
    """An answer with nothing but a status."""

    def answer(exchange: Exchange) -> None:
        exchange.body()
        exchange.send(_answer(code, b"", *headers))

    return answer


class ChaosProxy:
    """``faults`` are played one after the other, each on one request of four; ``tls`` makes it HTTPS.

    ``spoilt`` connections are closed, before anything else, in the middle of their TLS handshake.
    """

    def __init__(self, target: str, faults: list[Fault], tls: ssl.SSLContext | None = None, spoilt: int = 0) -> None:
        self._target, self._faults, self._tls = target, faults, tls
        self._requests, self._connections, self._spoilt = count(), count(), spoilt
        self._stopping = threading.Event()
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError, http.client.HTTPException, ValueError):
                    owner._handle(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.request_queue_size = 128
        self.url = f"http{'s' if tls else ''}://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop listening, and end what never ends."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        if next(self._connections) < self._spoilt:
            connection.recv(5)
            return
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection:
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        while not self._stopping.is_set():
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = connection.recv(1)
                if not byte:
                    return
                head += byte
            length = int(dict(_headers(head)).get("content-length", 0))
            exchange = Exchange(connection, head[:-4], length, self._target, self._stopping)
            number = next(self._requests) if head.startswith(b"POST") else 1
            if self._faults and number % _EVERY == 0:
                self._faults[number // _EVERY % len(self._faults)](exchange)
                return
            exchange.send(exchange.forward())


def _headers(head: bytes) -> Iterator[tuple[str, str]]:
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, found, value = line.partition(":")
        if found:
            yield name.strip().lower(), value.strip()


@contextmanager
def proxied(target: str, *faults: Fault, tls: ssl.SSLContext | None = None, spoilt: int = 0) -> Iterator[str]:
    """The URL of a proxy in front of ``target``."""
    proxy = ChaosProxy(target, list(faults), tls, spoilt)
    try:
        yield proxy.url
    finally:
        proxy.close()
