"""Schedule: which batch is sent next, and when. Has no lock and no threads; the sender calls it under its own lock."""

from __future__ import annotations

from otel_posthog.delivery.batching import Batch, BodySize
from otel_posthog.delivery.outbox import Item, Outbox
from otel_posthog.delivery.pacing import Pacing

NEVER = float("inf")


class Schedule:
    """The outbox, the batches that wait for another attempt, and those under way.

    Moments are of the monotonic clock.
    """

    def __init__(self, outbox: Outbox, pacing: Pacing, body_size: BodySize) -> None:
        self.outbox, self.pacing, self.body_size = outbox, pacing, body_size
        self.successes = 0  # requests that the host took
        self._retrying: list[Batch] = []
        self._under_way: dict[Batch, None] = {}

    @property
    def has_work(self) -> bool:
        """Whether anything waits, now or later."""
        return bool(self.outbox.waiting or self._retrying) or self.outbox.upkeep_due < NEVER

    @property
    def is_busy(self) -> bool:
        """Whether any request is under way."""
        return bool(self._under_way)

    @property
    def waiting(self) -> int:
        """Events that wait for an attempt."""
        return self.outbox.waiting + sum(len(batch.items) for batch in self._retrying)

    @property
    def next_moment(self) -> float:
        """When the next attempt can begin; never, if nothing waits or no more may be under way."""
        if len(self._under_way) >= self.pacing.max_requests:
            return NEVER
        earliest = min((batch.not_before for batch in self._retrying), default=NEVER)
        return max(self.pacing.next_moment, 0.0 if self.outbox.waiting else earliest)

    def take(self, now: float, max_events: int, created_at: str) -> Batch | None:
        """The next batch to send, if one can begin now; it is under way from here on.

        Batches that are due again come before new events.
        """
        if self.next_moment > now:
            return None
        batch = min(self._retrying, key=lambda batch: batch.not_before, default=None)
        if batch is not None and batch.not_before <= now:
            self._retrying.remove(batch)
            if len(batch.items) > 1 and batch.size > self.body_size.bytes:  # it has become too large meanwhile
                batch, *rest = batch.of_size(max_events, self.body_size.bytes)
                self._retrying += rest
        else:
            batch = Batch(self.outbox.next_batch(max_events, self.body_size.bytes), created_at)
        self._under_way[batch] = None
        return batch

    def done(self, batch: Batch, remaining: list[Batch]) -> None:
        """An attempt is over; ``remaining`` are the batches that it leaves to be sent."""
        del self._under_way[batch]
        self._retrying += remaining

    def hurry(self, now: float, deadline: float) -> None:
        """Try everything at once, and without long waits until the deadline, but for what the host asked for."""
        self.pacing.hurry(now, deadline)
        for batch in self._retrying:
            batch.not_before = batch.asked_until if now < batch.asked_until < deadline else now

    def close(self) -> list[Item]:
        """Give up everything; the unresolved items that nothing keeps are returned."""
        taken = [item for batch in (*self._retrying, *self._under_way) for item in batch.items if not item.resolved]
        self._retrying.clear()
        return self.outbox.close(taken)
