"""What must be true at the end of every run."""

from __future__ import annotations

from tests.faults.loads import Result
from tests.faults.modes import Mode


def check(mode: Mode, result: Result, outage_at_shutdown: bool = False) -> None:
    """Raises ``AssertionError`` with the result."""
    stats = result.stats
    lost = sum(stats.dropped.values())
    assert stats.accepted == stats.delivered + lost + stats.pending, result
    assert stats.accepted == result.sent, result
    assert stats.pending == 0, result
    allowed = mode.drops | ({"shutdown", "http_503", "timeout"} if outage_at_shutdown else frozenset())
    assert set(stats.dropped) <= allowed, result
    assert result.stored == stats.delivered, result
    assert mode.loses_answers or result.duplicates == 0, result
