"""Journal: one file of the spool. A line an event, whose first byte says whether the event is still to be sent.

    otel-posthog spool 1
    +<Unix time in ms>:<CRC-32 in hex> <JSON>

``+`` is overwritten by ``-`` when the event is delivered or dropped. Each process locks its files with a lock that the
system releases with the process, however that ends; a forked child neither holds it nor can release it. A write is in
the system's hands when it returns: ``kill -9`` loses nothing, a power cut may lose the last writes.
"""

from __future__ import annotations

import os
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from otel_posthog.delivery import private_files

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_MAGIC = b"otel-posthog spool 1\n"
_LINE = re.compile(rb"([+-])(\d{1,15}):([0-9a-f]{8}) ")
_PENDING, _DONE = b"+", b"-"
_LOCKED_BYTE = 1 << 40  # Windows locks bytes against reading too, so one that is never written

# (process id, path) of the files that are open here: locks do not keep out their own process.
_open_here: set[tuple[int, Path]] = set()


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in a journal. ``added`` is Unix time in seconds."""

    offset: int  # of its line
    start: int  # of its JSON
    size: int  # of its JSON, in bytes
    crc: int
    added: float


class Journal:
    """Not thread-safe. Every method but :meth:`close` may raise ``OSError``."""

    def __init__(self, path: Path, file: FileIO, end: int) -> None:
        self.path, self._file = path, file
        self.end = end  # bytes
        self.live = 0  # entries that are still to be sent; kept by the spool

    @classmethod
    def create(cls, path: Path) -> Journal:
        """A new journal. Raises ``FileExistsError`` if another process was faster."""
        _open_here.add((os.getpid(), path))
        try:
            file = private_files.create(path)
        except OSError:
            _open_here.discard((os.getpid(), path))
            raise
        try:
            if not _lock(file) or not os.fstat(file.fileno()).st_nlink:
                raise FileExistsError("another process took it")
            _write(file, _MAGIC)
        except BaseException:
            _forget(file, path)
            raise
        return cls(path, file, len(_MAGIC))

    @classmethod
    def adopt(cls, path: Path) -> Journal | None:
        """The journal of a process that is gone; ``None`` if its process lives or it is not one of ours."""
        if (os.getpid(), path) in _open_here:
            return None
        file = private_files.open_existing(path)
        _open_here.add((os.getpid(), path))
        try:
            if _lock(file) and file.read(len(_MAGIC)) in (_MAGIC, b""):
                return cls(path, file, os.fstat(file.fileno()).st_size)
        except BaseException:
            _forget(file, path)
            raise
        _forget(file, path)
        return None

    def append(self, bodies: list[bytes], added: float) -> list[Entry]:
        """Add events, all or none."""
        entries: list[Entry] = []
        lines: list[bytes] = []
        offset = self.end
        for body in bodies:
            crc = zlib.crc32(body)
            head = b"+%d:%08x " % (min(max(0, int(added * 1000)), 10**15 - 1), crc)
            entries.append(Entry(offset, offset + len(head), len(body), crc, added))
            lines += (head, body, b"\n")
            offset += len(head) + len(body) + 1
        self._file.seek(self.end)
        try:
            _write(self._file, b"".join(lines))
        except OSError:
            with suppress(OSError):  # a part of it may be there
                self._file.truncate(self.end)
            raise
        self.end = offset
        return entries

    def read(self, entry: Entry) -> bytes | None:
        """The JSON of an event; ``None`` if it is broken."""
        self._file.seek(entry.start)
        body = _read(self._file, entry.size)
        return body if zlib.crc32(body) == entry.crc and len(body) == entry.size else None

    def mark_done(self, entry: Entry) -> None:
        """The event need not be sent any more."""
        self._file.seek(entry.offset)
        _write(self._file, _DONE)

    def entries(self) -> list[tuple[Entry, bytes] | None]:
        """The events still to be sent and their JSON, oldest first; ``None`` for each line that is broken."""
        self._file.seek(0)
        lines = _read(self._file, self.end).split(b"\n")
        found: list[tuple[Entry, bytes] | None] = []
        offset = 0
        for line in lines:
            head = _LINE.match(line)
            if offset and line and (head is None or head[1] == _PENDING):
                found.append(None if head is None else _entry(head, line, offset))
            offset += len(line) + 1
        return found

    def close(self, *, remove: bool) -> None:
        """Release the lock, and remove the file if nothing in it is needed."""
        _forget(self._file, self.path)
        if remove:
            with suppress(OSError):
                self.path.unlink()


def _entry(head: re.Match[bytes], line: bytes, offset: int) -> tuple[Entry, bytes] | None:
    body, crc = line[head.end() :], int(head[3], 16)
    if zlib.crc32(body) != crc:
        return None
    return Entry(offset, offset + head.end(), len(body), crc, int(head[2]) / 1000), body


def _lock(file: FileIO) -> bool:
    """POSIX record locks: unlike those of ``flock`` they are not inherited by forked children."""
    try:
        if fcntl is not None:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            os.lseek(file.fileno(), 0, os.SEEK_SET)
    except OSError:
        return False
    return True


def _forget(file: FileIO, path: Path) -> None:
    with suppress(OSError):
        file.close()
    _open_here.discard((os.getpid(), path))


def _write(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


def _read(file: FileIO, size: int) -> bytes:
    found = b""
    while len(found) < size and (part := file.read(size - len(found))):
        found += part
    return found
