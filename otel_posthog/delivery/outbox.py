"""Outbox: events that wait to be sent. In memory here, on disk in :mod:`~otel_posthog.delivery.spool`.

An outbox has no lock: :class:`~otel_posthog.delivery.schedule.Schedule` is called under the sender's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from otel_posthog.delivery.encoding import EncodedEvent


@dataclass(slots=True, eq=False)
class Report:
    """What has become of the events of one ``put``; written under the sender's lock.

    ``on_done`` are called without it, once nothing is pending.
    """

    pending: int
    dropped: int = 0
    on_done: list[Callable[[], object]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Item:
    """An event on its way. ``event`` may be ``None`` while it is on disk only.

    ``added`` is a moment of the monotonic clock. An item is ``resolved`` once, when it is delivered or dropped.
    """

    name: str
    uuid: str
    size: int  # bytes
    event: EncodedEvent | None
    report: Report
    added: float
    resolved: bool = field(default=False, init=False)
    held: bool = field(default=False, init=False)  # whether it takes room in memory


@dataclass(frozen=True, slots=True)
class Drop:
    """Items that an outbox drops, and why."""

    items: Sequence[Item]
    reason: str
    detail: str


class Outbox(Protocol):
    """First in, first out, bounded in events and bytes."""

    @property
    def stored(self) -> tuple[int, int]:
        """Events, and their bytes, that survive this process."""

    @property
    def waiting(self) -> int:
        """Events that :meth:`next_batch` can return now."""

    @property
    def upkeep_due(self) -> float:
        """The moment at which :meth:`upkeep` has something to do."""

    def put(self, items: Sequence[Item]) -> list[Drop]:
        """Add items; returns what is dropped to stay within the bounds."""

    def next_batch(self, max_events: int, max_bytes: int) -> list[Item]:
        """The oldest items, as many as fit; one that is larger than ``max_bytes`` comes alone. No uuid comes twice.

        They stay in the outbox, and count for its bounds, until :meth:`ack`.
        """

    def read(self, item: Item) -> EncodedEvent | None:
        """The event of an item; ``None`` if it can no longer be read."""

    def ack(self, items: Iterable[Item]) -> None:
        """Forget items of earlier batches, which are delivered or dropped."""

    def upkeep(self, now: float) -> tuple[list[Item], list[Drop]]:
        """Items that earlier processes left, which are new here, and those that have become too old."""

    def close(self, taken: Sequence[Item]) -> list[Item]:
        """Release everything; the items that nothing keeps are returned. ``taken`` are those of earlier batches."""


class MemoryOutbox:
    """An outbox in memory. When it is full the oldest waiting events go, or with ``drop_newest`` the new ones."""

    stored = (0, 0)
    upkeep_due = float("inf")

    def __init__(self, max_events: int, max_bytes: int, drop_oldest: bool) -> None:
        self._max_events, self._max_bytes, self._drop_oldest = max_events, max_bytes, drop_oldest
        self._queue: deque[Item] = deque()
        self._events = self._bytes = 0  # waiting or under way

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def put(self, items: Sequence[Item]) -> list[Drop]:
        """Add items; returns what is dropped to stay within the bounds."""
        dropped: list[Item] = []
        for item in items:
            if self._make_room(item, dropped):
                self._queue.append(item)
                item.held = True
                self._events += 1
                self._bytes += item.size
            else:
                dropped.append(item)
        if not dropped:
            return []
        average = sum(item.size for item in dropped) // len(dropped)
        room = min(self._max_events, self._max_bytes // max(1, average))
        detail = (
            f"the queue is full, PostHog takes them more slowly than they come; it holds about {room:,} events of this "
            "size (max_queue_size, max_memory_bytes)"
        )
        return [Drop(dropped, "queue_full", detail)]

    def _make_room(self, item: Item, dropped: list[Item]) -> bool:
        while self._events + 1 > self._max_events or self._bytes + item.size > self._max_bytes:
            if not (self._drop_oldest and self._queue):
                return False
            oldest = self._queue.popleft()
            self.ack((oldest,))
            dropped.append(oldest)
        return True

    def next_batch(self, max_events: int, max_bytes: int) -> list[Item]:
        """The oldest items that fit."""
        return take(self._queue, max_events, max_bytes)

    def read(self, item: Item) -> EncodedEvent | None:
        """The event, which is in memory."""
        return item.event

    def ack(self, items: Iterable[Item]) -> None:
        """Their room is free again."""
        for item in items:
            if item.held:
                item.held = False
                self._events -= 1
                self._bytes -= item.size

    def upkeep(self, now: float) -> tuple[list[Item], list[Drop]]:
        """Nothing to do: memory does not outlive its process."""
        return [], []

    def close(self, taken: Sequence[Item]) -> list[Item]:
        """Everything: memory is not kept."""
        left = [*taken, *self._queue]
        self._queue.clear()
        return left


def take(queue: deque[Item], max_events: int, max_bytes: int) -> list[Item]:
    """Remove from the left what fits one request: its size is the sum of the events and a comma each."""
    taken: list[Item] = []
    uuids: set[str] = set()
    size = 0
    while queue and len(taken) < max_events:
        item = queue[0]
        size += item.size + 1
        if taken and (size > max_bytes or item.uuid in uuids):
            break
        taken.append(queue.popleft())
        uuids.add(item.uuid)
    return taken
