"""The ways in which PostHog, the network and the machine can fail."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import count
from typing import Any
from unittest import mock

import trustme

from otel_posthog.local import LocalPostHog
from tests.faults import chaos

# What is around a run of so many seconds; gives the host to send to if that is another.
Disturb = Callable[[LocalPostHog, float], AbstractContextManager[Any]]


def _nothing(posthog: LocalPostHog, seconds: float) -> AbstractContextManager[Any]:
    return nullcontext()


@contextmanager
def _restarts(posthog: LocalPostHog, seconds: float) -> Iterator[None]:
    """Away for a while, twice."""

    def restart() -> None:
        for _ in range(2):
            time.sleep(seconds / 4)
            posthog.stop()
            time.sleep(seconds / 4)
            posthog.start()

    thread = threading.Thread(target=restart)
    thread.start()
    yield
    thread.join()


@contextmanager
def _outage(posthog: LocalPostHog, seconds: float) -> Iterator[None]:
    """No connection for ``seconds`` from the start."""
    posthog.stop()

    def return_later() -> None:
        time.sleep(seconds)
        posthog.start()

    thread = threading.Thread(target=return_later)
    thread.start()
    yield
    thread.join()


@contextmanager
def _no_name_server(posthog: LocalPostHog, seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    real = socket.getaddrinfo

    def getaddrinfo(*arguments: Any, **named: Any) -> Any:
        if time.monotonic() < until:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(*arguments, **named)

    with mock.patch("socket.getaddrinfo", getaddrinfo):
        yield


@contextmanager
def _clock_jumps(posthog: LocalPostHog, seconds: float) -> Iterator[None]:
    """A day back and a day on, at every look."""
    real, looks = time.time, count()

    def jumping() -> float:
        return real() + 86_400 * (next(looks) % 3 - 1)

    with mock.patch("time.time", jumping):
        yield


@dataclass(frozen=True)
class Mode:
    """``loses_answers``: events may come twice, with the same uuid. ``drops``: the only reasons for a loss."""

    name: str
    faults: tuple[str, ...] = ()
    loses_answers: bool = False
    drops: frozenset[str] = frozenset()
    disturb: Disturb = _nothing
    options: tuple[tuple[str, Any], ...] = ()

    def with_small_requests(self) -> Mode:
        """So that a load is many of them."""
        return replace(self, options=(("max_batch_events", 20), *self.options))


MODES = [
    Mode("none"),
    Mode("503 to 20% of requests", ("503:rate=0.2",)),
    Mode("429 with Retry-After: 1", ("429:retry-after=1,rate=0.2",)),
    Mode("connection reset before the events are taken", ("reset:rate=0.2",)),
    Mode("connection reset after the events are taken", ("reset-after:rate=0.2",), loses_answers=True),
    Mode("answers cut short", ("truncate:rate=0.2",), loses_answers=True),
    Mode("slow answers", ("latency=0.3",)),
    Mode("no answer to the first two requests", ("hang:times=2",), options=(("timeout", 4),)),
    Mode("no name server", disturb=_no_name_server),
    Mode("no connection at first", disturb=_outage),
    # What was under way when it went may have been taken.
    Mode("two restarts", disturb=_restarts, loses_answers=True),
    Mode("404 on the AI endpoint in mid-stream", ("404:path=/i/v0/ai/batch/,after=2",)),
    Mode("413 to 20% of requests", ("413:rate=0.2",), drops=frozenset(("too_large",))),
    Mode("quota answer to one request", ("quota:times=1",), drops=frozenset(("quota_limited",))),
    Mode("500 to 20% of requests", ("500:rate=0.2",)),
    Mode("401 to the first request", ("401:times=1",)),
    Mode("clock jumps", disturb=_clock_jumps),
]

# --- by the proxy in between

_TIMEOUT = (("timeout", 1.0),)
_WITHOUT_RETRY = (("max_retries", 0), ("max_batch_events", 1000))


def _through(*faults: chaos.Fault) -> Disturb:
    """Every fourth request meets one of these."""
    return lambda posthog, seconds: chaos.proxied(posthog.url, *faults)


@contextmanager
def _over_tls(
    posthog: LocalPostHog, *faults: chaos.Fault, name: str = "localhost", spoilt: int = 0, **dates: datetime
) -> Iterator[str]:
    """With a certificate of an authority that the environment trusts."""
    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **dates).configure_cert(server)
    with (
        authority.cert_pem.tempfile() as bundle,
        mock.patch.dict("os.environ", {"REQUESTS_CA_BUNDLE": bundle}),
        chaos.proxied(posthog.url, *faults, tls=server, spoilt=spoilt) as url,
    ):
        yield url


def _tls(*faults: chaos.Fault, **options: Any) -> Disturb:
    return lambda posthog, seconds: _over_tls(posthog, *faults, **options)


@contextmanager
def _clock_of_1970(posthog: LocalPostHog, seconds: float) -> Iterator[None]:
    """Not set at first, as on a machine without a battery."""
    real, begun = time.time, time.monotonic()

    def unset() -> float:
        passed = time.monotonic() - begun
        return passed if passed < seconds / 4 else real()

    with mock.patch("time.time", unset):
        yield


_EXPIRED = datetime(2001, 1, 1, tzinfo=timezone.utc)
_RETRIED = (
    200, 201, 202, 204, 206, 101, 408, 425, 429, 500, 502, 503, 504, 506, 507, 508, 510, 511, 520, 521, 522, 523, 524,
    525, 526, 527, 529, 530, 599,
)  # fmt: skip
_REDIRECTS = (300, 301, 302, 303, 304, 305, 307, 308)
_FINAL = (402, 406, 409, 410, 411, 414, 415, 417, 418, 421, 422, 423, 424, 426, 428, 431, 451, 501, 505)

CHAOS = [
    Mode("reset in mid-body", disturb=_through(chaos.reset_in_mid_body)),
    Mode("reset in the answer", disturb=_through(chaos.reset_in_the_answer), loses_answers=True),
    Mode("half-closed connections", disturb=_through(chaos.half_closed)),
    Mode("503 before the body is read", disturb=_through(chaos.answered_before_the_body)),
    Mode("headers a byte at a time", disturb=_through(chaos.slow_head), options=_TIMEOUT),
    Mode("bodies a byte at a time", disturb=_through(chaos.slow_body), options=_TIMEOUT),
    Mode("request not read", disturb=_through(chaos.nothing_read), options=_TIMEOUT),
    Mode("wrong lengths", disturb=_through(chaos.length_too_large, chaos.length_too_small, chaos.length_of_no_number),
         options=_TIMEOUT),
    Mode("garbage chunks", disturb=_through(chaos.garbage_chunks, chaos.chunks_without_an_end), options=_TIMEOUT),
    Mode("no HTTP", disturb=_through(chaos.no_http, chaos.long_head)),
    Mode("gzip bombs", disturb=_through(chaos.gzip_bomb, chaos.not_gzip)),
    Mode("login page", disturb=_through(chaos.login_page)),
    Mode("interim answers", disturb=_through(chaos.interim_answers)),
    Mode("interim answers only", disturb=_through(chaos.interim_answers_only)),
    Mode("HTTP/1.0 without a length", disturb=_through(chaos.http_1_0)),
    Mode("redirects", disturb=_through(*(chaos.status(code, "Location: http://127.0.0.1:9/") for code in _REDIRECTS)),
         drops=frozenset(("redirect",))),
    Mode(f"{len(_RETRIED)} statuses that pass", disturb=_through(*map(chaos.status, _RETRIED))),
    Mode(f"{len(_FINAL)} statuses that are final", disturb=_through(*map(chaos.status, _FINAL)),
         drops=frozenset(f"http_{code}" for code in _FINAL)),
    Mode("TLS", disturb=_tls(chaos.reset_in_mid_body)),
    Mode("TLS handshakes cut short", disturb=_tls(spoilt=3)),
    Mode("expired certificate", disturb=_tls(not_after=_EXPIRED), options=_WITHOUT_RETRY, drops=frozenset(("tls",))),
    Mode("certificate of another host", disturb=_tls(name="other.example"), options=_WITHOUT_RETRY,
         drops=frozenset(("tls",))),
    Mode("clock of 1970 that is set later", disturb=_clock_of_1970),
]  # fmt: skip
