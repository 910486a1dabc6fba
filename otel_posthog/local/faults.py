"""Faults: the ways in which a server or the network between can fail, on demand.

Written as ``KIND[:OPTION=VALUE[,OPTION=VALUE…]]``, for example ``503:times=2``,
``429:retry-after=2``, ``latency=0.5:rate=0.2``, ``404:path=/i/v0/ai/batch/``.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from otel_posthog.local.contract import Event, Verdict, endpoint_of

_NAMED = {
    "reset": "close the TCP connection before any answer, store nothing",
    "reset-after": "store the events, then close without an answer",
    "latency": "wait before the request is handled (latency=SECONDS)",
    "hang": "never answer until the server stops, store nothing",
    "truncate": "store the events, cut the answer in half",
    "quota": "answer 200, but drop the $ai_* events for a quota",
    "retry": "v1: ask for the events again",
    "drop": "v1: drop the events in the 200 answer",
    "warning": "v1: store the events with a warning",
}
# Fault -> the details that PostHog gives with this result.
_RESULTS = {
    "retry": "not_persisted",
    "drop": "billing_limit_exceeded",
    "warning": "person_processing_disabled",
}
_OPTIONS = ("rate", "times", "after", "path", "retry-after", "share")


@dataclass(slots=True)
class Fault:
    """One way to fail, and when.

    ``kind`` is an HTTP status (``"503"``) or a name (``"reset"``); ``seconds`` belongs to latency;
    ``retry_after`` is the header's value (seconds or an HTTP date). The fault fires with the
    probability ``rate``, at most ``times`` times, not on the first ``after`` matching requests, and
    only on ``path``. ``share`` is the part of a request's events (the first ones) that ``retry``,
    ``drop`` and ``warning`` touch. ``seen`` and ``fired`` count requests.
    """

    kind: str
    seconds: float = 0.0
    retry_after: str | None = None
    rate: float = 1.0
    times: int | None = None
    after: int = 0
    path: str | None = None
    share: float = 1.0
    seen: int = field(default=0, init=False, compare=False)
    fired: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in _NAMED and not re.fullmatch(r"[45]\d\d", self.kind):
            raise ValueError(
                f"unknown fault {self.kind!r}: use an HTTP status from 400 to 599, "
                "latency=SECONDS, " + ", ".join(name for name in _NAMED if name != "latency")
            )
        if (self.kind == "latency") != (self.seconds > 0):
            raise ValueError(f"fault {self.kind!r}: latency, and only it, takes seconds over 0")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read a fault from the command line. Raises ``ValueError`` that names the bad value."""
        head, *options = re.split(r"[:,]", text.strip())
        kind, _, value = head.partition("=")
        if value and kind != "latency":
            raise ValueError(f"fault {text!r}: {kind} takes no value")
        fault = cls(kind, _seconds(text, "latency", value)) if kind == "latency" else cls(kind)
        for option in options:
            name, _, value = option.partition("=")
            if name not in _READERS:
                allowed = ", ".join(_OPTIONS)
                raise ValueError(f"fault {text!r}: unknown option {name!r}; allowed: {allowed}")
            _READERS[name](fault, text, value)
        return fault

    @property
    def status(self) -> int | None:
        return int(self.kind) if self.kind.isdigit() else None

    @property
    def stores(self) -> bool:
        """Whether the events of a request are kept although the client learns nothing of it."""
        return self.kind in ("reset-after", "truncate", "quota", *_RESULTS)

    def applies_to(self, path: str, version: int) -> bool:
        if self.kind in _RESULTS and version != 1:
            return False
        return self.path is None or _canonical(self.path) == _canonical(path)

    def fires(self) -> bool:
        """Count one matching request and say whether it is to fail."""
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        if self.rate < 1 and self._draw() >= self.rate:
            return False
        self.fired += 1
        return True

    def _draw(self) -> float:
        """A number from 0 to 1, the same in every run, so that a failing test can be repeated."""
        digest = hashlib.sha256(f"{self.kind} {self.seen}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def change(self, verdict: Verdict) -> None:
        """Apply a fault that shows only inside a 200 answer: quota, retry, drop, warning."""
        if self.kind == "quota":
            self._limit(verdict)
        elif self.kind in _RESULTS:
            touched = list(verdict.results)[: math.ceil(len(verdict.results) * self.share)]
            self._result(verdict, set(touched))

    def _limit(self, verdict: Verdict) -> None:
        over = {event.uuid for event in verdict.events if event.is_ai}
        verdict.events = [event for event in verdict.events if not event.is_ai]
        if verdict.endpoint.version == 0:
            verdict.quota_limited = ["llm_events"]
        for uuid in over & set(verdict.results):
            verdict.results[uuid] = {"result": "drop", "details": "billing_limit_exceeded"}

    def _result(self, verdict: Verdict, touched: set[str]) -> None:
        def kept(event: Event) -> bool:
            return self.kind == "warning" or event.uuid not in touched

        verdict.events = [event for event in verdict.events if kept(event)]
        for uuid in touched:
            verdict.results[uuid] = {"result": self.kind, "details": _RESULTS[self.kind]}


def _canonical(path: str) -> str:
    endpoint = endpoint_of(path)
    return path.rstrip("/") if endpoint is None else endpoint.path


def _seconds(text: str, name: str, value: str) -> float:
    return _number(text, name, value, 0, math.inf)


def _number(text: str, name: str, value: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (low < number <= high and math.isfinite(number)):
        limit = f" and at most {high:g}" if math.isfinite(high) else ""
        raise ValueError(f"fault {text!r}: {name} must be a number over {low:g}{limit}")
    return number


def _count(text: str, name: str, value: str, low: int) -> int:
    if not (value.isascii() and value.isdigit() and int(value) >= low):
        raise ValueError(f"fault {text!r}: {name} must be a whole number, at least {low}")
    return int(value)


def _word(text: str, name: str, value: str) -> str:
    if not value:
        raise ValueError(f"fault {text!r}: {name} needs a value")
    return value


def _set_rate(fault: Fault, text: str, value: str) -> None:
    fault.rate = _number(text, "rate", value, 0, 1)


def _set_times(fault: Fault, text: str, value: str) -> None:
    fault.times = _count(text, "times", value, 1)


def _set_after(fault: Fault, text: str, value: str) -> None:
    fault.after = _count(text, "after", value, 0)


def _set_path(fault: Fault, text: str, value: str) -> None:
    fault.path = _word(text, "path", value)


def _set_retry_after(fault: Fault, text: str, value: str) -> None:
    fault.retry_after = str(_count(text, "retry-after", value, 0))


def _set_share(fault: Fault, text: str, value: str) -> None:
    fault.share = _number(text, "share", value, 0, 1)


_READERS: dict[str, Callable[[Fault, str, str], None]] = dict(
    zip(
        _OPTIONS,
        (_set_rate, _set_times, _set_after, _set_path, _set_retry_after, _set_share),
        strict=True,
    )
)
