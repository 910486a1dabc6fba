"""Recorded telemetry through the intake, in order, as fast as it is delivered."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from otel_posthog.bridge._files import Record, read_records
from otel_posthog.bridge._intake import Intake, Request
from otel_posthog.bridge._project import Project
from otel_posthog.bridge._ticket import Answer, Signal, Ticket
from otel_posthog.events import Event

_PAUSE = 0.05  # seconds between two looks at whether there is room again
_MOST_EVENTS = 10_000  # that wait to be delivered
_EXPLANATION = "$otel_posthog_explain"


@dataclass(slots=True)
class Totals:
    """``invalid`` spans, log records or requests can never become events; ``reasons`` say why."""

    records: int = 0
    invalid: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Progress:
    """The first ``records`` of a file have arrived; it has been read up to ``position``."""

    path: str
    records: int
    position: int


def replay(
    files: Mapping[str, int], intake: Intake, project: Project, totals: Totals, rate: float | None = None
) -> Iterator[Progress]:
    """Send files, each without so many records at its beginning. ``rate`` is in spans per second.

    They are read one after the other, but what waits for the rest of its trace may find it in the next.
    """
    waiting: deque[tuple[Ticket, Progress]] = deque()
    began, before = time.monotonic(), project.counts.spans
    for path, skip in files.items():
        for index, record in enumerate(read_records(path)):
            if index < skip:
                continue
            waiting.append((submit(record, intake, project), Progress(path, index + 1, record.position)))
            while rate is not None and project.counts.spans - before > rate * (time.monotonic() - began):
                time.sleep(_PAUSE)
            while waiting and waiting[0][0].future.done():
                yield _count(*waiting.popleft(), totals)
    intake.flush()
    while waiting:
        yield _count(*waiting.popleft(), totals)


def submit(record: Record, intake: Intake, project: Project) -> Ticket:
    """Hand over a record, as soon as there is room for it."""
    while not intake.admit(len(record.body)):
        time.sleep(_PAUSE)
    while project.is_full or project.delivery.pending > _MOST_EVENTS:
        time.sleep(_PAUSE)
    if record.kind == "events":
        intake.release(len(record.body))
        return _deliver(record, project)
    name, _, encoding = record.kind.partition(".")
    signal: Signal = "logs" if name == "logs" else "traces"
    return intake.submit(Request(project, signal, encoding == "json", record.body))


def _deliver(record: Record, project: Project) -> Ticket:
    """Events need no mapping any more."""
    ticket = Ticket("traces", 0, None)
    try:
        found = orjson.loads(record.body)
        properties = {name: value for name, value in found["properties"].items() if name != _EXPLANATION}
        event = Event(found["event"], found["uuid"], found["distinct_id"], found["timestamp"], properties)
    except (ValueError, KeyError, TypeError, AttributeError):
        ticket.resolve(Answer(400, "not an event"))
        return ticket
    project.ledger.accepted(1)
    receipt = project.delivery.put([project.delivery.encode(event)])
    ticket.receipts.append(receipt)
    receipt.on_done(ticket.answer)
    return ticket


def _count(ticket: Ticket, progress: Progress, totals: Totals) -> Progress:
    """Wait for the record's end and add it to the totals."""
    answer = ticket.future.result()
    totals.records += 1
    if answer.status != 200:
        totals.invalid += 1
        totals.reasons[f"records: {answer.message}"] += 1
    for reason, count in ticket.rejected.items():
        totals.invalid += count
        totals.reasons[reason] += count
    return progress
