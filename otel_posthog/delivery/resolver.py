"""Resolver: each event ends once, delivered or dropped, in the ledger, its report, the outbox and ``rejected_dir``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from otel_posthog.delivery.outbox import Item, Outbox
from otel_posthog.delivery.rejected import RejectedEvents
from otel_posthog.delivery.stats import Ledger


class Resolver:
    """Thread-safe. Callbacks of the app run without the lock, and before anybody who waits goes on."""

    def __init__(
        self, changed: threading.Condition, outbox: Outbox, ledger: Ledger, rejected: RejectedEvents | None
    ) -> None:
        self._changed, self._outbox, self._ledger, self._rejected = changed, outbox, ledger, rejected

    def delivered(self, items: Sequence[Item]) -> None:
        """PostHog has accepted them."""
        claimed = self._claim(items)
        self._ledger.delivered(len(claimed))
        self._release(claimed, dropped=0)

    def drop(self, items: Sequence[Item], reason: str, detail: str | None) -> None:
        """They will not be delivered; ``detail`` is logged."""
        claimed = self._claim(items)
        if not claimed:
            return
        try:
            self._ledger.record_drop(reason, len(claimed), detail, [(item.name, item.uuid) for item in claimed])
        finally:
            self._release(claimed, dropped=1)

    def refuse(self, items: Sequence[Item], reason: str, detail: str | None) -> None:
        """As :meth:`drop`, and they are kept in ``rejected_dir``."""
        if self._rejected is not None:
            with self._changed:
                events = [event for item in items if not item.resolved and (event := self._outbox.read(item))]
            try:
                self._rejected.add(events, reason)
            except OSError as error:
                self._ledger.warn("rejected_dir", f"rejected events could not be kept: {type(error).__name__}")
        self.drop(items, reason, detail)

    def _claim(self, items: Iterable[Item]) -> list[Item]:
        """Those that nothing else has resolved."""
        with self._changed:
            claimed = [item for item in items if not item.resolved]
            for item in claimed:
                item.resolved = True
            return claimed

    def _release(self, items: Sequence[Item], dropped: int) -> None:
        done: list[Callable[[], object]] = []
        with self._changed:
            for item in items:
                report = item.report
                report.pending -= 1
                report.dropped += dropped
                if not report.pending:
                    done += report.on_done
            self._outbox.ack(items)
            self._changed.notify_all()
        for callback in done:
            callback()
