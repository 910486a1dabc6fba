"""Batching: one daemon thread between the app's threads and PostHog. The app never waits for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from otel_posthog.live import Released


class Batcher:
    """Hands released spans to ``deliver`` in batches, on a thread of its own.

    A batch goes out every ``delay`` seconds, or once ``batch_size`` spans wait; ``poll`` is asked before it for what
    else is due. At ``queue_size`` spans the newest are refused, and ``lost`` is told how many.
    """

    def __init__(
        self,
        deliver: Callable[[list[Released]], None],
        poll: Callable[[], Iterable[Released]],
        lost: Callable[[int, str, str], None],
        *,
        delay: float,
        queue_size: int,
        batch_size: int,
    ) -> None:
        self._deliver, self._poll, self._lost = deliver, poll, lost
        self._delay, self._queue_size, self._batch_size = delay, queue_size, batch_size
        self._reset()

    def _reset(self) -> None:
        self._condition = threading.Condition()
        self._queue: deque[Released] = deque()
        self._queued = 0  # spans
        self._in_flight = False
        self._wanted = False  # somebody waits for the queue to be empty
        self._stopping = False
        self._thread: threading.Thread | None = None

    def put(self, released: Released, past_the_bound: bool = False) -> None:
        """Queue spans; returns at once."""
        count = len(released.spans)
        with self._condition:
            stopped = self._stopping
            full = self._queued + count > self._queue_size and not past_the_bound
            if not (stopped or full):
                self._queue.append(released)
                self._queued += count
                self._start()
                if self._queued >= self._batch_size:
                    self._condition.notify_all()
        if stopped:
            self._lost(count, "shutdown", "they ended after shutdown")
        elif full:
            self._lost(count, "queue_full", "the queue is full: PostHog takes them more slowly than they come")

    def wake(self) -> None:
        """Make sure that the thread runs: something waits that it must poll for."""
        if self._thread is None:
            with self._condition:
                self._start()

    def flush(self, timeout: float) -> bool:
        """Deliver all that is queued; ``True`` if that ended within ``timeout`` seconds."""
        with self._condition:
            self._wanted = True
            self._condition.notify_all()
            return self._condition.wait_for(lambda: not self._queue and not self._in_flight, timeout)

    def stop(self, timeout: float) -> bool:
        """Deliver what is queued and end the thread; ``True`` if that was done in time. May be called twice."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread is None:
            self._run()
            return True
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def after_fork(self) -> None:
        """In a child: no thread, nothing queued, and no lock that was held when it was forked."""
        self._reset()

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
            if batch:
                self._deliver(batch)
            with self._condition:
                self._in_flight = False
                self._condition.notify_all()

    def _next_batch(self) -> list[Released] | None:
        """Wait until a batch is due; ``None`` when there is nothing left to do at all."""
        due = time.monotonic() + self._delay
        with self._condition:
            while not (self._stopping or self._wanted or self._queued >= self._batch_size):
                remaining = due - time.monotonic()
                if remaining <= 0:
                    break
                self._condition.wait(remaining)
            self._in_flight = True
        batch = list(self._poll())
        count = sum(len(released.spans) for released in batch)
        with self._condition:
            while self._queue and count < self._batch_size:
                released = self._queue.popleft()
                self._queued -= len(released.spans)
                count += len(released.spans)
                batch.append(released)
            if not self._queue:
                self._wanted = False
                if self._stopping and not batch:
                    self._in_flight = False
                    self._condition.notify_all()
                    return None
        return batch
