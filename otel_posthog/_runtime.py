"""Everything that one process needs to export: pipeline, collector, delivery and counters.

A forked child must not use its parent's threads, locks, connections and files. It drops them and builds its own on
first use; this is the only place that knows process ids.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from otel_posthog._collector import Collector
from otel_posthog._pipeline import Pipeline
from otel_posthog.conventions import Reader
from otel_posthog.delivery import Delivery, Ledger, Stats
from otel_posthog.events.size import shrink
from otel_posthog.settings import Settings

OnRequest = Callable[[str, float], object]


class Runtime:
    """Everything of one process. ``on_request`` gets the answer and the seconds of each request."""

    def __init__(
        self,
        settings: Settings,
        readers: Sequence[Reader],
        *,
        delay: float,
        batch_size: int,
        on_request: OnRequest | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.on_drop, on_request)
        self.delivery = Delivery(settings, self.ledger, shrink)
        self.pipeline = Pipeline(settings, self.delivery.encode, readers)
        self.collector = Collector(
            settings, self.pipeline, self.delivery, self.ledger, delay=delay, batch_size=batch_size
        )
        self.is_shut_down = False

    def flush(self, timeout: float) -> bool:
        """Deliver everything that has ended; ``True`` if all of it arrived within ``timeout`` seconds."""
        if self.is_shut_down:
            return not self.delivery.pending
        deadline = time.monotonic() + timeout
        reply = self.collector.flush(timeout)
        return reply.wait(0) and self.delivery.flush(max(0.0, deadline - time.monotonic())) and reply.complete

    def shutdown(self, timeout: float) -> bool:
        """As :meth:`flush`, then stop. May be called twice."""
        if self.is_shut_down:
            return not self.delivery.pending
        self.is_shut_down = True
        deadline = time.monotonic() + timeout
        reply = self.collector.stop(timeout)
        handled = reply.wait(0)
        return self.delivery.shutdown(max(0.0, deadline - time.monotonic())) and handled and reply.complete

    def flush_before_exit(self, timeout: float) -> None:
        """As :meth:`flush`, in a signal handler: it may have interrupted a shutdown, which goes on in other threads."""
        deadline = time.monotonic() + timeout
        if not self.is_shut_down:
            self.flush(timeout)
        # In this order: a span moves from the collector to the delivery meanwhile, never back.
        while (self.collector.queued or self.delivery.pending) and time.monotonic() < deadline:
            time.sleep(0.02)

    def stats(self) -> Stats:
        """The counters, and the spans that are not events yet."""
        queued = self.collector.queued  # read first: a span that moves on meanwhile is counted twice, not lost
        return replace(self.delivery.stats(), queued=queued)


class PerProcess:
    """The runtime of the current process."""

    def __init__(self, build: Callable[[], Runtime]) -> None:
        self._build = build
        # By process id. The parent's is kept, so that a child never closes or finalises what the parent still uses.
        self._runtimes: dict[int, Runtime] = {}
        self._built_here()

    @property
    def current(self) -> Runtime:
        """The runtime of this process, built if it was forked meanwhile."""
        return self._runtimes.get(os.getpid()) or self._built_here()

    @property
    def existing(self) -> Runtime | None:
        """The runtime of this process, if it has one."""
        return self._runtimes.get(os.getpid())

    def _built_here(self) -> Runtime:
        # Two threads may arrive here at once, and no lock can be trusted after a fork: the first one's is used.
        runtime = self._runtimes.setdefault(os.getpid(), self._build())
        _stop_at_the_end_of_a_child(runtime)
        return runtime


def _stop_at_the_end_of_a_child(runtime: Runtime) -> None:
    """A child of multiprocessing leaves by ``os._exit``, without ``atexit``; it runs its own finalizers before."""
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, runtime.shutdown, args=(runtime.settings.timeout,), exitpriority=0)
