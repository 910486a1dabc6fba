"""Channel: one batch to the protocol that the host serves, and what became of it."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from otel_posthog.delivery.batching import Batch
from otel_posthog.delivery.clock import Clock, rfc3339
from otel_posthog.delivery.encoding import EncodedEvent
from otel_posthog.delivery.http import RequestsTransport
from otel_posthog.delivery.protocols import CaptureProtocol, Envelope, Outcome, protocols
from otel_posthog.delivery.stats import Ledger
from otel_posthog.delivery.transport import Request, Transport, TransportError
from otel_posthog.settings import ConfigurationError, Settings

logger = logging.getLogger("otel_posthog")

# Measured on real prompts (benchmarks/README.md): gzip level 9 costs eleven times level 1 for a fifth fewer bytes.
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 3
_SLOWEST_LINK = 32 * 1024  # bytes a second; the answer to a large body may take as much longer
_RECHECK = 3600.0  # seconds until a protocol that was not served is tried again

Compressor = Callable[[bytes], bytes]


class Channel:
    """Sends batches, one attempt each. Thread-safe."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Clock, transport: Transport | None) -> None:
        self._settings, self._ledger, self._clock = settings, ledger, clock
        self._compression, self._compress = settings.compression, _compressor(settings.compression)
        self._protocols = protocols(settings.endpoint, accept_empty=settings.accept_empty_answers)
        self._place, self._since = 0, 0.0
        self._transport = transport or RequestsTransport(settings)
        parts = urlsplit(settings.host)
        self.host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            ledger.warn("plain_http", f"prompts and answers go to {parts.hostname} unencrypted: host is http://")

    @property
    def protocol(self) -> CaptureProtocol:
        """The protocol in use: the first one that the host serves."""
        if self._place and self._clock.monotonic() - self._since > _RECHECK:
            self._place = 0
        return self._protocols[self._place]

    def use_next(self, protocol: CaptureProtocol) -> bool:
        """The host does not serve this one (404 or 405): use the next for an hour. ``False`` if there is none."""
        place = self._protocols.index(protocol) + 1
        if place < len(self._protocols) and place > self._place:
            self._place, self._since = place, self._clock.monotonic()
        return place < len(self._protocols)

    def send(
        self, batch: Batch, events: Sequence[EncodedEvent], protocol: CaptureProtocol, total: float | None
    ) -> tuple[Outcome, float]:
        """Make one attempt, and say how many seconds it took. ``total`` limits them, ``None`` does not."""
        sent_at = rfc3339(self._clock.time())  # of this attempt: the server corrects for clock skew by it
        settings = self._settings
        envelope = Envelope(
            settings.api_key, batch.created_at, sent_at, batch.attempt, batch.request_id, settings.historical_migration
        )
        body = self._compress(protocol.body(events, envelope))
        headers = protocol.headers(envelope)
        if self._compression != "none":
            headers["Content-Encoding"] = self._compression
        timeout = settings.timeout + len(body) / _SLOWEST_LINK
        request = Request(settings.host + protocol.path, headers, body, timeout, total, protocol.max_answer)
        begun = self._clock.monotonic()
        try:
            response = self._transport.send(request)
            outcome, status = protocol.outcome(response, self._clock.time()), str(response.status)
        except TransportError as error:
            outcome, status = Outcome(error.kind, error.reason, error.detail), error.reason
        seconds = self._clock.monotonic() - begun
        self._ledger.request(status, len(body), batch.attempt > 1, seconds)
        where = self.host + protocol.path
        logger.debug(
            "%s: %s, %d events, %d bytes, attempt %d, %.3f s",
            where, status, len(events), len(body), batch.attempt, seconds,
        )  # fmt: skip
        return outcome, seconds

    def describe(self, outcome: Outcome, protocol: CaptureProtocol) -> str:
        """A sentence about an answer, without credentials."""
        return f"{self.host}{protocol.path} {outcome.detail}"


def _is_loopback(hostname: str) -> bool:
    return hostname in ("localhost", "::1") or hostname.startswith("127.") or hostname.endswith(".localhost")


def _compressor(name: str) -> Compressor:
    if name == "none":
        return bytes
    if name == "gzip":
        return _gzip
    try:
        from zstandard import ZstdCompressor
    except ImportError as error:
        raise ConfigurationError(
            "compression is 'zstd': it needs the package zstandard, pip install 'otel-posthog[zstd]'."
        ) from error
    return lambda body: ZstdCompressor(_ZSTD_LEVEL).compress(body)  # one for each body: it is not thread-safe


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
