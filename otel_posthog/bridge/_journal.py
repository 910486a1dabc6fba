"""Requests on disk while they wait in the trace window, so that they can be answered before the window closes.

One file a request, in a directory that the process holds a lock on. A process that starts takes over the directories
whose process is gone. Bodies contain content: files are for their owner only.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class JournaledRequest:
    """A request that an earlier process had accepted. ``project`` is the fingerprint of its key."""

    file: Path
    project: str
    kind: str  # signal and encoding, such as "traces.json"
    body: bytes


class RequestJournal:
    """The requests of this process, and those of processes that ended before they were done with theirs."""

    def __init__(self, spool_dir: str) -> None:
        self._root = Path(spool_dir) / "requests"
        self._directory = self._root / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._directory.mkdir(parents=True, mode=0o700)
        lock = _lock(self._directory)
        if lock is None:
            raise OSError(f"{self._directory} is locked by another process")
        self._locks = [lock]  # held as long as the process lives
        self._number = 0

    def write(self, project: str, kind: str, body: bytes) -> Path:
        """Keep a request. ``OSError`` if the disk does not take it."""
        self._number += 1
        path = self._directory / f"{self._number:012d}.{project}.{kind}"
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        temporary.rename(path)
        return path

    def recover(self) -> Iterator[JournaledRequest]:
        """The requests of processes that are gone, oldest first. They stay on disk until they are removed."""
        for directory in sorted(self._root.iterdir()):
            if directory == self._directory or not directory.is_dir():
                continue
            lock = _lock(directory)
            if lock is None:
                continue
            self._locks.append(lock)
            names = sorted(path for path in directory.iterdir() if path.name != _LOCK)
            for path in names:
                if path.suffix == ".tmp":  # never acknowledged
                    path.unlink(missing_ok=True)
                    continue
                _, project, kind = path.name.split(".", 2)
                yield JournaledRequest(path, project, kind, path.read_bytes())
            if not names:
                (directory / _LOCK).unlink(missing_ok=True)
                directory.rmdir()

    def close(self) -> None:
        """Remove the directory if nothing is left in it, and release the locks."""
        if [path.name for path in self._directory.iterdir()] == [_LOCK]:
            (self._directory / _LOCK).unlink()
            self._directory.rmdir()
        for lock in self._locks:
            os.close(lock)


def _lock(directory: Path) -> int | None:
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
