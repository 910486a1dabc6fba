"""SpoolOutbox: events that are on disk as soon as they are put, until they are delivered or dropped.

``spool_dir/<hash>/`` holds the journals of the processes with one project key, host and content policy; what is written
under one is never sent under another. What a process leaves behind, the next one with the same settings sends.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import orjson

from otel_posthog.delivery import private_files
from otel_posthog.delivery.clock import Clock
from otel_posthog.delivery.encoding import EncodedEvent
from otel_posthog.delivery.journal import Entry, Journal
from otel_posthog.delivery.outbox import Drop, Item, Report, take
from otel_posthog.delivery.stats import Ledger
from otel_posthog.settings import ConfigurationError, Settings

_UPKEEP_EVERY = 30.0  # seconds
_MAX_JOURNAL = 4 * 1024 * 1024  # bytes; then a new one is begun, so that an old one can be removed
_NAME = re.compile(r"events-\d{13}-[0-9a-f]{32}\.jsonl")  # Unix time in ms: their order
_CLOCK_WAS_SET = 1_577_836_800.0  # 2020: a machine without a battery starts in 1970


class SpoolOutbox:
    """At ``max_spool_bytes`` of events the oldest go, or with ``drop_newest`` the new ones; after ``max_spool_age``
    seconds an event goes. Events that the disk does not take stay in memory, within the bounds of the queue.

    Raises:
        ConfigurationError: the directory cannot be used.
    """

    def __init__(self, settings: Settings, ledger: Ledger, clock: Clock) -> None:
        self.directory = Path(settings.spool_dir or "") / _fingerprint(settings)
        self._max_bytes, self._max_age = settings.max_spool_bytes, settings.max_spool_age
        self._max_memory = settings.max_queue_size, settings.max_memory_bytes // 2
        self._drop_oldest = settings.when_full == "drop_oldest"
        self._ledger, self._clock = ledger, clock
        self._queue: deque[Item] = deque()
        self._places: dict[Item, tuple[Journal, Entry]] = {}
        self._stored_bytes = self._memory_bytes = self._memory_events = 0
        self._others = 0  # bytes of other processes' journals
        self._journals: list[Journal] = []  # the last one is written to
        self._closed = False
        self.upkeep_due = clock.monotonic()
        try:
            private_files.make_directory(self.directory.parent)
            private_files.make_directory(self.directory)
            self._begin_journal()
        except OSError as error:
            reason = str(error) if not error.errno else type(error).__name__
            raise ConfigurationError(
                f"spool_dir is {settings.spool_dir!r}: it must be a directory of this user's that only they can write "
                f"to ({reason})."
            ) from None
        old = len(list(self.directory.parent.glob("otel-posthog-*.db")))
        if old:
            files = f"{self.directory.parent}/otel-posthog-*.db"
            ledger.warn("old_spool", f"{files} ({old}) are a spool of an earlier version, and not read by this one: "
                                     "run that version once more to send their events, then delete them")  # fmt: skip

    @property
    def stored(self) -> tuple[int, int]:
        """Events on disk, and their bytes."""
        return len(self._places), self._stored_bytes

    @property
    def waiting(self) -> int:
        """Events that :meth:`next_batch` can return now."""
        return len(self._queue)

    def put(self, items: Sequence[Item]) -> list[Drop]:
        """Write items to disk; what the bounds cost is returned."""
        kept, dropped = self._within_bound(items)
        drops = [Drop(dropped, "spool_full", f"{self.directory} is full (max_spool_bytes)")] if dropped else []
        if kept and not self._store(kept):
            drops += self._keep_in_memory(kept)
        return drops

    def _within_bound(self, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
        """The new items that there is room for on disk, and the old and new ones that have to go."""
        kept: deque[Item] = deque()
        dropped: list[Item] = []
        room = self._max_bytes - self._stored_bytes - self._others
        for item in items:
            while item.size > room and self._drop_oldest and (self._queue or kept):
                oldest = (self._queue or kept).popleft()
                room += oldest.size
                dropped.append(oldest)
                self.ack((oldest,))
            if item.size > room:
                dropped.append(item)
            else:
                room -= item.size
                kept.append(item)
        return kept, dropped

    def _store(self, items: Sequence[Item]) -> bool:
        bodies = [item.event.body for item in items if item.event is not None]
        try:
            journal = self._journals[-1] if self._journals else self._begin_journal()
            if journal.end > _MAX_JOURNAL:
                full, journal = journal, self._begin_journal()
                self._remove_if_done(full)
            entries = journal.append(bodies, self._clock.time())
        except OSError as error:
            self._warn_of(error)
            return False
        for item, entry in zip(items, entries, strict=True):
            item.event = None
            self._place(item, journal, entry)
        self._queue.extend(items)
        return True

    def _keep_in_memory(self, items: Sequence[Item]) -> list[Drop]:
        max_events, max_bytes = self._max_memory
        dropped = []
        for item in items:
            if self._memory_events < max_events and self._memory_bytes + item.size <= max_bytes:
                item.held = True
                self._memory_events += 1
                self._memory_bytes += item.size
                self._queue.append(item)
            else:
                dropped.append(item)
        return [Drop(dropped, "queue_full", "the disk does not take them, and the queue is full")] if dropped else []

    def next_batch(self, max_events: int, max_bytes: int) -> list[Item]:
        """The oldest items that fit."""
        return take(self._queue, max_events, max_bytes)

    def read(self, item: Item) -> EncodedEvent | None:
        """The event of an item, from disk if it is only there. Raises ``OSError``."""
        place = self._places.get(item)
        if item.event is not None or place is None:
            return item.event
        journal, entry = place
        body = journal.read(entry)
        return None if body is None else EncodedEvent(item.name, item.uuid, body)

    def ack(self, items: Iterable[Item]) -> None:
        """Mark items as done; a journal without any other is removed."""
        for item in items:
            if item.held:
                item.held = False
                self._memory_events -= 1
                self._memory_bytes -= item.size
            place = self._places.pop(item, None)
            if place is not None and not self._closed:
                self._stored_bytes -= place[1].size
                self._mark_done(*place)

    def _mark_done(self, journal: Journal, entry: Entry) -> None:
        try:
            journal.mark_done(entry)
        except OSError as error:  # another process may send it again
            self._warn_of(error)
        journal.live -= 1
        if journal is not self._journals[-1]:
            self._remove_if_done(journal)

    def _remove_if_done(self, journal: Journal) -> None:
        if not journal.live:
            self._journals.remove(journal)
            journal.close(remove=True)

    def upkeep(self, now: float) -> tuple[list[Item], list[Drop]]:
        """Adopt the journals of processes that are gone, and give up what is too old."""
        self.upkeep_due = now + _UPKEEP_EVERY
        recovered: list[Item] = []
        broken: list[Item] = []
        self._others = 0
        for path in self._others_journals():
            try:
                self._adopt(path, now, recovered, broken)
            except OSError as error:
                self._warn_of(error)
        # Recovered events are older than those of this process.
        self._queue.extendleft(reversed(recovered))
        drops = [Drop(broken, "spool_corrupt", f"lines of journals in {self.directory} are broken")] if broken else []
        old = [item for item in self._queue if now - item.added > self._max_age]
        if old:
            gone = set(old)
            self._queue = deque(item for item in self._queue if item not in gone)
            drops.append(Drop(old, "spool_age", "they are older than max_spool_age"))
        return [*recovered, *broken], drops

    def _others_journals(self) -> list[Path]:
        own = {journal.path for journal in self._journals}
        with suppress(OSError):
            return sorted(path for path in self.directory.iterdir() if _NAME.fullmatch(path.name) and path not in own)
        return []

    def _adopt(self, path: Path, now: float, recovered: list[Item], broken: list[Item]) -> None:
        size = path.lstat().st_size
        journal = Journal.adopt(path)
        if journal is None:
            self._others += size
            return
        entries = journal.entries()
        if self._stored_bytes + sum(found[0].size for found in entries if found is not None) > self._max_bytes:
            self._others += size
            journal.close(remove=False)
            return
        self._journals.insert(0, journal)
        report = Report(0)
        unix_now = self._clock.time()
        for found in entries:
            report.pending += 1
            event = None if found is None else _event(found[1])
            if found is None or event is None:
                broken.append(Item("", "", 0, None, report, now))
                continue
            entry = found[0]
            # An age counts only if the clock was set then, and is set now.
            age = unix_now - entry.added if entry.added > _CLOCK_WAS_SET else 0.0
            item = Item(event.name, event.uuid, entry.size, None, report, now - max(0.0, age))
            self._place(item, journal, entry)
            recovered.append(item)
        self._remove_if_done(journal)

    def _place(self, item: Item, journal: Journal, entry: Entry) -> None:
        self._places[item] = journal, entry
        self._stored_bytes += item.size
        journal.live += 1

    def close(self, taken: Sequence[Item]) -> list[Item]:
        """Leave on disk what is there; the items that are not are returned, after a last try to write them."""
        rest = [item for item in (*taken, *self._queue) if item.held]
        if rest and self._store(rest):
            rest = []
        self._closed = True
        for journal in self._journals:
            journal.close(remove=not journal.live)
        self._journals.clear()
        with suppress(OSError):
            self.directory.rmdir()  # if nothing is left in it
        return rest

    def _begin_journal(self) -> Journal:
        private_files.make_directory(self.directory)
        created = min(max(0, int(self._clock.time() * 1000)), 10**13 - 1)
        journal = Journal.create(self.directory / f"events-{created:013d}-{uuid4().hex}.jsonl")
        self._journals.append(journal)
        return journal

    def _warn_of(self, error: OSError) -> None:
        self._ledger.warn("spool", f"the spool in {self.directory} failed: {error.strerror or type(error).__name__}")


def _fingerprint(settings: Settings) -> str:
    """Names the key, the host and everything that decides which content may leave, without showing any of it."""
    names = [item if isinstance(item, str) else getattr(item, "__qualname__", "") for item in settings.redact]
    policy = (settings.capture_content, names, settings.deny_attributes, settings.allow_attributes, settings.keep_media)
    version = 1 if settings.endpoint == "v1" else 0  # events of one are not accepted by the other
    written = repr((settings.api_key, settings.host, policy, version))
    return hashlib.sha256(written.encode("utf-8", "replace")).hexdigest()[:16]


def _event(body: bytes) -> EncodedEvent | None:
    try:
        event = orjson.loads(body)
        return EncodedEvent(str(event["event"]), str(event["uuid"]), body)
    except (ValueError, KeyError, TypeError):
        return None
