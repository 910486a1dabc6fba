"""What was received: events and the log of requests, in SQLite (a file or memory), thread-safe.

An event is one row for each uuid + event + timestamp + distinct_id, as PostHog de-duplicates it;
``deliveries`` counts how often it came, so that a test sees what was sent twice.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict

import orjson

from otel_posthog.local.contract import Event

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, event TEXT NOT NULL, distinct_id TEXT NOT NULL, uuid TEXT NOT NULL,
    timestamp TEXT NOT NULL, trace_id TEXT, path TEXT NOT NULL, properties BLOB NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 1,
    UNIQUE (uuid, event, timestamp, distinct_id)
);
CREATE INDEX IF NOT EXISTS events_trace ON events (trace_id);
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER,
    fault TEXT, events INTEGER NOT NULL, compressed_bytes INTEGER NOT NULL,
    decompressed_bytes INTEGER NOT NULL, headers BLOB NOT NULL, body_sha256 TEXT NOT NULL
);
"""
_SELECT_EVENTS = "SELECT event, distinct_id, uuid, timestamp, properties, path, deliveries FROM events"
_SELECT_TRACES = "SELECT trace_id FROM events WHERE substr(trace_id, 1, ?) = ? GROUP BY trace_id ORDER BY min(seq)"
_INSERT_EVENT = (
    "INSERT INTO events (event, distinct_id, uuid, timestamp, trace_id, path, properties)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uuid, event, timestamp, distinct_id)"
    # Like PostHog's storage: the latest delivery of an event replaces the one before.
    " DO UPDATE SET deliveries = deliveries + 1, properties = excluded.properties"
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


class Store:
    """Events and requests, in the order of arrival. Stays readable until it is garbage."""

    def __init__(self, database: str | PathLike[str] | None = None) -> None:
        if database is not None:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(":memory:" if database is None else database, check_same_thread=False)
        self._changed = threading.Condition()
        weakref.finalize(self, self._connection.close)
        # Another process may read while this one writes; a crash may cost the last events only.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(_SCHEMA)

    def add(self, events: Sequence[Event], request: RequestRecord) -> None:
        """Store a request and its accepted events in one transaction."""
        rows = [(e.name, e.distinct_id, e.uuid, e.timestamp, e.trace_id, request.path, e.encoded) for e in events]
        with self._changed, self._connection:
            self._connection.executemany(_INSERT_EVENT, rows)
            self._connection.execute(
                "INSERT INTO requests (method, path, status, fault, events, compressed_bytes,"
                " decompressed_bytes, headers, body_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                ),
            )
            self._changed.notify_all()

    def events(self) -> list[StoredEvent]:
        return self._select_events(" ORDER BY seq")

    def delivered(self, events: Iterable[Event]) -> list[StoredEvent]:
        """The stored form of events that were just added."""
        where = " WHERE uuid = ? AND event = ? AND timestamp = ? AND distinct_id = ?"
        keys = [(e.uuid, e.name, e.timestamp, e.distinct_id) for e in events]
        return [stored for key in keys for stored in self._select_events(where, key)]

    def trace(self, trace_id: str) -> list[StoredEvent]:
        """The events of one trace, by its whole id."""
        return self._select_events(" WHERE trace_id = ? ORDER BY seq", (trace_id,))

    def trace_ids(self, prefix: str = "") -> list[str]:
        """The ids that start with ``prefix``, in the order of their first event."""
        return [row[0] for row in self._rows(_SELECT_TRACES, (len(prefix), prefix))]

    def requests(self) -> list[RequestRecord]:
        query = (
            "SELECT method, path, status, fault, events, compressed_bytes, decompressed_bytes,"
            " headers, body_sha256 FROM requests ORDER BY seq"
        )
        return [RequestRecord(*(*row[:7], orjson.loads(row[7]), row[8])) for row in self._rows(query)]

    def clear(self) -> None:
        with self._changed, self._connection:
            self._connection.execute("DELETE FROM events")
            self._connection.execute("DELETE FROM requests")

    def wait_for(self, n: int, timeout: float) -> list[StoredEvent]:
        """Wait for ``n`` different events. ``TimeoutError`` after ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count() >= n, timeout):
                raise TimeoutError(f"{self._count()} of {n} events came within {timeout} s")
            return self.events()

    def _count(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM events").fetchone()[0]
        return count

    def _select_events(self, clause: str, values: tuple[str, ...] = ()) -> list[StoredEvent]:
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
            for event, distinct_id, uuid, timestamp, properties, path, deliveries in self._rows(
                _SELECT_EVENTS + clause, values
            )
        ]

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._changed:
            return self._connection.execute(query, values).fetchall()


def without_secrets(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers for the log: names in lower case, values of credentials replaced by ``***``."""
    return {name.lower(): "***" if name.lower() in _SECRET_HEADERS else value for name, value in headers}
