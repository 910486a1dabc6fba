"""The tables of the local PostHog's SQLite file, and opening a file whatever is in it.

`events` and `requests` hold what was received. `facts` and `traces` are derived from them by
`index` and can be thrown away at any time; `stale` lists the events whose facts are missing.
"""

from __future__ import annotations

import sqlite3
from os import PathLike
from pathlib import Path

VERSION = 2  # of `events` and `requests`, in SQLite's user_version; version 1 wrote 0

_EVENTS = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, event TEXT NOT NULL,
    distinct_id TEXT NOT NULL, uuid TEXT NOT NULL, timestamp TEXT NOT NULL, trace_id TEXT,
    path TEXT NOT NULL, received REAL NOT NULL, deliveries INTEGER NOT NULL DEFAULT 1,
    explanation BLOB, properties BLOB NOT NULL,
    UNIQUE (uuid, event, timestamp, distinct_id, project)
);
"""
_RECEIVED = f"""{_EVENTS}
CREATE INDEX IF NOT EXISTS events_trace ON events (trace_id);
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER,
    fault TEXT, events INTEGER NOT NULL, compressed_bytes INTEGER NOT NULL,
    decompressed_bytes INTEGER NOT NULL, headers BLOB NOT NULL, body_sha256 TEXT NOT NULL,
    received REAL NOT NULL DEFAULT 0, refusal TEXT, dropped BLOB
);
CREATE INDEX IF NOT EXISTS requests_refused ON requests (seq)
    WHERE status >= 400 OR dropped IS NOT NULL;
"""
_STALE = """
CREATE TABLE IF NOT EXISTS derived (made_by TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stale (seq INTEGER PRIMARY KEY);
CREATE TRIGGER IF NOT EXISTS event_added AFTER INSERT ON events
    BEGIN INSERT INTO stale SELECT new.seq WHERE new.seq NOT IN (SELECT seq FROM stale); END;
CREATE TRIGGER IF NOT EXISTS event_replaced AFTER UPDATE ON events
    BEGIN INSERT INTO stale SELECT new.seq WHERE new.seq NOT IN (SELECT seq FROM stale); END;
"""
_FACTS = """
CREATE TABLE IF NOT EXISTS facts (
    seq INTEGER PRIMARY KEY, project TEXT, kind TEXT, uuid TEXT, time REAL, trace_id TEXT,
    session_id TEXT, user TEXT, anonymous INTEGER, node_id TEXT, parent_id TEXT, name TEXT,
    model TEXT, provider TEXT, input_tokens REAL, output_tokens REAL, cache_read REAL,
    cache_write REAL, reasoning REAL, fresh_input REAL, plain_output REAL, latency REAL,
    first_token REAL, cost REAL, cost_source TEXT,
    is_error INTEGER, error TEXT, result TEXT, deliveries INTEGER
);
CREATE INDEX IF NOT EXISTS facts_node ON facts (trace_id, project, node_id);
CREATE INDEX IF NOT EXISTS facts_kind ON facts (kind, seq);
CREATE INDEX IF NOT EXISTS facts_time ON facts (time);
CREATE INDEX IF NOT EXISTS facts_model ON facts (model, trace_id);
CREATE INDEX IF NOT EXISTS facts_user ON facts (user, trace_id);
CREATE INDEX IF NOT EXISTS facts_session ON facts (session_id, trace_id);
CREATE TABLE IF NOT EXISTS traces (
    first_seq INTEGER PRIMARY KEY, last_seq INTEGER, project TEXT, trace_id TEXT, name TEXT,
    started REAL, session_id TEXT, user TEXT, anonymous INTEGER, models TEXT, events INTEGER,
    calls INTEGER, errors INTEGER, error TEXT, input_tokens REAL, output_tokens REAL,
    cache_read REAL, cache_write REAL, cost REAL, unpriced INTEGER, latency REAL, question TEXT,
    UNIQUE (trace_id, project)
);
CREATE INDEX IF NOT EXISTS traces_started ON traces (started);
CREATE INDEX IF NOT EXISTS traces_errors ON traces (first_seq) WHERE errors > 0;
CREATE INDEX IF NOT EXISTS traces_session ON traces (session_id);
CREATE INDEX IF NOT EXISTS traces_user ON traces (user);
"""


class StoreError(Exception):
    """A database that cannot be used; the message says why and what to do."""


def open_database(database: str | PathLike[str] | None) -> sqlite3.Connection:
    """Open or create the file (``None``: memory) with today's tables. Raises ``StoreError``."""
    if database is not None:
        try:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create the folder of {database}: {error.strerror}") from None
    try:
        connection = sqlite3.connect(":memory:" if database is None else database, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {database}: {error}; choose another file with --database") from None
    try:
        _prepare(connection, str(database))
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreError(_sentence(str(database), error)) from None
    except StoreError:
        connection.close()
        raise
    return connection


def drop_derived(connection: sqlite3.Connection) -> None:
    """Forget the facts and sums, whose columns may be others now, and mark every event for reading them again."""
    connection.execute("DROP TABLE facts")
    connection.execute("DROP TABLE traces")
    connection.execute("DELETE FROM derived")
    for statement in _FACTS.split(";"):
        connection.execute(statement)
    connection.execute("INSERT OR IGNORE INTO stale SELECT seq FROM events")


def _prepare(connection: sqlite3.Connection, name: str) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if found > VERSION:
        raise StoreError(
            f"{name} was written by a newer otel-posthog (its schema is {found}, this one reads up to {VERSION}): "
            "upgrade otel-posthog, or choose another file with --database"
        )
    if tables and not {"events", "requests"} <= tables:
        raise StoreError(f"{name} is another program's SQLite database: choose another file with --database")
    # Another process may read while this one writes; a crash may cost the last events only.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    if tables and found < VERSION:
        _migrate(connection)
    connection.executescript(f"{_RECEIVED}{_STALE}{_FACTS}PRAGMA user_version = {VERSION};")


def _migrate(connection: sqlite3.Connection) -> None:
    """From version 1: events had no project, requests no reason."""
    connection.executescript(
        "BEGIN; ALTER TABLE events RENAME TO events_1; DROP INDEX IF EXISTS events_trace;"
        f"{_EVENTS}"
        "INSERT INTO events (seq, project, event, distinct_id, uuid, timestamp, trace_id, path, received, deliveries,"
        " properties) SELECT seq, '', event, distinct_id, uuid, timestamp, trace_id, path, 0, deliveries, properties"
        " FROM events_1; DROP TABLE events_1;"
        "ALTER TABLE requests ADD COLUMN received REAL NOT NULL DEFAULT 0;"
        "ALTER TABLE requests ADD COLUMN refusal TEXT; ALTER TABLE requests ADD COLUMN dropped BLOB; COMMIT;"
    )
    connection.executescript(f"{_STALE}INSERT OR IGNORE INTO stale SELECT seq FROM events;")


def _sentence(name: str, error: sqlite3.DatabaseError) -> str:
    if "not a database" in str(error):
        return f"{name} is not a SQLite database: choose another file with --database"
    if "locked" in str(error):
        return f"{name} is in use by another program: stop it, or choose another file with --database"
    return f"cannot use {name} as a database: {error}; choose another file with --database"
