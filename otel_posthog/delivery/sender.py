"""Sender: the threads that take batches and make attempts.

They are started when there is something to send. Where none can be started (the interpreter shuts down, the machine has
none left), whoever waits for the events sends them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from otel_posthog.delivery.attempts import Attempts
from otel_posthog.delivery.batching import Batch
from otel_posthog.delivery.clock import Clock, rfc3339
from otel_posthog.delivery.outbox import Drop, Item, Report
from otel_posthog.delivery.resolver import Resolver
from otel_posthog.delivery.schedule import NEVER, Schedule
from otel_posthog.delivery.stats import Ledger


class Sender:
    """Thread-safe. ``changed`` is notified when events are resolved; its lock guards the schedule."""

    def __init__(
        self, schedule: Schedule, attempts: Attempts, resolver: Resolver, ledger: Ledger, clock: Clock,
        changed: threading.Condition,
    ) -> None:  # fmt: skip
        self._schedule, self._attempts, self._resolver = schedule, attempts, resolver
        self._ledger, self._clock, self._changed = ledger, clock, changed
        self._threads: list[threading.Thread] = []
        self._idle = 0  # threads that wait
        self._drops: list[Drop] = []  # to be reported once the lock is released
        self._last = NEVER  # no request goes on after this moment
        self._stopped = False
        self._reports: dict[Report, None] = {}  # with pending events

    def put(self, items: Sequence[Item]) -> None:
        """Queue items and see that something sends them."""
        with self._changed:
            self._observe(items)
            if self._stopped:
                self._drops.append(Drop(items, "shutdown", "they came after shutdown"))
            else:
                self._drops += self._schedule.outbox.put(items)
            self._employ()
            self._changed.notify_all()
        self._report_drops()

    def when_done(self, report: Report, callback: Callable[[], object]) -> None:
        """Call back once nothing of the report is pending, at once if that is so already."""
        with self._changed:
            if report.pending:
                report.on_done.append(callback)
                return
        callback()

    def pending_reports(self) -> list[Report]:
        """The reports with pending events, those of earlier processes included."""
        with self._changed:
            self._upkeep(self._clock.monotonic())
            return [report for report in self._reports if report.pending]

    def start(self) -> None:
        """Start a thread if there is something to do already."""
        with self._changed:
            self._employ()

    def wait(self, is_done: Callable[[], bool], timeout: float) -> bool:
        """Wait until it is done, and send where no thread does. Ends early if no attempt can begin in time."""
        deadline = self._clock.monotonic() + timeout
        while True:
            with self._changed:
                now = self._clock.monotonic()
                is_over = is_done() or now >= deadline
                batch = None if is_over or self._employ() else self._take(now)
            self._report_drops()
            if batch is not None:
                self._make_attempt(batch, deadline)
                continue
            with self._changed:
                now, moment = self._clock.monotonic(), self._schedule.next_moment
                is_hopeless = moment >= deadline and not self._schedule.is_busy
                if is_done() or now >= deadline or self._stopped or is_hopeless:
                    return is_done()
                until = deadline if self._threads else min(deadline, moment)
                if until > now:
                    self._clock.wait(self._changed, until - now)

    def hurry(self, timeout: float) -> None:
        """Try everything at once, and again without long waits, for ``timeout`` seconds."""
        with self._changed:
            now = self._clock.monotonic()
            self._schedule.hurry(now, now + timeout)
            self._changed.notify_all()

    def finish_within(self, timeout: float) -> None:
        """Let no request begun from now on go on for longer."""
        with self._changed:
            self._last = min(self._last, self._clock.monotonic() + timeout)
            self._schedule.pacing.end_pause(self._last)

    def stop(self) -> list[Item]:
        """End the threads. The items that are neither resolved nor on disk are returned.

        Requests under way are not waited for, and what they answer changes nothing any more.
        """
        with self._changed:
            if self._stopped:
                return []
            self._stopped = True
            self._changed.notify_all()
            return self._schedule.close()

    def _employ(self) -> bool:
        """Start a thread if there is work for one more. Whether there is any thread."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        is_short = not self._threads or (self._idle == 0 and len(self._threads) < self._schedule.pacing.max_requests)
        if is_short and self._schedule.has_work and not self._stopped:
            thread = self._clock.start(self._run)
            if thread is not None:
                self._threads.append(thread)
        return bool(self._threads)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                now = self._clock.monotonic()
                batch = self._take(now)
                if batch is None:
                    moment = min(self._schedule.next_moment, self._schedule.outbox.upkeep_due)
                    self._idle += 1
                    try:
                        self._clock.wait(self._changed, None if moment == NEVER else max(0.0, moment - now))
                    finally:
                        self._idle -= 1
                else:
                    self._employ()
            self._report_drops()
            if batch is not None:
                self._make_attempt(batch, NEVER)

    def _make_attempt(self, batch: Batch, deadline: float) -> None:
        last = min(deadline, self._last)
        self._attempts.make(batch, None if last == NEVER else max(0.0, last - self._clock.monotonic()))

    def _upkeep(self, now: float) -> None:
        outbox = self._schedule.outbox
        if now >= outbox.upkeep_due and not self._stopped:
            recovered, dropped = outbox.upkeep(now)
            self._ledger.accepted(len(recovered))
            self._observe(recovered)
            self._drops += dropped

    def _observe(self, items: Sequence[Item]) -> None:
        self._reports = {report: None for report in self._reports if report.pending}
        self._reports.update((item.report, None) for item in items)

    def _take(self, now: float) -> Batch | None:
        if self._stopped:
            return None
        self._upkeep(now)
        return self._schedule.take(now, self._attempts.max_events, rfc3339(self._clock.time()))

    def _report_drops(self) -> None:
        """Outside of the lock: it calls back into the app."""
        with self._changed:
            drops, self._drops = self._drops, []
        for drop in drops:
            self._resolver.drop(drop.items, drop.reason, drop.detail)
