"""Transport: one request to PostHog and what its answer means. Connections, compression, certificates, proxies."""

from __future__ import annotations

import logging
import os
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests

from otel_posthog.delivery import connections
from otel_posthog.delivery.batches import Encoded
from otel_posthog.delivery.endpoints import Endpoint, utc_now
from otel_posthog.delivery.ledger import Ledger
from otel_posthog.delivery.outcome import Outcome, outcome_of, outcome_of_error
from otel_posthog.settings import ConfigurationError, Settings

logger = logging.getLogger("otel_posthog")

# Measured on real prompts (benchmarks/README.md): gzip level 9 costs eleven times level 1 for a fifth fewer bytes.
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 3
_CONNECT_TIMEOUT = 5.0  # seconds
# Bytes of an answer that are looked at, and how many are read at once, by version of the contract.
_MOST_ANSWER = {0: 4096, 1: 4 * 1024 * 1024}
_READ_AT_ONCE = {0: 1, 1: 512}

Compressor = Callable[[bytes], bytes]


class Transport:
    """Thread-safe. Keeps connections open between requests, in the process that opened them."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._api_key, self._host = settings.api_key, settings.host
        self._historical = settings.historical_migration
        self._ledger = ledger
        self._compression = settings.compression
        self._compress = _compressor(settings.compression)
        self._given = settings.session
        self._request_options = _request_options(settings)
        self._lock = threading.RLock()
        self._session: requests.Session | None = None
        self._session_pid = os.getpid()
        parts = urlsplit(settings.host)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            ledger.warn("plain_http", f"prompts and answers go to {parts.hostname} unencrypted: host is http://")

    def post(
        self, endpoint: Endpoint, batch: Sequence[Encoded], created_at: str, attempt: int, request_id: str,
        patience: float,
    ) -> Outcome:  # fmt: skip
        """Send a batch once and wait for the answer, about ``patience`` seconds at the most. Does not raise.

        In a session that was handed over, ``patience`` is for each part of the answer's header.
        """
        # The time of this attempt: the server takes the difference to its own clock for clock skew.
        sent_at = utc_now()
        body = self._compress(endpoint.body(self._api_key, batch, created_at, sent_at, self._historical))
        headers = endpoint.headers(self._api_key, attempt, request_id, sent_at)
        if self._compression != "none":
            headers["Content-Encoding"] = self._compression
        begun = time.monotonic()
        try:
            with self._open_session().post(
                self._host + endpoint.path,
                data=body,
                headers=headers,
                timeout=(min(_CONNECT_TIMEOUT, patience), patience),
                allow_redirects=False,
                stream=True,
                **self._request_options,
            ) as response:
                status = str(response.status_code)
                outcome = outcome_of(response, _read(response, endpoint.version, begun + patience), endpoint.version)
        except Exception as error:
            outcome = outcome_of_error(error)
            status = outcome.reason
        seconds = time.monotonic() - begun
        self._ledger.request(status, len(body), attempt > 1, seconds)
        logger.debug("%s: %s, %d events, %d bytes, attempt %d, %.3f s",
                     endpoint.path, status, len(batch), len(body), attempt, seconds)  # fmt: skip
        return outcome

    def close(self) -> None:
        """Close the connections; those of a session that was handed over are its owner's."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None and session is not self._given:
            session.close()

    def after_fork(self) -> None:
        """In a child: no lock that was held when it was forked."""
        self._lock = threading.RLock()

    def _open_session(self) -> requests.Session:
        """The session of this process: a forked child must not write into its parent's connections."""
        with self._lock:
            if self._session is None or self._session_pid != os.getpid():
                if self._given is not None and self._session_pid != os.getpid():
                    self._given.close()  # it opens new connections when it is used again
                self._session = self._given or connections.session()
                self._session_pid = os.getpid()
            return self._session


def _request_options(settings: Settings) -> dict[str, Any]:
    """Passed with each request: in a session, REQUESTS_CA_BUNDLE would win over its certificate."""
    options: dict[str, Any] = {}
    if settings.certificate:
        options["verify"] = settings.certificate
    if settings.client_certificate:
        key = settings.client_key
        options["cert"] = (settings.client_certificate, key) if key else settings.client_certificate
    if settings.proxy:
        options["proxies"] = {"http": settings.proxy, "https": settings.proxy}
    return options


def _is_loopback(hostname: str) -> bool:
    return hostname in ("localhost", "::1") or hostname.startswith("127.") or hostname.endswith(".localhost")


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def _compressor(name: str) -> Compressor:
    if name == "none":
        return bytes
    if name == "gzip":
        return _gzip
    try:
        import zstandard
    except ImportError:
        raise ConfigurationError(
            "compression is 'zstd': it needs the package zstandard, pip install 'otel-posthog[zstd]'."
        ) from None
    return lambda body: zstandard.ZstdCompressor(_ZSTD_LEVEL).compress(body)


def _read(response: requests.Response, version: int, deadline: float) -> bytes:
    """An answer's body. A read of many bytes waits for all of them, and a time-out is for each wait."""
    body = bytearray()
    try:
        for part in response.iter_content(_READ_AT_ONCE[version]):
            body += part
            if len(body) >= _MOST_ANSWER[version]:
                break
            if time.monotonic() > deadline:
                raise requests.Timeout
    except requests.ConnectionError:  # so requests calls a time-out in the body, too
        if time.monotonic() < deadline:
            raise
        raise requests.Timeout from None
    return bytes(body)
