"""Delivery: a sender thread between whoever has events and the capture client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from otel_posthog.delivery.batches import Capturable, Encoded, encode
from otel_posthog.delivery.client import CaptureClient
from otel_posthog.delivery.ledger import Ledger, Stats
from otel_posthog.settings import Settings

Shrink = Callable[[bytes, int], "bytes | None"]


class Receipt:
    """What has become of the events of one :meth:`Delivery.put`."""

    def __init__(self, count: int) -> None:
        self._done = threading.Event()
        self._arrived = True
        self.pending, self.dropped = count, 0
        if not count:
            self._done.set()

    def wait(self, timeout: float) -> bool:
        """Whether all of it arrived, within ``timeout`` seconds."""
        return self._done.wait(timeout) and self._arrived

    def resolve(self, arrived: bool) -> None:
        """PostHog has answered, or the time was up."""
        self._arrived, self.dropped, self.pending = arrived, 0 if arrived else self.pending, 0
        self._done.set()


class Delivery:
    """Takes events at once and sends them on a thread of its own."""

    def __init__(self, settings: Settings, ledger: Ledger, shrink: Shrink | None = None) -> None:
        self._settings, self._ledger = settings, ledger
        self._client = CaptureClient(settings, ledger, shrink)
        self._version = 1 if settings.endpoint == "v1" else 0
        self._queue: SimpleQueue[tuple[Sequence[Encoded], Receipt]] = SimpleQueue()
        self._idle = threading.Condition()
        self._under_way = self._failed = 0
        self._thread: threading.Thread | None = None

    def encode(self, event: Capturable) -> Encoded:
        """The event as bytes, for the endpoint in use."""
        return encode(event, self._version)

    def put(self, events: Sequence[Encoded]) -> Receipt:
        """Take events; returns at once."""
        receipt = Receipt(len(events))
        with self._idle:
            self._under_way += 1
        self._queue.put((events, receipt))
        if self._thread is None or not self._thread.is_alive():
            try:
                thread = threading.Thread(target=self._run, name="otel-posthog-sender", daemon=True)
                thread.start()
                self._thread = thread
            except RuntimeError:  # at interpreter shutdown
                self._send_next()
        return receipt

    def flush(self, timeout: float) -> bool:
        """Whether all that was put arrived, within ``timeout`` seconds."""
        failed = self._failed
        self.put(())
        with self._idle:
            return self._idle.wait_for(lambda: not self._under_way, timeout) and self._failed == failed

    def shutdown(self, timeout: float) -> bool:
        """As :meth:`flush`, then close. May be called twice."""
        self._client.finish_by(time.monotonic() + timeout)
        arrived = self.flush(timeout)
        self._client.close()
        return arrived and not self.pending

    @property
    def pending(self) -> int:
        """Events that are neither delivered nor dropped."""
        return self._ledger.stats().pending

    def stats(self) -> Stats:
        """The counters."""
        return self._client.stats()

    def _run(self) -> None:
        while True:
            self._send_next()

    def _send_next(self) -> None:
        events, receipt = self._queue.get()
        arrived = False
        try:
            timeout = self._settings.timeout if self._settings.spool_dir else self._settings.retry_for
            arrived = self._client.send(events, timeout)
        finally:
            receipt.resolve(arrived)
            with self._idle:
                self._under_way -= 1
                self._failed += not arrived
                self._idle.notify_all()
