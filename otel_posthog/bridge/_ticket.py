"""Ticket: what the sender of one request is waiting for."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from otel_posthog.delivery import Receipt

Signal = Literal["traces", "logs", "metrics"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in HTTP's terms. ``rejected`` spans or log records are lost for good, as the OTLP specification's
    ``partial_success``; ``message`` says why."""

    status: int = 200
    message: str = ""
    rejected: int = 0

    @property
    def retry_after(self) -> int | None:
        """Seconds. Short, since SDKs drop a batch if it exceeds what is left of their 10 seconds."""
        return 1 if self.status in (429, 503) else None


TOO_BUSY = Answer(503, "PostHog or the bridge is behind: try again")


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way.

    ``parts`` counts the traces and evaluations of it whose events are neither delivered nor spooled; ``size`` is what
    it holds in memory, in bytes; ``deadline`` is when the sender must have an answer; ``file`` keeps the request on
    disk.
    """

    signal: Signal
    size: int
    deadline: float | None
    future: Future[Answer] = field(default_factory=Future)
    parts: int = 0
    receipts: list[Receipt] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    file: Path | None = None

    def answer(self) -> None:
        """Tell the sender that it is done."""
        if self.future.done():
            return
        rejected = self.rejected.copy()
        if lost := sum(receipt.dropped for receipt in self.receipts):
            rejected["not accepted by PostHog"] += lost
        message = ", ".join(f"{count} {reason}" for reason, count in rejected.items())
        self.resolve(Answer(200, message, sum(rejected.values())))

    def resolve(self, answer: Answer) -> None:
        """Answer, unless that has happened or nobody waits any more."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_result(answer)
