"""What was received: events and the log of requests, in SQLite (a file or memory), thread-safe.

An event is one row for each uuid + event + timestamp + distinct_id, as PostHog de-duplicates it,
within its project; ``deliveries`` counts how often it came, so that a test sees what was sent twice.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, TypedDict

import orjson

from otel_posthog.local.contract import Event
from otel_posthog.local.schema import StoreError, open_database

__all__ = ["EXPLANATION", "RequestRecord", "Store", "StoreError", "StoredEvent", "without_secrets"]

# The property in which the exporter says where an event comes from. It is kept beside the event.
EXPLANATION = "$otel_posthog_explain"

_SELECT_EVENTS = "SELECT event, distinct_id, uuid, timestamp, properties, path, deliveries FROM events"
_SELECT_TRACES = "SELECT trace_id FROM events WHERE substr(trace_id, 1, ?) = ? GROUP BY trace_id ORDER BY min(seq)"
_INSERT_EVENT = (
    "INSERT INTO events"
    " (project, event, distinct_id, uuid, timestamp, trace_id, path, received, explanation, properties)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uuid, event, timestamp, distinct_id, project)"
    # Like PostHog's storage: the latest delivery of an event replaces the one before.
    " DO UPDATE SET deliveries = deliveries + 1, properties = excluded.properties, explanation = excluded.explanation"
)
_REQUEST_COLUMNS = (
    "method, path, status, fault, events, compressed_bytes, decompressed_bytes, headers, body_sha256, received,"
    " refusal, dropped"
)
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})


class StoredEvent(TypedDict):
    """An event as it was stored. ``path`` is the request's that brought it first."""

    event: str
    distinct_id: str
    uuid: str
    timestamp: str
    properties: dict[str, Any]
    path: str
    deliveries: int


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request. ``status`` is ``None`` when no answer was sent, ``fault`` names what was played.

    ``events`` counts the events in the body, stored or not; ``body_sha256`` is of the bytes as
    sent (compressed); header names are in lower case and secrets are replaced by ``***``.
    ``refusal`` says why the request was refused, ``dropped`` why single events of it were, by uuid.
    """

    method: str
    path: str
    status: int | None
    fault: str | None
    events: int
    compressed_bytes: int
    decompressed_bytes: int
    headers: dict[str, str]
    body_sha256: str
    received: float = field(default_factory=time.time, compare=False)
    refusal: str | None = None
    dropped: dict[str, str] | None = None


class Store:
    """Events and requests, in the order of arrival. Stays readable until it is garbage.

    Raises ``StoreError`` for a file that cannot be used.
    """

    def __init__(self, database: str | PathLike[str] | None = None) -> None:
        self._connection = open_database(database)
        self._changed = threading.Condition()
        weakref.finalize(self, self._connection.close)

    def add(self, events: Sequence[Event], request: RequestRecord, project: str = "") -> None:
        """Store a request and its accepted events in one transaction."""
        rows = [_event_row(event, request, project) for event in events]
        with self.writing() as connection:
            connection.executemany(_INSERT_EVENT, rows)
            connection.execute(
                f"INSERT INTO requests ({_REQUEST_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    request.method,
                    request.path,
                    request.status,
                    request.fault,
                    request.events,
                    request.compressed_bytes,
                    request.decompressed_bytes,
                    orjson.dumps(request.headers),
                    request.body_sha256,
                    request.received,
                    request.refusal,
                    orjson.dumps(request.dropped) if request.dropped else None,
                ),
            )
            self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction of its own, for no other thread meanwhile."""
        with self._changed, self._connection:
            yield self._connection

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._changed:
            return self._connection.execute(query, values).fetchall()

    def state(self) -> str:
        """A value that changes with every change of the database, by this process or another one."""
        with self._changed:
            elsewhere = self._connection.execute("PRAGMA data_version").fetchone()[0]
            return f"{elsewhere}-{self._connection.total_changes}"

    def events(self) -> list[StoredEvent]:
        return self._select_events(" ORDER BY seq")

    def events_after(self, seq: int, project: str | None = None) -> Iterator[tuple[int, StoredEvent]]:
        """The events with a higher number (``None``: of all projects), each with its number, some hundred at a time."""
        where = "WHERE seq > ? AND project = coalesce(?, project) ORDER BY seq LIMIT"
        while True:
            numbers = self.rows(f"SELECT seq FROM events {where} 200", (seq, project))
            if not numbers:
                return
            events = self._select_events(f" {where} ?", (seq, project, len(numbers)))
            yield from zip((row[0] for row in numbers), events, strict=False)
            seq = numbers[-1][0]

    def last_seq(self) -> int:
        """The highest number of an event, 0 if there is none."""
        return int(self.rows("SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def event(self, seq: int) -> StoredEvent | None:
        """The event with this number."""
        return next(iter(self._select_events(" WHERE seq = ?", (seq,))), None)

    def explanation(self, seq: int) -> dict[str, Any] | None:
        """What the exporter said about the making of an event."""
        for (raw,) in self.rows("SELECT explanation FROM events WHERE seq = ?", (seq,)):
            value = None if raw is None else orjson.loads(raw)
            return value if isinstance(value, dict) else None
        return None

    def explained_trace(
        self, trace_id: str, project: str | None = None
    ) -> list[tuple[StoredEvent, dict[str, Any] | None]]:
        """As `trace`, each event with what the exporter said about its making."""
        query = "SELECT seq FROM events WHERE trace_id = ? AND project = coalesce(?, project) ORDER BY seq"
        numbers = [row[0] for row in self.rows(query, (trace_id, project))]
        return [(event, self.explanation(seq)) for seq in numbers if (event := self.event(seq)) is not None]

    def delivered(self, events: Iterable[Event], project: str) -> list[StoredEvent]:
        """The stored form of a project's events that were just added."""
        where = " WHERE uuid = ? AND event = ? AND timestamp = ? AND distinct_id = ? AND project = ?"
        keys = [(e.uuid, e.name, e.timestamp, e.distinct_id, project) for e in events]
        return [stored for key in keys for stored in self._select_events(where, key)]

    def trace(self, trace_id: str, project: str | None = None) -> list[StoredEvent]:
        """The events of one trace, by its whole id; ``None``: of whatever projects use the id."""
        where = " WHERE trace_id = ? AND project = coalesce(?, project) ORDER BY seq"
        return self._select_events(where, (trace_id, project))

    def trace_ids(self, prefix: str = "") -> list[str]:
        """The ids that start with ``prefix``, in the order of their first event."""
        return [row[0] for row in self.rows(_SELECT_TRACES, (len(prefix), prefix))]

    def requests(self) -> list[RequestRecord]:
        return self._select_requests(" ORDER BY seq")

    def refused(self, limit: int) -> list[RequestRecord]:
        """The latest requests that were refused, or had events dropped; newest first."""
        return self._select_requests(" WHERE status >= 400 OR dropped IS NOT NULL ORDER BY seq DESC LIMIT ?", (limit,))

    def clear(self) -> int:
        """Forget everything; the number of events that were there."""
        with self.writing() as connection:
            count: int = connection.execute("SELECT count(*) FROM events").fetchone()[0]
            for table in ("events", "requests", "stale", "facts", "traces"):
                connection.execute(f"DELETE FROM {table}")
            return count

    def wait_for(self, n: int, timeout: float) -> list[StoredEvent]:
        """Wait for ``n`` different events. ``TimeoutError`` after ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count() >= n, timeout):
                raise TimeoutError(f"{self._count()} of {n} events came within {timeout} s")
            return self.events()

    def _count(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM events").fetchone()[0]
        return count

    def _select_events(self, clause: str, values: Sequence[object] = ()) -> list[StoredEvent]:
        return [
            {
                "event": event,
                "distinct_id": distinct_id,
                "uuid": uuid,
                "timestamp": timestamp,
                "properties": orjson.loads(properties),
                "path": path,
                "deliveries": deliveries,
            }
            for event, distinct_id, uuid, timestamp, properties, path, deliveries in self.rows(
                _SELECT_EVENTS + clause, values
            )
        ]

    def _select_requests(self, clause: str, values: Sequence[object] = ()) -> list[RequestRecord]:
        query = f"SELECT {_REQUEST_COLUMNS} FROM requests{clause}"
        return [
            RequestRecord(*(*row[:7], orjson.loads(row[7]), *row[8:11], orjson.loads(row[11]) if row[11] else None))
            for row in self.rows(query, values)
        ]


def without_secrets(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers for the log: names in lower case, values of credentials replaced by ``***``."""
    return {name.lower(): "***" if name.lower() in _SECRET_HEADERS else value for name, value in headers}


def _event_row(event: Event, request: RequestRecord, project: str) -> tuple[object, ...]:
    explanation, encoded = None, event.encoded
    if EXPLANATION in event.properties:
        properties = dict(event.properties)
        explanation = orjson.dumps(properties.pop(EXPLANATION))
        encoded = orjson.dumps(properties)
    key = (project, event.name, event.distinct_id, event.uuid, event.timestamp, event.trace_id)
    return (*key, request.path, request.received, explanation, encoded)
