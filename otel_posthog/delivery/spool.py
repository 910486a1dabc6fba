"""Spool: events on disk until PostHog has answered for them.

Each process writes a SQLite database of its own in the directory and holds SQLite's exclusive lock on it. The lock goes
when its process goes, however that ends; then another process finds the database unlocked and moves its events into its
own. SQLite's write-ahead log with ``synchronous=NORMAL`` keeps every committed event over ``kill -9``; a power cut may
lose the last commits but leaves the database whole (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from otel_posthog.delivery import spool_files
from otel_posthog.delivery.batches import Encoded
from otel_posthog.delivery.ledger import Ledger
from otel_posthog.settings import ConfigurationError, Settings

_ADOPT_EVERY = 30.0  # seconds
_ADOPTED_AT_ONCE = 500  # events

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the spool."""

    id: int
    event: Encoded


def _locked(method: Callable[..., _Result]) -> Callable[..., _Result]:
    @wraps(method)
    def locked(self: Spool, *arguments: Any) -> _Result:
        with self._lock:
            return method(self, *arguments)

    return locked


class Spool:
    """Thread-safe. At ``max_spool_bytes`` of events in the directory the oldest go, or with
    ``when_full="drop_newest"`` no new ones come in; after ``max_spool_age`` seconds an event goes.

    ``count`` and ``size`` (bytes) tell what this process holds and PostHog has not answered for.

    Raises:
        ConfigurationError: the directory cannot be used.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.directory = Path(settings.spool_dir or "")
        self._max_bytes, self._max_age = settings.max_spool_bytes, settings.max_spool_age
        self._drops_oldest = settings.when_full == "drop_oldest"
        self._ledger = ledger
        self._lock = threading.RLock()
        self._adopt_at = 0.0
        self._others = 0  # bytes of other processes' files
        self.count = self.size = 0
        # Ids that no bound may drop: events that are being sent, and answered ones that could not be deleted yet.
        self._sending: set[int] = set()
        self._answered: set[int] = set()
        self._moved: dict[Path, int] = {}  # the last id that we have of a file that could not be emptied
        self._database: sqlite3.Connection | None = None
        self._path = spool_files.new_path(self.directory)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"spool_dir is {str(self.directory)!r}: it must be a directory that can be written "
                f"({type(error).__name__})."
            ) from None

    @_locked
    def add(self, events: Sequence[Encoded]) -> list[Encoded]:
        """Store events; those that the disk did not take come back, and those that there is no room for are dropped."""
        events = self._make_room(events)
        now = time.time()
        rows = [(now, event.name, event.uuid, event.body) for event in events]
        if not rows or self._change("INSERT INTO events (added, name, uuid, body) VALUES (?, ?, ?, ?)", rows):
            self.count += len(rows)
            self.size += sum(len(event.body) for event in events)
            return []
        return list(events)

    @_locked
    def oldest(self, max_events: int, max_bytes: int) -> list[StoredEvent]:
        """The oldest events, at most so many and, if it is more than one, so many bytes. They are being sent then,
        until :meth:`remove`. One thread at a time may send."""
        self._sending.clear()
        self._forget_answered()
        self._drop_old()
        found: list[StoredEvent] = []
        size = 0
        try:
            rows = self._connection().execute(
                "SELECT id, name, uuid, body FROM events ORDER BY id LIMIT ?", (max_events + len(self._answered),)
            )
            for row_id, name, uuid, body in rows:
                if row_id in self._answered:
                    continue
                size += len(body)
                if found and (size > max_bytes or len(found) == max_events):
                    break
                found.append(StoredEvent(row_id, Encoded(name, uuid, body)))
        except sqlite3.Error as error:
            self._failed(error)
            return []
        self._sending.update(item.id for item in found)
        return found

    @_locked
    def remove(self, stored: Iterable[StoredEvent]) -> bool:
        """Forget those of the oldest events that PostHog has answered for; ``False`` if they stay on disk for now.

        They are not sent again by this process, and deleted when the disk lets it.
        """
        for item in stored:
            if item.id in self._sending:  # otherwise their file is gone
                self._answered.add(item.id)
                self.count -= 1
                self.size -= len(item.event.body)
        self._sending.clear()
        return self._forget_answered()

    @_locked
    def adopt(self) -> None:
        """Take over the events of processes that are gone; looked for twice a minute."""
        if time.monotonic() < self._adopt_at:
            return
        self._adopt_at = time.monotonic() + _ADOPT_EVERY
        self._others = 0
        for path in spool_files.paths_in(self.directory):
            if path != self._path:
                with suppress(OSError):
                    self._adopt(path)

    @_locked
    def close(self) -> None:
        """Close the database; the file of an empty one goes."""
        if self._database is not None:
            self._forget_answered()
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()
            if not self.count:  # answered events that could not be deleted go with it
                spool_files.delete(self._path)

    def before_fork(self) -> None:
        """Close the connection, which SQLite forbids to carry into a child; the lock is held until after the fork."""
        self._lock.acquire()
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()

    def after_fork_in_parent(self) -> None:
        """Open the database again."""
        try:
            if self._database is not None:
                self._reopen()
        finally:
            self._lock.release()

    def after_fork(self) -> None:
        """In a child: a database of its own. The parent's events are the parent's to send."""
        self._lock = threading.RLock()
        self._begin_anew()
        self._adopt_at = 0.0
        self._database = None

    def _begin_anew(self) -> int:
        """A file of a new name, with nothing in it; how many events were in the last one."""
        lost, self.count, self.size = self.count, 0, 0
        self._sending.clear()
        self._answered.clear()
        self._path = spool_files.new_path(self.directory)
        return lost

    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            self._open()
        assert self._database is not None  # noqa: S101 - for the type checker
        return self._database

    def _open(self) -> None:
        self._database = spool_files.created(self._path)

    def _reopen(self) -> None:
        try:
            self._open()
        except sqlite3.Error:  # another process has taken it over while it was closed
            self._database = None
            self._ledger.record_drop(
                "spool_taken_over", self._begin_anew(), "another process has taken over their file"
            )

    def _change(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Run a statement for all rows in one transaction; ``False`` if that failed."""
        try:
            database = self._connection()
            database.execute("BEGIN IMMEDIATE")
            try:
                database.executemany(statement, rows)
                database.execute("COMMIT")
            except sqlite3.Error:
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self._failed(error)
            return False
        return True

    def _make_room(self, events: Sequence[Encoded]) -> list[Encoded]:
        most = max(0, self._max_bytes - self._others)
        kept = list(events)
        size = sum(len(event.body) for event in kept)
        if self._drops_oldest and self.size + size > most:
            self._drop_oldest(self.size + size - most)
        refused = []
        while kept and self.size + size > most:
            refused.append(kept.pop(0 if self._drops_oldest else -1))
            size -= len(refused[-1].body)
        if refused:
            self._ledger.record_drop("spool_full", len(refused), f"there is no room left in {self.directory}",
                                 [(event.name, event.uuid) for event in refused])  # fmt: skip
        return kept

    def _drop_oldest(self, excess: int) -> None:
        rows, freed = [], 0
        for row in self._rows("1"):
            if freed >= excess:
                break
            rows.append(row)
            freed += row[3]
        self._drop(rows, "spool_full", f"there is no room left in {self.directory}")

    def _drop_old(self) -> None:
        self._drop(self._rows("added < ?", time.time() - self._max_age), "spool_age", "they were too old")

    def _rows(self, condition: str, *values: float) -> list[tuple[int, str, str, int]]:
        """Id, name, uuid and size of the events that may be dropped, oldest first."""
        query = f"SELECT id, name, uuid, length(body) FROM events WHERE {condition} ORDER BY id"  # noqa: S608 - ours
        try:
            rows = self._connection().execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._failed(error)
            return []
        return [row for row in rows if row[0] not in self._sending and row[0] not in self._answered]

    def _drop(self, rows: Sequence[tuple[int, str, str, int]], reason: str, detail: str) -> None:
        if rows and self._delete(row[0] for row in rows):
            self.count -= len(rows)
            self.size -= sum(row[3] for row in rows)
            self._ledger.record_drop(reason, len(rows), detail, [(name, uuid) for _, name, uuid, _ in rows])

    def _delete(self, ids: Iterable[int]) -> bool:
        return self._change("DELETE FROM events WHERE id = ?", [(row_id,) for row_id in ids])

    def _forget_answered(self) -> bool:
        if self._answered and not self._delete(self._answered):
            return False
        self._answered.clear()
        return True

    def _failed(self, error: sqlite3.Error) -> None:
        """A full disk is waited for; a file that is broken is set aside, with what it held."""
        self._ledger.warn("spool", f"the spool in {self.directory} failed: {error}")
        if isinstance(error, sqlite3.OperationalError):
            return
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()
        spool_files.set_aside(self._path)
        if lost := self._begin_anew():
            self._ledger.record_drop("spool_corrupt", lost, "their file is broken and has been set aside")

    def _adopt(self, path: Path) -> None:
        size = path.stat().st_size
        try:
            other = spool_files.opened(path)
        except sqlite3.OperationalError:  # locked: its process lives
            self._others += size
            return
        except sqlite3.DatabaseError:
            self._ledger.warn("spool_corrupt", f"{path} is broken and has been set aside")
            spool_files.set_aside(path)
            return
        try:
            empty = self._move(other, path)
        except sqlite3.OperationalError as error:  # a full disk: what is left there is for another time
            self._ledger.warn("spool", f"the spool in {self.directory} failed: {error}")
            empty = False
        except sqlite3.DatabaseError:
            self._ledger.warn("spool_corrupt", f"{path} is broken and has been set aside")
            other.close()
            spool_files.set_aside(path)
            return
        other.close()
        if empty:
            spool_files.delete(path)
        else:
            self._others += size

    def _move(self, other: sqlite3.Connection, path: Path) -> bool:
        """Move the events of another database into ours; ``False`` if there is no room for all of them.

        First they are committed here, then deleted there: a crash between the two leaves an event twice, with one uuid.
        """
        if not spool_files.has_table(other):
            return True
        if not spool_files.is_ours(other):
            return False
        while rows := other.execute(
            "SELECT id, added, name, uuid, body FROM events WHERE id > ? ORDER BY id LIMIT ?",
            (self._moved.get(path, 0), _ADOPTED_AT_ONCE),
        ).fetchall():
            size = sum(len(row[4]) for row in rows)
            if self.size + size > self._max_bytes or not self._change(
                "INSERT INTO events (added, name, uuid, body) VALUES (?, ?, ?, ?)", [row[1:] for row in rows]
            ):
                return False
            self._ledger.accepted(len(rows))
            self.count += len(rows)
            self.size += size
            self._moved[path] = rows[-1][0]
            other.execute("DELETE FROM events WHERE id <= ?", (rows[-1][0],))
        return True
