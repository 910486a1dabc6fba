"""The ways in which PostHog, the network and the machine can fail."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from typing import Any
from unittest import mock

from otel_posthog.local import LocalPostHog

# Undisturbed; for faults that the local PostHog plays itself.
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
