"""Batching: one daemon thread between the app's threads and PostHog. The app never waits for it."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from otel_posthog.live import Released, is_held_here


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
        self._begun = self._finished = 0  # deliveries
        self._taken = self._handled = 0  # of what was ever queued: out of the queue, and delivered or lost
        self._wanted = (0, 0)  # up to which delivery and which of the queued things somebody waits
        self._failed = 0  # batches that did not arrive whole
        self._stopping = False
        self._thread: threading.Thread | None = None

    def put(self, released: Released, past_the_bound: bool = False) -> None:
        """Queue spans; returns at once."""
        dropped: list[Released] = []
        with self._condition:
            stopped = self._stopping
            for part in [released] if stopped or past_the_bound else self._parts(released):
                if stopped or not (past_the_bound or self._make_room(part, dropped)):
                    dropped.append(part)
                else:
                    self._queue.append(part)
                    self._count(part, 1)
            if not stopped:
                self._start()
                if self.queued >= self._batch_size:
                    self._condition.notify_all()
        if stopped:
            self._lost(dropped, "shutdown", "they ended after shutdown")
        elif dropped:
            self._lost(dropped, "queue_full", "the queue is full: PostHog takes them more slowly than they come")

    def _parts(self, released: Released) -> list[Released]:
        """A trace that the queue could never hold, in parts of which it holds some."""
        spans, size = len(released.spans), released.size
        if spans <= self._bounds.spans and size <= self._bounds.bytes:
            return [released]
        most = min(self._bounds.spans, self._bounds.bytes * spans // max(1, size))
        step = max(1, most // 10)
        return [
            Released(part, released.trace, size * len(part) // spans)
            for part in (released.spans[start : start + step] for start in range(0, spans, step))
        ]

    def _make_room(self, released: Released, dropped: list[Released]) -> bool:
        bounds = self._bounds
        while self.queued + len(released.spans) > bounds.spans or self._bytes + released.size > bounds.bytes:
            if not (bounds.drops_oldest and self._queue):
                return False
            dropped.append(self._pop())
        return True

    def _pop(self) -> Released:
        released = self._queue.popleft()
        self._taken += 1
        self._count(released, -1)
        return released

    def _count(self, released: Released, sign: int) -> None:
        self.queued += sign * len(released.spans)
        self._bytes += sign * released.size

    def nothing_in_hand(self) -> None:
        """The spans of the batch that is being delivered have become events, which others count."""
        self.in_hand = 0

    @property
    def is_held_here(self) -> bool:
        """Whether this very thread has the lock: a signal handler may have interrupted it."""
        return is_held_here(self._condition)

    def wake(self) -> None:
        """Make sure that the thread runs: something waits that it must poll for."""
        if self._thread is None:
            with self._condition:
                self._start()

    def flush(self, timeout: float, here: bool = False) -> bool:
        """Deliver all that is queued; ``True`` if that ended within ``timeout`` seconds and all of it arrived.

        What is queued meanwhile is not waited for. ``here`` delivers in the calling thread.
        """
        if here:
            return self._deliver_all()
        with self._condition:
            failed = self._failed
            self._start()
            if self._thread is None or not self._thread.is_alive():
                return not self._queue  # the interpreter shuts down and `stop` delivers, or it has done so
            begun, taken = self._begun + 1, self._taken + len(self._queue)
            self._wanted = (begun, taken)
            self._condition.notify_all()
            ended = self._condition.wait_for(lambda: self._finished >= begun and self._handled >= taken, timeout)
            return ended and self._failed == failed

    def stop(self, timeout: float, here: bool = False) -> bool:
        """Deliver what is queued and end the thread; ``True`` if it all arrived in time. May be called twice.

        What is still queued after ``timeout`` seconds is lost. ``here`` delivers in the calling thread.
        """
        deadline = time.monotonic() + timeout
        with self._condition:
            failed = self._failed
            self._stopping = True
            self._condition.notify_all()
            thread = self._thread
        if thread is None or here:
            arrived = self._deliver_all()
        elif thread is threading.current_thread():
            arrived = False
        else:
            thread.join(max(0.0, deadline - time.monotonic()))
            arrived = not thread.is_alive()
        with self._condition:
            left = list(self._queue)
            self._queue.clear()
            self.queued = self._bytes = 0
        if left:
            self._lost(left, "shutdown", "there was no time left at shutdown")
        return arrived and not left and self._failed == failed

    def _start(self) -> None:
        if (self._thread is None or not self._thread.is_alive()) and not self._stopping:
            thread = threading.Thread(target=self._run, name="otel-posthog", daemon=True)
            # Python starts no threads while the interpreter shuts down; then `stop` delivers what is queued.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            is_last = self._wait()
            batch = self._take()
            if batch or not is_last:
                self._deliver_one(batch)
            else:
                with self._condition:
                    self._finished, self._handled = sys.maxsize, self._taken  # nobody need wait any more
                    self._condition.notify_all()
                return

    def _wait(self) -> bool:
        """Wait until a batch is due; ``True`` if there will be no other once nothing is left."""
        due = time.monotonic() + self._delay
        with self._condition:
            while not (self._stopping or self._is_wanted() or self.queued >= self._batch_size):
                remaining = due - time.monotonic()
                if remaining <= 0:
                    break
                self._condition.wait(remaining)
            self._begun += 1
            return self._stopping

    def _is_wanted(self) -> bool:
        begun, taken = self._wanted
        return self._finished < begun or self._handled < taken

    def _take(self) -> list[Released]:
        batch = list(self._poll())
        count = sum(len(released.spans) for released in batch)
        with self._condition:
            while self._queue and count < self._batch_size:
                released = self._pop()
                count += len(released.spans)
                batch.append(released)
            self.in_hand = count
        return batch

    def _deliver_one(self, batch: list[Released]) -> bool:
        try:
            arrived = self._deliver(batch)
        except Exception as error:  # a bug of ours must not end the thread
            self._lost(batch, "internal_error", f"an error of otel-posthog itself: {type(error).__name__}")
            arrived = False
        with self._condition:
            self.in_hand = 0
            self._failed += not arrived
            self._finished, self._handled = self._begun, self._taken
            self._condition.notify_all()
        return arrived

    def _deliver_all(self) -> bool:
        """Everything, in this thread; the other one may be waiting for a lock that this one has."""
        arrived = True
        while batch := self._take():
            arrived = self._deliver_one(batch) and arrived
        return arrived
