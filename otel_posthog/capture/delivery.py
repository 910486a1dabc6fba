"""Delivery: batches, retries, isolation of what PostHog refuses, and the next endpoint where one is not served."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from uuid import uuid4

from otel_posthog.capture.batches import Encoded, batches
from otel_posthog.capture.endpoints import BODY_LIMIT, ENVELOPE, Endpoint, Route, utc_now
from otel_posthog.capture.ledger import Ledger
from otel_posthog.capture.outcome import Outcome
from otel_posthog.capture.retry import delay_before
from otel_posthog.capture.transport import Transport
from otel_posthog.settings import Settings

logger = logging.getLogger("otel_posthog")

# An encoded event, cut to so many bytes; None if that cannot be done.
Shrink = Callable[[bytes, int], "bytes | None"]
# Events that will not be delivered, and why.
Drop = Callable[[Sequence[Encoded], Outcome], None]

_SHORTEST_TRY = 1.0  # seconds
_SMALLEST = 4096  # bytes; an event that is refused as too large even so is not cut further
# Requests that one call may spend on finding the events that PostHog refuses in a batch.
_ISOLATION_REQUESTS = 64

_UNAUTHORIZED = Outcome("unauthorized", "unauthorized")  # without detail: it is told of once
_NO_TIME = Outcome("retry", "timeout", "there was no time left to send them")


class Delivery:
    """Sends events until PostHog has answered for each, or the time is up. Thread-safe."""

    def __init__(self, settings: Settings, transport: Transport, ledger: Ledger, shrink: Shrink | None) -> None:
        self._transport, self._ledger, self._shrink = transport, ledger, shrink
        self._route = Route(settings.endpoint)
        self._max_events = settings.max_batch_events
        self._max_bytes = min(settings.max_batch_bytes, BODY_LIMIT) - ENVELOPE
        self._patience = max(_SHORTEST_TRY, settings.timeout / 2)
        self._max_tries = None if settings.max_retries is None else settings.max_retries + 1
        self._wake = threading.Event()
        self._last = float("inf")  # no try begins after this moment
        self._not_before = 0.0  # PostHog has asked to be left alone until then
        self.unauthorized = False

    def deliver(
        self, events: Iterable[Encoded], deadline: float, drop: Drop, max_tries: int | None = None
    ) -> list[tuple[Encoded, Outcome]]:
        """What could not be delivered, for a reason that may pass, and that reason.

        Everything else is counted as delivered or told to ``drop``. ``deadline`` is a moment of
        :func:`time.monotonic`.
        """
        endpoint = self._route.current()
        work = self._planned(events, endpoint, drop)
        left: list[tuple[Encoded, Outcome]] = []
        isolation = _ISOLATION_REQUESTS
        while work:
            batch = work.pop()
            if self.unauthorized:
                left += ((event, _UNAUTHORIZED) for event in batch)
                continue
            outcome, rest = self._try(batch, endpoint, deadline, drop, max_tries or self._max_tries)
            if not rest:
                continue
            if outcome.kind == "retry":
                left += ((event, outcome) for event in rest)
            elif outcome.kind == "unauthorized":
                if not self.unauthorized:
                    logger.error("%s.", outcome.detail)
                self.unauthorized = True
                left += ((event, _UNAUTHORIZED) for event in rest)
            elif outcome.kind == "not_served" and (other := self._route.next_after(endpoint)) is not None:
                remaining = [*rest, *(event for waiting in reversed(work) for event in waiting)]
                endpoint = other
                work = self._planned(remaining, endpoint, drop)
            elif outcome.kind in ("too_large", "invalid") and isolation > 0 and (parts := self._parts(rest, outcome)):
                # One event can refuse its whole batch: halve until the offender is alone.
                isolation -= 1
                work += parts
            else:
                drop(rest, outcome)
        return left

    def finish_by(self, deadline: float) -> None:
        """Begin no try after this moment of :func:`time.monotonic`, and end waits for one that would."""
        self._last = min(self._last, deadline)
        self._wake.set()

    def after_fork(self) -> None:
        """In a child: no lock that was held when it was forked."""
        self._wake = threading.Event()
        self._route.after_fork()
        self._transport.after_fork()

    def _planned(self, events: Iterable[Encoded], endpoint: Endpoint, drop: Drop) -> list[list[Encoded]]:
        """Batches within the endpoint's limits, last one first."""
        limit = endpoint.max_event_bytes
        fitting = (fit for event in events if (fit := self._fitted(event, limit, drop)) is not None)
        planned = list(batches(fitting, endpoint.max_events or self._max_events, self._max_bytes))
        planned.reverse()
        return planned

    def _fitted(self, event: Encoded, limit: int, drop: Drop) -> Encoded | None:
        if len(event.body) <= limit:
            return event
        shrunk = self._shrink(event.body, limit) if self._shrink is not None else None
        if shrunk is not None:
            return Encoded(event.name, event.uuid, shrunk)
        detail = f"{event.name} {event.uuid} has {len(event.body):,} bytes, and PostHog takes {limit:,}"
        drop([event], Outcome("too_large", "event_too_large", detail))
        return None

    def _parts(self, batch: Sequence[Encoded], outcome: Outcome) -> list[list[Encoded]]:
        """A refused batch as smaller ones, last one first; nothing if it cannot be made smaller."""
        if len(batch) > 1:
            middle = len(batch) // 2
            return [list(batch[middle:]), list(batch[:middle])]
        (event,) = batch
        if outcome.kind == "too_large" and self._shrink is not None and len(event.body) > _SMALLEST:
            shrunk = self._shrink(event.body, max(_SMALLEST, len(event.body) // 2))
            if shrunk is not None:
                return [[Encoded(event.name, event.uuid, shrunk)]]
        return []

    def _try(
        self, batch: Sequence[Encoded], endpoint: Endpoint, deadline: float, drop: Drop, max_tries: int | None
    ) -> tuple[Outcome, Sequence[Encoded]]:
        """Send a batch, with retries while there is time: the last outcome, and the events that it is about."""
        attempt, request_id, created_at = 1, str(uuid4()), utc_now()
        outcome = _NO_TIME
        if not self._wait_until(self._not_before, deadline):
            return outcome, batch
        while True:
            remaining = min(deadline, self._last) - time.monotonic()
            if remaining <= 0:
                return outcome, batch
            # Half of the time for one try, so that an answer that does not come can be asked for again.
            patience = min(remaining, self._patience)
            outcome = self._transport.post(endpoint, batch, created_at, attempt, request_id, patience)
            if outcome.kind == "delivered":
                self._ledger.delivered(len(batch))
                return outcome, ()
            if outcome.kind == "answered":
                outcome, batch = self._settle(batch, outcome, drop)
                if not batch:
                    return outcome, ()
            if outcome.kind != "retry":
                return outcome, batch
            resume = time.monotonic() + delay_before(attempt, outcome.retry_after)
            if outcome.retry_after is not None:
                self._not_before = resume
            if attempt == max_tries or not self._wait_until(resume, deadline):
                return outcome, batch
            attempt += 1

    def _settle(self, batch: Sequence[Encoded], answer: Outcome, drop: Drop) -> tuple[Outcome, list[Encoded]]:
        """Count what version 1 says of each event; what it wants again is left."""
        again: list[Encoded] = []
        for event in batch:
            outcome = answer.results.get(event.uuid.lower())
            if outcome is None:
                drop([event], Outcome("refused", "not_answered", "PostHog's answer did not mention them"))
            elif outcome.kind == "delivered":
                self._ledger.delivered(1)
            elif outcome.kind == "retry":
                again.append(event)
            else:
                drop([event], outcome)
        reason = "PostHog asked for them again and again"
        return Outcome("retry", "retry", reason, answer.retry_after), again

    def _wait_until(self, moment: float, deadline: float) -> bool:
        """Sleep; ``False`` at once if the moment is past the end."""
        while True:
            if moment >= min(deadline, self._last):
                return False
            delay = moment - time.monotonic()
            if delay <= 0:
                return True
            if self._wake.wait(delay):
                self._wake.clear()
