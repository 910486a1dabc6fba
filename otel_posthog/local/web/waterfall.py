"""A trace's tree as rows, each with its bar on a common time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otel_posthog.local.facts import Facts
from otel_posthog.local.trees import Node, tree

WIDTH = 1000  # units of the time axis
_LEAST = 5  # units: a short span stays visible


@dataclass(frozen=True, slots=True)
class Row:
    """``x`` and ``width`` place the bar; ``depth`` is 0 for a root."""

    facts: Facts
    depth: int
    x: float
    width: float
    children: int
    orphan: bool


@dataclass(frozen=True, slots=True)
class Waterfall:
    rows: list[Row]
    seconds: float
    marks: list[tuple[float, float]]  # place on the axis, seconds from the beginning


def waterfall(events: Sequence[Facts]) -> Waterfall:
    """Depth first, children by their time."""
    if not events:
        return Waterfall([], 0.0, [])
    # Evaluations and feedback may come hours later; they are not part of what happened.
    timed = [event for event in events if not event.is_judgement] or events
    start = min(event.time for event in timed)
    end = max(event.time + (event.latency or 0) for event in timed)
    whole = max(end - start, 1e-6)
    rows: list[Row] = []
    waiting = [(node, 0) for node in reversed(tree(events))]
    while waiting:
        node, depth = waiting.pop()
        rows.append(_row(node, depth, start, whole))
        waiting.extend((child, depth + 1) for child in reversed(node.children))
    marks = [(WIDTH * part / 4, whole * part / 4) for part in range(1, 4)]
    return Waterfall(rows, end - start, marks)


def _row(node: Node, depth: int, start: float, whole: float) -> Row:
    facts = node.facts
    width = min(max((facts.latency or 0) / whole * WIDTH, _LEAST), WIDTH)
    x = min(max(facts.time - start, 0) / whole * WIDTH, WIDTH - width)
    orphan = depth == 0 and not facts.on_trace and not facts.is_judgement
    return Row(facts, depth, round(x, 1), round(width, 1), len(node.children), orphan)
