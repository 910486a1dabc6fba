"""Delivery: the way of events to one PostHog project.

outbox (memory or disk) -> batch -> protocol -> retry -> transport, each in a file of its own. A Delivery belongs to the
process that made it; a forked child leaves it alone and makes its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from otel_posthog.delivery.attempts import Attempts, Shrink
from otel_posthog.delivery.batching import BodySize
from otel_posthog.delivery.channel import Channel
from otel_posthog.delivery.clock import Clock, SystemClock
from otel_posthog.delivery.encoding import EncodedEvent, Event, encode
from otel_posthog.delivery.outbox import Item, MemoryOutbox, Outbox, Report
from otel_posthog.delivery.pacing import Pacing
from otel_posthog.delivery.protocols import BODY_LIMIT, ENVELOPE
from otel_posthog.delivery.rejected import RejectedEvents
from otel_posthog.delivery.resolver import Resolver
from otel_posthog.delivery.schedule import Schedule
from otel_posthog.delivery.sender import Sender
from otel_posthog.delivery.spool import SpoolOutbox
from otel_posthog.delivery.stats import Ledger, Stats
from otel_posthog.delivery.transport import Transport
from otel_posthog.settings import Settings


class Receipt:
    """What becomes of the events of one :meth:`Delivery.put`."""

    def __init__(self, report: Report, sender: Sender, *, is_stored: bool) -> None:
        self._report, self._sender = report, sender
        self.is_stored = is_stored  # whether the events survive this process

    def wait(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds; ``True`` once every event is delivered, ``False`` if one is dropped or
        still pending. Returns early if no further attempt can begin in time."""
        self._sender.wait(lambda: not self._report.pending, timeout)
        return not self._report.pending and not self._report.dropped

    def on_done(self, callback: Callable[[], object]) -> None:
        """Call back once each event is delivered or dropped, in whatever thread that happens; at once if it has.

        The callback must not raise or block.
        """
        self._sender.when_done(self._report, callback)

    @property
    def pending(self) -> int:
        """Events that are neither delivered nor dropped."""
        return self._report.pending

    @property
    def dropped(self) -> int:
        """Events that will not be delivered."""
        return self._report.dropped


class Delivery:
    """Delivers events to one PostHog project. Thread-safe; errors of PostHog or the network are never raised.

    Args:
        settings: where to, and within which bounds.
        ledger: counts what becomes of each event.
        shrink: cuts an encoded event to a number of bytes, or returns ``None``; default: too large events are dropped.
        transport: sends requests; default: over ``requests``.
        clock: time, waits and threads; default: the machine's.

    Raises:
        ConfigurationError: ``spool_dir`` or ``compression`` cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        shrink: Shrink | None = None,
        *,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock or SystemClock()
        self._version = 1 if settings.endpoint == "v1" else 0
        self._changed = threading.Condition(threading.RLock())  # a signal handler may interrupt its holder
        self._outbox = _outbox(settings, ledger, self._clock)
        self._channel = channel = Channel(settings, ledger, self._clock, transport)
        body_size = BodySize(min(settings.max_batch_bytes, BODY_LIMIT) - ENVELOPE)
        schedule = Schedule(self._outbox, Pacing(settings.max_concurrent_requests), body_size)
        rejected = RejectedEvents(settings) if settings.rejected_dir else None
        self._resolver = Resolver(self._changed, self._outbox, ledger, rejected)
        attempts = Attempts(settings, channel, schedule, self._resolver, ledger, self._clock, self._changed, shrink)
        self._sender = Sender(schedule, attempts, self._resolver, ledger, self._clock, self._changed)
        self._sender.start()  # an earlier process may have left something

    def encode(self, event: Event) -> EncodedEvent:
        """An event for the protocol in use. Never raises."""
        return encode(event, self._version)

    def put(self, events: Sequence[EncodedEvent]) -> Receipt:
        """Hand over events that the ledger has counted as accepted; returns at once."""
        report, now = Report(len(events)), self._clock.monotonic()
        items = [Item(event.name, event.uuid, len(event.body), event, report, now) for event in events]
        if items:
            self._sender.put(items)
        return Receipt(report, self._sender, is_stored=not any(item.held for item in items))

    def flush(self, timeout: float) -> bool:
        """Deliver everything put so far, in ``timeout`` seconds; ``True`` if all of it was delivered.

        Tries at once what waits for a retry, but keeps to a ``Retry-After`` that ends in time.
        """
        reports = self._sender.pending_reports()
        dropped = sum(report.dropped for report in reports)
        if not reports:
            return True
        self._sender.hurry(timeout)
        self._sender.wait(lambda: not any(report.pending for report in reports), timeout)
        with self._changed:
            return sum(report.dropped for report in reports) == dropped and not any(r.pending for r in reports)

    def shutdown(self, timeout: float) -> bool:
        """Deliver what can be delivered in ``timeout`` seconds, then close; ``True`` if everything was delivered.

        What remains stays in the spool, or is dropped as ``shutdown`` without one. May be called twice.
        """
        self._sender.finish_within(timeout)
        arrived = self.flush(timeout)
        left = self._sender.stop()
        self._resolver.drop(
            left, "shutdown", f"there was no time left at shutdown to send them to {self._channel.host}"
        )
        return arrived and not left

    @property
    def pending(self) -> int:
        """Events that are neither delivered nor dropped."""
        return self._ledger.stats().pending

    def stats(self) -> Stats:
        """The ledger's counters, and what is on disk."""
        with self._changed:
            events, size = self._outbox.stored
        return replace(self._ledger.stats(), spooled=events, spool_bytes=size)


def _outbox(settings: Settings, ledger: Ledger, clock: Clock) -> Outbox:
    if settings.spool_dir is not None:
        return SpoolOutbox(settings, ledger, clock)
    return MemoryOutbox(settings.max_queue_size, settings.max_memory_bytes // 2, settings.when_full == "drop_oldest")
