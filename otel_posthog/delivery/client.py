"""CaptureClient: from encoded events to PostHog, over the disk if there is a spool."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from otel_posthog.delivery.batches import Encoded
from otel_posthog.delivery.delivery import Delivery, Shrink
from otel_posthog.delivery.ledger import Ledger, Stats
from otel_posthog.delivery.outcome import Outcome
from otel_posthog.delivery.rejected import RejectedEvents
from otel_posthog.delivery.retry import delay_before
from otel_posthog.delivery.spool import Spool, StoredEvent
from otel_posthog.delivery.transport import Transport
from otel_posthog.settings import Settings

_INTERNAL_ERROR = Outcome("refused", "internal_error", "an error while they were being sent")


class CaptureClient:
    """Delivers events to one PostHog project. Thread-safe; :meth:`send` blocks, so call it off the app's threads.

    With a spool (``spool_dir``) events are on disk before they are sent, and stay there until PostHog has answered.
    """

    def __init__(self, settings: Settings, ledger: Ledger, shrink: Shrink | None = None) -> None:
        self._settings, self._ledger = settings, ledger
        self._transport = Transport(settings, ledger)
        self._delivery = Delivery(settings, self._transport, shrink)
        self._rejected = RejectedEvents(settings) if settings.rejected_dir else None
        self._spool = Spool(settings, ledger) if settings.spool_dir else None
        self._draining = threading.Lock()
        self._finishing = False
        self._failures = 0  # in a row, of the spool
        self._resume_at = 0.0

    def send(self, events: Sequence[Encoded], timeout: float | None = None) -> bool:
        """Deliver events; ``True`` if PostHog took them all. ``timeout`` in seconds covers retries too."""
        deadline = time.monotonic() + (self._settings.timeout if timeout is None else timeout)
        account = _Account(self._ledger, self._drop)
        brings_more = bool(events)
        self._send_at_once(events, deadline, account)
        self._drain(deadline, account, brings_more)
        if self._finishing and brings_more:
            return not account.dropped  # what is on disk is sent last
        return not account.dropped and (self._spool is None or not self._spool.count)

    def _send_at_once(self, events: Sequence[Encoded], deadline: float, account: _Account) -> None:
        """Send what is not on disk afterwards, and settle all of it."""
        try:
            if self._spool is not None:
                events = self._spool.add(events)  # what the disk does not take
            left = self._delivery.deliver(events, deadline, account)
            for _, pairs in groupby(left, key=lambda pair: pair[1].reason):
                same = list(pairs)
                outcome = same[0][1]
                if outcome.kind == "retry":
                    outcome = replace(outcome, detail=f"{outcome.detail}, until the time was up")
                account.drop([event for event, _ in same], outcome)
        finally:  # nobody comes back for them after an exception
            account.drop_unsettled(events)

    def _drain(self, deadline: float, account: _Account, brings_more: bool) -> None:
        """Send what is in the spool, one try for each batch. After a failure nothing is tried for a while.

        At the end all that is queued comes to disk first: so it waits while calls bring more.
        """
        spool = self._spool
        if spool is None or self.unauthorized:  # what is on disk waits for the next process and a right key
            return
        if not self._draining.acquire(blocking=False):
            return  # another thread does it
        try:
            spool.adopt()
            while self._resume_at <= time.monotonic() < deadline:
                if self._finishing and brings_more:
                    return
                stored = spool.oldest(self._settings.max_batch_events, self._settings.max_batch_bytes)
                if not stored:
                    return
                removed, left = self._send_stored(spool, stored, deadline, account)
                if not removed or left is not None:
                    self._failures += 1
                    asked = None if left is None else left.retry_after
                    self._resume_at = time.monotonic() + delay_before(self._failures, asked)
                if left is not None:
                    self._ledger.warn("spooled", f"{spool.count} events wait in {spool.directory}: {left.detail}")
                if not removed or left is not None:
                    return
                self._failures = 0
        finally:
            self._draining.release()

    def _send_stored(
        self, spool: Spool, stored: Sequence[StoredEvent], deadline: float, account: _Account
    ) -> tuple[bool, Outcome | None]:
        """Whether what PostHog has answered for is gone from disk, and why the rest stays there."""
        account.forget()
        try:
            left = self._delivery.deliver([item.event for item in stored], deadline, account, on_disk=True)
        except Exception:
            # The same events would raise the next time too, and nothing would ever get past them.
            account.drop_unsettled([item.event for item in stored])
            raise
        finally:
            removed = spool.remove(account.settled_of(stored))
        return removed, left[0][1] if left else None

    def _drop(self, events: Sequence[Encoded], outcome: Outcome) -> None:
        detail = outcome.detail or None
        if detail and len(events) == 1 and outcome.reason in ("too_large", "invalid"):
            detail = f"{detail} ({events[0].name} {events[0].uuid}, {len(events[0].body):,} bytes)"
        self._ledger.record_drop(outcome.reason, len(events), detail, [(event.name, event.uuid) for event in events])
        if self._rejected is not None:
            try:
                self._rejected.add(events, outcome.reason)
            except OSError as error:
                self._ledger.warn("rejected_dir", f"rejected events could not be kept: {type(error).__name__}")

    @property
    def unauthorized(self) -> bool:
        """Whether PostHog has refused the key: nothing more is sent then."""
        return self._delivery.unauthorized

    def stats(self) -> Stats:
        """The ledger's counters and what is on disk."""
        stats = self._ledger.stats()
        spool = self._spool
        return stats if spool is None else replace(stats, spooled=spool.count, spool_bytes=spool.size)

    def finish_by(self, deadline: float) -> None:
        """Begin no request after this moment of :func:`time.monotonic`; what still comes is the last."""
        self._finishing = True
        self._delivery.finish_by(deadline)

    def close(self) -> None:
        """Stop waiting for retries and close the connections and the spool."""
        self.finish_by(time.monotonic())
        self._transport.close()
        if self._spool is not None:
            self._spool.close()

    def before_fork(self) -> None:
        """SQLite's connections must not be carried into a child."""
        if self._spool is not None:
            self._spool.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._spool is not None:
            self._spool.after_fork_in_parent()

    def after_fork(self) -> None:
        """In a child: no lock that was held when it was forked, and a spool file of its own."""
        self._draining = threading.Lock()
        self._delivery.after_fork()
        if self._rejected is not None:
            self._rejected.after_fork()
        if self._spool is not None:
            self._spool.after_fork()


class _Account:
    """What has become of the events of one call."""

    def __init__(self, ledger: Ledger, drop: Callable[[Sequence[Encoded], Outcome], None]) -> None:
        self._ledger, self._drop = ledger, drop
        self._settled: list[str] = []  # uuids
        self.dropped = 0

    def delivered(self, events: Sequence[Encoded]) -> None:
        self._settled += (event.uuid for event in events)
        self._ledger.delivered(len(events))

    def drop(self, events: Sequence[Encoded], outcome: Outcome) -> None:
        self._settled += (event.uuid for event in events)
        self.dropped += len(events)
        self._drop(events, outcome)

    def drop_unsettled(self, events: Sequence[Encoded]) -> None:
        """Drop those of the events that nothing has been said of, which is so only after an exception."""
        if len(self._settled) < len(events):
            settled = Counter(self._settled)
            unsettled = [event for event in events if not _taken(settled, event.uuid)]
            self.drop(unsettled, _INTERNAL_ERROR)

    def settled_of(self, stored: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Those that are settled; of two with one uuid the first, if only one is."""
        settled = Counter(self._settled)
        return [item for item in stored if _taken(settled, item.event.uuid)]

    def forget(self) -> None:
        """What is settled from now on is of other events."""
        self._settled.clear()


def _taken(settled: Counter[str], uuid: str) -> bool:
    settled[uuid] -= 1
    return settled[uuid] >= 0
