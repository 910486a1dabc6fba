"""Log records with content, until the span they belong to is exported."""

from __future__ import annotations

from collections import OrderedDict

from otel_posthog._sizes import size_of_value
from otel_posthog._spans import EventView

_MOST_LOG_RECORDS = 1_024  # of one span


class LogStore:
    """Log records by span until the span is exported; bounded in bytes: the oldest span's records go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._by_span: OrderedDict[tuple[int, int], list[EventView]] = OrderedDict()
        self._sizes: dict[tuple[int, int], int] = {}
        self.size = 0

    def add(self, trace_id: int, span_id: int, record: EventView) -> int:
        """Keep a record; how many were evicted for it."""
        key = (trace_id, span_id)
        records = self._by_span.setdefault(key, [])
        if len(records) >= _MOST_LOG_RECORDS:
            return 1
        records.append(record)
        added = 200 + size_of_value(record.body) + size_of_value(record.attributes)
        self._sizes[key] = self._sizes.get(key, 0) + added
        self.size += added
        evicted = 0
        while self.size > self._max_bytes and len(self._by_span) > 1:
            oldest, records = self._by_span.popitem(last=False)
            self.size -= self._sizes.pop(oldest)
            evicted += len(records)
        return evicted

    def take(self, trace_id: int, span_id: int) -> list[EventView]:
        """The records of a span, in the order in which they were emitted; they are forgotten here."""
        if not self._by_span:
            return []
        self.size -= self._sizes.pop((trace_id, span_id), 0)
        return self._by_span.pop((trace_id, span_id), [])
