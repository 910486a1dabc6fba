"""The spool's files: what they are called, and how they are opened, deleted and set aside.

The directory may hold files of others. Only a file with a name of ours is opened at all, and only if it is marked as
ours, or is no database, is it changed.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_NAME = re.compile(r"otel-posthog-[0-9a-f]{32}\.db")
_APPLICATION_ID = 0x6F747068  # "otph", where SQLite files say whose they are

_NEW = 5.0  # seconds

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    added REAL NOT NULL,  -- Unix time in seconds
    name TEXT NOT NULL,
    uuid TEXT NOT NULL,
    body BLOB NOT NULL
)
"""


def new_path(directory: Path) -> Path:
    """A path that no other process uses."""
    return directory / f"otel-posthog-{uuid4().hex}.db"


def paths_in(directory: Path) -> list[Path]:
    """The spool files of all processes, but for those that are just being made: these have no lock yet."""
    return [path for path in directory.glob("otel-posthog-*.db") if _NAME.fullmatch(path.name) and not _is_new(path)]


def _is_new(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:  # gone
        return True
    return found.st_size == 0 and abs(time.time() - found.st_mtime) < _NEW


def created(path: Path) -> sqlite3.Connection:
    """A connection to a file of our own, made if there is none."""
    database = opened(path)
    try:
        path.chmod(0o600)
        database.execute("BEGIN IMMEDIATE")
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(_SCHEMA)
        database.execute("COMMIT")
    except OSError as error:  # to the spool it is one more disk that does not do what it should
        database.close()
        raise sqlite3.OperationalError(type(error).__name__) from error
    except sqlite3.Error:
        database.close()
        raise
    return database


def opened(path: Path) -> sqlite3.Connection:
    """A connection with the exclusive lock; ``OperationalError`` if another process has it."""
    database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA auto_vacuum=FULL")
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("COMMIT")
    except sqlite3.Error:
        database.close()
        raise
    return database


def has_table(database: sqlite3.Connection) -> bool:
    """Whether there is anything in it. If not, its process ended before it had made the table."""
    return database.execute("SELECT name FROM sqlite_master").fetchone() is not None


def is_ours(database: sqlite3.Connection) -> bool:
    """Whether it is marked as ours."""
    (found,) = database.execute("PRAGMA application_id").fetchone()
    return bool(found == _APPLICATION_ID)


def delete(path: Path) -> None:
    """Delete a spool file; any other is left alone."""
    if _NAME.fullmatch(path.name):
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{path}{suffix}").unlink()


def set_aside(path: Path) -> None:
    """Rename a spool file that is broken; any other is left alone."""
    if _NAME.fullmatch(path.name):
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):
                Path(f"{path}{suffix}").unlink()
        with suppress(OSError):
            path.rename(path.with_suffix(".corrupt"))
