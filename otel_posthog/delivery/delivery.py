"""Delivery: batches, retries, isolation of what PostHog refuses, and the next endpoint where one is not served."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from otel_posthog.delivery.batches import Encoded, batches
from otel_posthog.delivery.endpoints import BODY_LIMIT, ENVELOPE, Endpoint, Route, utc_now
from otel_posthog.delivery.outcome import Outcome
from otel_posthog.delivery.retry import delay_before
from otel_posthog.delivery.transport import Transport
from otel_posthog.settings import Settings

logger = logging.getLogger("otel_posthog")

# An encoded event, cut to so many bytes; None if that cannot be done.
Shrink = Callable[[bytes, int], "bytes | None"]


class Account(Protocol):
    """What has become of events, for one call."""

    def delivered(self, events: Sequence[Encoded]) -> None:
        """PostHog has taken them."""

    def drop(self, events: Sequence[Encoded], outcome: Outcome) -> None:
        """They will not be delivered, and why."""


_SHORTEST_TRY = 1.0  # seconds
_SMALLEST = 4096  # bytes; an event that is refused as too large even so is not cut further
# Requests that may be spent on finding the events that PostHog refuses in one batch.
_ISOLATION_REQUESTS = 256
# Bytes; however often a host answers 413, batches are not planned smaller.
_SMALLEST_BATCH = 64 * 1024

_UNAUTHORIZED = Outcome("unauthorized", "unauthorized")  # without detail: it is told of once
_NO_TIME = Outcome("retry", "timeout", "there was no time left to send them")


@dataclass(slots=True)
class _Search:
    """Shared by a batch and the parts that it is halved into."""

    requests_left: int = _ISOLATION_REQUESTS


# A batch to send, and the search that it is part of.
_Work = list[tuple[list[Encoded], _Search]]


class Delivery:
    """Sends events until PostHog has answered for each, or the time is up. Thread-safe."""

    def __init__(self, settings: Settings, transport: Transport, shrink: Shrink | None) -> None:
        self._transport, self._shrink = transport, shrink
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
        self, events: Iterable[Encoded], deadline: float, account: Account, on_disk: bool = False
    ) -> list[tuple[Encoded, Outcome]]:
        """What could not be delivered, for a reason that may pass, and that reason.

        Everything else is told to the ``account``. ``deadline`` is a moment of
        :func:`time.monotonic`. What is ``on_disk`` can be left there: it is tried once, and when PostHog wants it.
        """
        endpoint = self._route.current()
        work = self._planned(events, endpoint, account)
        left: list[tuple[Encoded, Outcome]] = []
        while work:
            batch, search = work.pop()
            if self.unauthorized:
                left += ((event, _UNAUTHORIZED) for event in batch)
                continue
            outcome, rest = self._try(batch, endpoint, deadline, account, on_disk)
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
                endpoint = other
                work = self._planned(_all(rest, work), endpoint, account)
            elif outcome.kind == "too_large" and self._is_larger_than_batches_may_be_now(rest):
                work = self._planned(_all(rest, work), endpoint, account)
            elif outcome.kind in ("too_large", "invalid") and (parts := self._parts(rest, outcome, search)):
                # One event can refuse its whole batch: halve until the offender is alone.
                work += parts
            else:
                account.drop(rest, outcome)
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

    def _planned(self, events: Iterable[Encoded], endpoint: Endpoint, account: Account) -> _Work:
        """Batches within the endpoint's limits, last one first."""
        limit = endpoint.max_event_bytes
        fitting = (fit for event in events if (fit := self._fitted(event, limit, account)) is not None)
        planned = batches(fitting, endpoint.max_events or self._max_events, self._max_bytes)
        return [(batch, _Search()) for batch in planned][::-1]

    def _is_larger_than_batches_may_be_now(self, refused: Sequence[Encoded]) -> bool:
        """Learn from a 413: a proxy on the way may take less than PostHog, and then every batch is too large."""
        if len(refused) == 1:
            return False
        size = sum(len(event.body) + 1 for event in refused)
        self._max_bytes = min(self._max_bytes, max(_SMALLEST_BATCH, size // 2))
        return size > self._max_bytes

    def _fitted(self, event: Encoded, limit: int, account: Account) -> Encoded | None:
        if len(event.body) <= limit:
            return event
        shrunk = self._shrink(event.body, limit) if self._shrink is not None else None
        if shrunk is not None:
            return Encoded(event.name, event.uuid, shrunk)
        detail = f"{event.name} {event.uuid} has {len(event.body):,} bytes, and PostHog takes {limit:,}"
        account.drop([event], Outcome("too_large", "event_too_large", detail))
        return None

    def _parts(self, batch: Sequence[Encoded], outcome: Outcome, search: _Search) -> _Work:
        """A refused batch as smaller ones, last one first; nothing if it cannot be made smaller."""
        parts: list[list[Encoded]] = []
        if len(batch) > 1:
            middle = len(batch) // 2
            parts = [list(batch[middle:]), list(batch[:middle])]
        elif outcome.kind == "too_large" and self._shrink is not None and len(batch[0].body) > _SMALLEST:
            (event,) = batch
            shrunk = self._shrink(event.body, max(_SMALLEST, len(event.body) // 2))
            parts = [] if shrunk is None else [[Encoded(event.name, event.uuid, shrunk)]]
        if len(parts) > search.requests_left:
            return []
        search.requests_left -= len(parts)
        return [(part, search) for part in parts]

    def _try(
        self, batch: Sequence[Encoded], endpoint: Endpoint, deadline: float, account: Account, on_disk: bool
    ) -> tuple[Outcome, Sequence[Encoded]]:
        """Send a batch, with retries while there is time: the last outcome, and the events that it is about."""
        attempt, request_id, created_at = 1, str(uuid4()), utc_now()
        outcome, max_tries = _NO_TIME, 1 if on_disk else self._max_tries
        if on_disk and not self._wait_until(self._not_before, deadline):
            return outcome, batch
        self._wait_for_leave(deadline)
        while True:
            remaining = min(deadline, self._last) - time.monotonic()
            if remaining <= 0:
                return outcome, batch
            # Half of the time for one try, so that an answer that does not come can be asked for again.
            patience = min(remaining, self._patience)
            outcome = self._transport.post(endpoint, batch, created_at, attempt, request_id, patience)
            if outcome.kind == "delivered":
                account.delivered(batch)
                return outcome, ()
            if outcome.kind == "answered":
                outcome, batch = self._settle(batch, outcome, account)
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

    def _settle(self, batch: Sequence[Encoded], answer: Outcome, account: Account) -> tuple[Outcome, list[Encoded]]:
        """Count what version 1 says of each event; what it wants again is left."""
        again: list[Encoded] = []
        for event in batch:
            outcome = answer.results.get(event.uuid.lower())
            if outcome is None:
                account.drop([event], Outcome("refused", "not_answered", "PostHog's answer did not mention them"))
            elif outcome.kind == "delivered":
                account.delivered([event])
            elif outcome.kind == "retry":
                again.append(event)
            else:
                account.drop([event], outcome)
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

    def _wait_for_leave(self, deadline: float) -> None:
        """Wait as long as PostHog has asked to be left alone. What nobody keeps is lost if it is not tried, so it is
        tried once a second before the end at the latest."""
        while True:
            moment = min(self._not_before, min(deadline, self._last) - _SHORTEST_TRY)
            delay = moment - time.monotonic()
            if delay <= 0:
                return
            if self._wake.wait(delay):
                self._wake.clear()


def _all(first: Iterable[Encoded], work: _Work) -> list[Encoded]:
    """Events and, after them, those that still wait, in order."""
    return [*first, *(event for batch, _ in reversed(work) for event in batch)]
