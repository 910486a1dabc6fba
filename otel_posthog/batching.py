"""Batching: one daemon thread between the app's threads and PostHog. The app never waits for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from otel_posthog.live import Released


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a queue: ``spans`` and ``bytes`` at the most; then the oldest go, or the newest are refused."""

    spans: int
    bytes: int
    drops_oldest: bool


class Batcher:
    """Hands released spans to ``deliver`` in batches, on a thread of its own.

    A batch goes out every ``delay`` seconds, or once ``batch_size`` spans wait; ``poll`` is asked before it for what
    else is due. ``deliver`` says whether all of a batch arrived; it is called without spans too, for what it keeps
    itself. ``lost`` is told what the bounds cost.
    """

    def __init__(
        self,
        deliver: Callable[[list[Released]], bool],
        poll: Callable[[], Iterable[Released]],
        lost: Callable[[list[Released], str, str], None],
        *,
        bounds: Bounds,
        delay: float,
        batch_size: int,
    ) -> None:
        self._deliver, self._poll, self._lost = deliver, poll, lost
        self._bounds, self._delay, self._batch_size = bounds, delay, batch_size
        self.after_fork()

    def after_fork(self) -> None:
        """In a child: no thread, nothing queued, and no lock that was held when it was forked."""
        self._condition = threading.Condition()
        self._queue: deque[Released] = deque()
        self.queued = self._bytes = 0  # spans, and about how many bytes they have
        self.in_hand = 0  # spans that have left the queue and are not events yet; whoever maps them says when
        self._in_flight = False
        self._wanted = False  # somebody waits for the queue to be empty
        self._failed = 0  # batches that did not arrive whole
        self._stopping = False
        self._thread: threading.Thread | None = None

    def put(self, released: Released, past_the_bound: bool = False) -> None:
        """Queue spans; returns at once."""
        dropped: list[Released] = []
        with self._condition:
            stopped = self._stopping
            if stopped or not (past_the_bound or self._make_room(released, dropped)):
                dropped.append(released)
            else:
                self._queue.append(released)
                self._count(released, 1)
                self._start()
                if self.queued >= self._batch_size:
                    self._condition.notify_all()
        if stopped:
            self._lost(dropped, "shutdown", "they ended after shutdown")
        elif dropped:
            self._lost(dropped, "queue_full", "the queue is full: PostHog takes them more slowly than they come")

    def _make_room(self, released: Released, dropped: list[Released]) -> bool:
        bounds = self._bounds
        while self.queued + len(released.spans) > bounds.spans or self._bytes + released.size > bounds.bytes:
            if not (bounds.drops_oldest and self._queue):
                return False
            dropped.append(self._queue.popleft())
            self._count(dropped[-1], -1)
        return True

    def _count(self, released: Released, sign: int) -> None:
        self.queued += sign * len(released.spans)
        self._bytes += sign * released.size

    def nothing_in_hand(self) -> None:
        """The spans of the batch that is being delivered have become events, which others count."""
        self.in_hand = 0

    def wake(self) -> None:
        """Make sure that the thread runs: something waits that it must poll for."""
        if self._thread is None:
            with self._condition:
                self._start()

    def flush(self, timeout: float) -> bool:
        """Deliver all that is queued; ``True`` if that ended within ``timeout`` seconds and all of it arrived."""
        with self._condition:
            failed = self._failed
            self._wanted = True
            self._start()
            if self._thread is None or not self._thread.is_alive():
                return not self._queue  # the interpreter shuts down and `stop` delivers, or it has done so
            self._condition.notify_all()
            ended = self._condition.wait_for(lambda: not (self._wanted or self._queue or self._in_flight), timeout)
            return ended and self._failed == failed

    def stop(self, timeout: float) -> bool:
        """Deliver what is queued and end the thread; ``True`` if it all arrived in time. May be called twice.

        What is still queued after ``timeout`` seconds is lost.
        """
        deadline = time.monotonic() + timeout
        with self._condition:
            failed = self._failed
            self._stopping = True
            self._condition.notify_all()
            thread = self._thread
        if thread is None:
            self._run()
        elif thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._condition:
            left = list(self._queue)
            self._queue.clear()
            self.queued = self._bytes = 0
        if left:
            self._lost(left, "shutdown", "there was no time left at shutdown")
        return not left and not (thread and thread.is_alive()) and self._failed == failed

    def _start(self) -> None:
        if self._thread is None and not self._stopping:
            thread = threading.Thread(target=self._run, name="otel-posthog", daemon=True)
            # Python starts no threads while the interpreter shuts down; then `stop` delivers what is queued.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            arrived = self._deliver(batch)
            with self._condition:
                self.in_hand = 0
                self._failed += not arrived
                self._in_flight = False
                if not self._queue:
                    self._wanted = False
                self._condition.notify_all()

    def _next_batch(self) -> list[Released] | None:
        """Wait until a batch is due; ``None`` when there is nothing left to do at all."""
        due = time.monotonic() + self._delay
        with self._condition:
            while not (self._stopping or self._wanted or self.queued >= self._batch_size):
                remaining = due - time.monotonic()
                if remaining <= 0:
                    break
                self._condition.wait(remaining)
            self._in_flight = True
            stopping = self._stopping
        batch = list(self._poll())
        count = sum(len(released.spans) for released in batch)
        with self._condition:
            while self._queue and count < self._batch_size:
                released = self._queue.popleft()
                self._count(released, -1)
                count += len(released.spans)
                batch.append(released)
            self.in_hand = count
            if stopping and not batch:
                self._in_flight = False
                self._wanted = False
                self._condition.notify_all()
                return None
        return batch
