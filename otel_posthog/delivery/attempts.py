"""Attempts: one request for a batch, and what follows from its outcome: done, retry, split or drop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import groupby

from otel_posthog.delivery import isolation
from otel_posthog.delivery.batching import Batch
from otel_posthog.delivery.channel import Channel
from otel_posthog.delivery.clock import Clock
from otel_posthog.delivery.encoding import EncodedEvent
from otel_posthog.delivery.outbox import Item
from otel_posthog.delivery.protocols import CaptureProtocol, Outcome
from otel_posthog.delivery.resolver import Resolver
from otel_posthog.delivery.schedule import Schedule
from otel_posthog.delivery.stats import Ledger
from otel_posthog.settings import Settings

# An encoded event, cut to so many bytes; None if that cannot be done.
Shrink = Callable[[bytes, int], "bytes | None"]

_SMALLEST_EVENT = 4096  # bytes; an event that is too large even so is not cut further
_FAILURES_SHOWN = 3  # in a row, before they are logged
_NOT_ANSWERED = Outcome("refused", "not_answered", "did not mention them in its answer")


class Attempts:
    """Thread-safe. ``changed`` guards the schedule."""

    def __init__(
        self, settings: Settings, channel: Channel, schedule: Schedule, resolver: Resolver, ledger: Ledger,
        clock: Clock, changed: threading.Condition, shrink: Shrink | None,
    ) -> None:  # fmt: skip
        self._settings, self._channel, self._schedule = settings, channel, schedule
        self._resolver, self._ledger, self._clock = resolver, ledger, clock
        self._changed, self._shrink = changed, shrink
        self._keeps_events = settings.spool_dir is not None
        self._max_attempts = None if settings.max_retries is None else settings.max_retries + 1
        self._is_in_trouble = False  # according to the log

    @property
    def max_events(self) -> int:
        """Events in one request, by the protocol in use."""
        return self._channel.protocol.max_events or self._settings.max_batch_events

    def make(self, batch: Batch, total: float | None) -> None:
        """Send a batch; ``total`` limits the seconds."""
        protocol = self._channel.protocol
        remaining = [batch]
        try:
            events = self._readable(batch, protocol)
            if events:
                outcome, seconds = self._channel.send(batch, events, protocol, total)
                remaining = self._settle(batch, outcome, protocol, seconds)
        except (Exception, SystemExit) as error:  # a bug here, or in the app's session or callback
            detail = f"was not asked: {type(error).__name__} in otel-posthog"
            remaining = self._again(batch, Outcome("retry", "internal_error", detail, may_be_one_event=True), protocol)
        finally:
            with self._changed:
                self._schedule.done(batch, [part for part in remaining if part.items])
                self._changed.notify_all()

    def _readable(self, batch: Batch, protocol: CaptureProtocol) -> list[EncodedEvent]:
        """The events of a batch within the protocol's limit; items without one leave the batch."""
        events: dict[Item, EncodedEvent] = {}
        for item in batch.items:
            with self._changed:
                event = self._schedule.outbox.read(item)
            if event is None:
                self._resolver.drop([item], "spool_corrupt", "their place on disk is broken")
            elif (fitting := self._fitting(item, event, protocol.max_event_bytes)) is not None:
                events[item] = fitting
        batch.items = list(events)
        return list(events.values())

    def _fitting(self, item: Item, event: EncodedEvent, limit: int) -> EncodedEvent | None:
        if len(event.body) <= limit:
            return event
        detail = f"{event.name} {event.uuid} has {len(event.body):,} bytes, and PostHog takes {limit:,}"
        fitting = self._shrunk(item, event, limit)
        if fitting is None:
            self._resolver.refuse([item], "event_too_large", detail)
        return fitting

    def _shrunk(self, item: Item, event: EncodedEvent, limit: int) -> EncodedEvent | None:
        try:
            body = self._shrink(event.body, limit) if self._shrink is not None else None
        except Exception as error:
            self._resolver.refuse([item], "internal_error", f"could not be cut: {type(error).__name__}")
            return None
        if body is None:
            return None
        item.event = EncodedEvent(event.name, event.uuid, body)
        return item.event

    def _settle(self, batch: Batch, outcome: Outcome, protocol: CaptureProtocol, seconds: float) -> list[Batch]:
        """The batches that remain to be sent."""
        if outcome.kind in ("retry", "paused"):
            if outcome.reason == "timeout":
                with self._changed:
                    self._schedule.body_size.timed_out(batch.size)
            return self._again(batch, outcome, protocol)
        with self._changed:
            self._schedule.body_size.answered(batch.size, seconds)
        if outcome.kind == "delivered":
            self._succeeded(protocol)
            self._resolver.delivered(batch.items)
            return []
        if outcome.kind == "results":
            return self._settle_each(batch, outcome, protocol)
        if outcome.kind == "not_served" and self._channel.use_next(protocol):
            return [batch]
        if outcome.kind in ("too_large", "invalid"):
            remaining = self._smaller(batch, outcome)
            if remaining:
                return remaining
        self._refuse(batch.items, outcome, protocol)
        return []

    def _settle_each(self, batch: Batch, answer: Outcome, protocol: CaptureProtocol) -> list[Batch]:
        """Version 1 answers for each event."""
        outcomes = [(item, answer.results.get(item.uuid.lower(), _NOT_ANSWERED)) for item in batch.items]
        batch.items = [item for item, outcome in outcomes if outcome.kind == "retry"]
        if len(batch.items) < len(outcomes):
            self._succeeded(protocol)
        self._resolver.delivered([item for item, outcome in outcomes if outcome.kind == "delivered"])
        refused = [(item, outcome) for item, outcome in outcomes if outcome.kind == "refused"]
        for _, same in groupby(sorted(refused, key=lambda pair: pair[1].reason), key=lambda pair: pair[1].reason):
            pairs = list(same)
            self._refuse([item for item, _ in pairs], pairs[0][1], protocol)
        if not batch.items:
            return []
        return self._again(batch, Outcome("retry", "retry", "asked for them again", answer.retry_after), protocol)

    def _smaller(self, batch: Batch, outcome: Outcome) -> list[Batch]:
        """A refused batch in parts, of which some may be accepted."""
        if len(batch.items) > 1:
            with self._changed:
                if outcome.kind == "too_large" and self._schedule.body_size.refused(batch.size):
                    return [batch]  # the schedule divides it
            return batch.halves()
        (item,) = batch.items
        event = item.event
        if outcome.kind != "too_large" or event is None or item.size <= _SMALLEST_EVENT:
            return []
        return [batch] if self._shrunk(item, event, max(_SMALLEST_EVENT, len(event.body) // 2)) else []

    # --- temporary failures

    def _again(self, batch: Batch, outcome: Outcome, protocol: CaptureProtocol) -> list[Batch]:
        """The batch, or its parts, for another attempt; events for which there is none are dropped."""
        with self._changed:
            now, schedule = self._clock.monotonic(), self._schedule
            is_to_blame = isolation.is_to_blame(batch, outcome, schedule.successes)
            if not is_to_blame:
                schedule.pacing.failed(outcome, now)
            if batch.successes is None:
                batch.successes = schedule.successes
            if outcome.retry_after is not None:
                batch.asked_until = now + outcome.retry_after
            batch.not_before = max(now + schedule.pacing.delay(batch.attempt, now), batch.asked_until)
            hopeless = isolation.is_hopeless(batch, schedule.successes)
            remaining = [] if hopeless else isolation.parts(batch, outcome, schedule.successes)
            waiting, failures = schedule.waiting + len(batch.items), schedule.pacing.failures
        self._log_failure(outcome, protocol, waiting, failures)
        expired = batch.items if hopeless else self._expired(batch, outcome, now)
        if expired:
            times = "1 attempt" if batch.attempt == 1 else f"{batch.attempt} attempts"
            detail = f"{self._channel.describe(outcome, protocol)} ({times})"
            self._resolver.refuse(expired, outcome.reason, detail)
            batch.items = [item for item in batch.items if not item.resolved]
            return [batch] if batch.items else []
        batch.attempt += 1
        return remaining or [batch]

    def _expired(self, batch: Batch, outcome: Outcome, now: float) -> Sequence[Item]:
        """The items that are not tried again. What is on disk is kept, and so is everything while a key is refused."""
        if self._keeps_events or outcome.kind == "paused":
            return ()
        if self._max_attempts is not None and batch.attempt >= self._max_attempts:
            return batch.items
        return [item for item in batch.items if now - item.added >= self._settings.retry_for]

    def _log_failure(self, outcome: Outcome, protocol: CaptureProtocol, waiting: int, failures: int) -> None:
        if outcome.kind == "retry" and failures < _FAILURES_SHOWN:
            return
        level = logging.ERROR if outcome.reason == "unauthorized" else logging.WARNING
        events = "1 event waits" if waiting == 1 else f"{waiting:,} events wait"
        message = f"{self._channel.describe(outcome, protocol)}. {events} for another attempt"
        self._is_in_trouble = True
        self._ledger.warn(f"failed:{outcome.reason}", message, level)

    def _succeeded(self, protocol: CaptureProtocol) -> None:
        with self._changed:
            self._schedule.successes += 1
            self._schedule.pacing.succeeded()
            has_recovered, self._is_in_trouble = self._is_in_trouble, False
        if has_recovered:
            works = Outcome("delivered", "delivered", "accepts events again")
            self._ledger.warn("recovered", self._channel.describe(works, protocol))

    def _refuse(self, items: Sequence[Item], outcome: Outcome, protocol: CaptureProtocol) -> None:
        detail = self._channel.describe(outcome, protocol)
        if len(items) == 1 and outcome.reason in ("too_large", "invalid"):
            detail = f"{detail} ({items[0].name} {items[0].uuid}, {items[0].size:,} bytes)"
        self._resolver.refuse(items, outcome.reason, detail)
