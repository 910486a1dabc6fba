"""RequestsTransport: requests over ``requests``.

Imported with the delivery, not with the first request: a child forked while a thread imports gets half a module.
"""

from __future__ import annotations

import io
import socket
import time
import zlib
from http.client import HTTPResponse
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from opentelemetry.context import attach, detach, set_value
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from otel_posthog.delivery.transport import Request, Response, TransportError
from otel_posthog.settings import Settings

# The key that opentelemetry-instrumentation's HTTP instrumentations look up in the current context.
_SUPPRESS_INSTRUMENTATION = "suppress_instrumentation"
_READ_SIZE = 16 * 1024  # bytes
_CONNECTIONS = 16  # kept open


class RequestsTransport:
    """Keeps connections open between requests. Proxies and certificates come from the settings or the environment.

    It follows no redirect and reads no ``~/.netrc``: neither may decide where the key goes or replace it.
    """

    def __init__(self, settings: Settings) -> None:
        self._session = settings.session or new_session()
        self._options: dict[str, Any] = {"allow_redirects": False, "stream": True}
        # Passed with each request: in a session, REQUESTS_CA_BUNDLE would win over the setting.
        if settings.certificate:
            self._options["verify"] = settings.certificate
        if settings.client_certificate:
            key = settings.client_key
            self._options["cert"] = (settings.client_certificate, key) if key else settings.client_certificate
        if settings.proxy:
            self._options["proxies"] = {"http": settings.proxy, "https": settings.proxy}

    def send(self, request: Request) -> Response:
        """Send a request and read the answer. Raises :class:`TransportError` if there is none."""
        begun = time.monotonic()
        deadline = None if request.total is None else begun + request.total
        url, user = _without_user(request.url)
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION, True))  # our own requests must not become spans
        try:
            timeout = request.timeout if request.total is None else max(0.001, min(request.timeout, request.total))
            with self._session.post(
                url,
                data=_Body(request.body, deadline),
                headers={"Accept-Encoding": "identity", **request.headers},
                timeout=timeout,
                auth=_Authorization(user) if getattr(self._session, "auth", None) is None else None,
                **self._options,
            ) as response:
                body = _read(response, request.max_answer, time.monotonic() + timeout)
                return Response(response.status_code, CaseInsensitiveDict(response.headers), body)
        except Exception as error:
            raise _transport_error(error, deadline) from None
        finally:
            detach(token)


class _Authorization:
    """Sets what the URL says and nothing else; that there is one keeps ``requests`` from ``~/.netrc``."""

    def __init__(self, user: tuple[str, str] | None) -> None:
        self._user = user

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._user is not None and "Authorization" not in request.headers:
            requests.auth.HTTPBasicAuth(*self._user)(request)
        return request


def _without_user(url: str) -> tuple[str, tuple[str, str] | None]:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    user = (unquote(parts.username or ""), unquote(parts.password or ""))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), user


def new_session() -> requests.Session:
    """A session whose time-outs are for the whole of an answer, however slowly it comes."""
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS))
    return session


class _Body:
    """A body that is sent piece by piece: a socket's time-out then applies to each piece, not to all of them.

    ``http.client`` hands a ``bytes`` body to ``sendall``, whose time-out is for the whole of it.
    """

    def __init__(self, body: bytes, deadline: float | None) -> None:
        self._file, self._length, self._deadline = io.BytesIO(body), len(body), deadline

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeoutError
        return self._file.read(size)


def _read(response: requests.Response, limit: int, deadline: float) -> bytes:
    """The body, at most ``limit`` bytes of it: a compressed answer is decompressed no further."""
    body = bytearray()
    while len(body) < limit:
        part = response.raw.read(min(_READ_SIZE, limit - len(body)), decode_content=False)
        if not part:
            break
        body += part
        if time.monotonic() > deadline:
            raise requests.Timeout
    if response.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(47).decompress(bytes(body), limit)  # 47: gzip or zlib, by its header
    return bytes(body)


def _transport_error(error: Exception, deadline: float | None) -> TransportError:
    """Why there is no answer. The exception's text is left out: it can hold the credentials of a URL or a proxy."""
    if isinstance(error, requests.Timeout) or (deadline is not None and time.monotonic() > deadline):
        return TransportError("retry", "timeout", "did not answer in time")
    if _is_timeout(error):
        return TransportError("retry", "timeout", "took no more of the request, or did not answer, in time")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError)):
        return TransportError("refused", "invalid_url", "is not a URL that can be requested")
    if isinstance(error, requests.exceptions.SSLError):
        return TransportError("retry", "tls", "failed to set up TLS")
    if isinstance(error, ValueError) and "LocationParse" in type(error).__name__:  # urllib3's
        return TransportError("refused", "invalid_url", "is not a URL that can be requested")
    # Anything else: no connection, no file descriptor, no memory. It may pass.
    return TransportError("retry", "connection", f"could not be reached ({type(error).__name__})")


def _is_timeout(error: BaseException) -> bool:
    """Whether a time-out is at the root of it: requests calls those in a body connection errors."""
    if isinstance(error, TimeoutError) or type(error).__name__ == "ReadTimeoutError":
        return True
    return any(_is_timeout(inner) for inner in error.args if isinstance(inner, BaseException))


class _Reader(io.RawIOBase):
    """Reads a response from a socket with one deadline for all of it.

    A socket's time-out is for each read, so a server that sends a byte now and then never times out.
    """

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._socket, self._timeout = sock, timeout
        self._deadline = time.monotonic() + timeout
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)
        try:
            return self._file.readinto(buffer)
        finally:
            self._socket.settimeout(self._timeout)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Socket:
    """As much of a socket as :class:`http.client.HTTPResponse` uses."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, mode: str) -> io.BufferedIOBase:
        timeout = self._socket.gettimeout()
        return self._socket.makefile("rb") if timeout is None else io.BufferedReader(_Reader(self._socket, timeout))


_INTERIM = range(100, 200)
_MAX_INTERIM = 10


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        wrapped: Any = _Socket(sock)
        super().__init__(wrapped, *arguments, **options)

    def begin(self) -> None:
        """Skip every interim response (RFC 9110, 15.2). ``http.client`` skips 100 only and takes 102 or 103 for the
        answer, and the answer for that of the next request."""
        super().begin()
        for _ in range(_MAX_INTERIM):
            if self.status not in _INTERIM:
                return
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class _HTTPConnection(HTTPConnection):
    response_class = _Response


class _HTTPSConnection(HTTPSConnection):
    response_class = _Response


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS: dict[str, Any] = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        if type(manager) is ProxyManager:  # one for SOCKS has connections of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager
