"""A trace as PostHog draws it: which event is under which, and what the trace adds up to.

Rules: PostHog's trace view, read from its sources in 2026. A node's id is `$ai_generation_id`, else
`$ai_span_id`, else the uuid; its parent is `$ai_parent_id`, else the trace. A parent nobody has
makes a root. `$ai_trace` events are no nodes: they name the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_posthog.local.store import StoredEvent

_PRICED = ("$ai_generation", "$ai_embedding")


@dataclass(slots=True, eq=False)  # two nodes are the same only if they are one
class Node:
    """An event in the tree; ``children`` in the order of their timestamps."""

    id: str
    event: StoredEvent
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a trace adds up to. ``latency`` in seconds, ``cost`` in USD; ``None``: nobody says."""

    input_tokens: float
    output_tokens: float
    cost: float | None
    latency: float | None
    errors: int


def trace_name(events: Sequence[StoredEvent]) -> str | None:
    """The name that the trace's `$ai_trace` event gives it."""
    for event in events:
        if event["event"] == "$ai_trace":
            name = event["properties"].get("$ai_trace_name") or event["properties"].get("$ai_span_name")
            if name:
                return str(name)
    return None


def tree(events: Sequence[StoredEvent]) -> list[Node]:
    """The roots of one trace, each with its children. Every node appears exactly once."""
    ordered = sorted(events, key=lambda event: event["timestamp"])
    nodes = [Node(_id(event), event) for event in ordered if event["event"] != "$ai_trace"]
    by_id = {node.id: node for node in nodes}
    roots: list[Node] = []
    for node in nodes:
        parent_id = _parent(node.event)
        on_trace = parent_id == str(node.event["properties"].get("$ai_trace_id"))
        parent = None if on_trace else by_id.get(parent_id)
        if parent is None or parent is node:
            roots.append(node)
        else:
            parent.children.append(node)
    return roots + _cut_circles(nodes, roots)


def totals(events: Sequence[StoredEvent]) -> Totals:
    """The sums that PostHog shows for a trace: tokens and cost of priced events only."""
    priced = [event["properties"] for event in events if event["event"] in _PRICED]
    costs = [cost for properties in priced if (cost := cost_of(properties)) is not None]
    return Totals(
        input_tokens=sum(number(p, "$ai_input_tokens") or 0 for p in priced),
        output_tokens=sum(number(p, "$ai_output_tokens") or 0 for p in priced),
        cost=sum(costs) if costs else None,
        latency=_latency(events),
        errors=sum(is_error(event["properties"]) for event in events),
    )


def cost_of(properties: dict[str, Any]) -> float | None:
    """The cost in USD that the event states; the local PostHog prices nothing itself."""
    total = number(properties, "$ai_total_cost_usd")
    if total is not None:
        return total
    parts = [number(properties, f"$ai_{part}_cost_usd") for part in ("input", "output")]
    stated = [part for part in parts if part is not None]
    return sum(stated) if stated else None


def is_error(properties: dict[str, Any]) -> bool:
    return properties.get("$ai_is_error") in (True, "true")


def number(properties: dict[str, Any], name: str) -> float | None:
    value = properties.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _latency(events: Sequence[StoredEvent]) -> float | None:
    """Generations only: their sum. Otherwise the sum of what hangs directly on the trace."""
    timed = [event for event in events if number(event["properties"], "$ai_latency") is not None]
    if any(event["event"] != "$ai_generation" for event in timed):
        timed = [event for event in timed if _on_trace(event["properties"])]
    return sum(number(e["properties"], "$ai_latency") or 0 for e in timed) if timed else None


def _on_trace(properties: dict[str, Any]) -> bool:
    parent = properties.get("$ai_parent_id")
    return parent is None or str(parent) == str(properties.get("$ai_trace_id"))


def _id(event: StoredEvent) -> str:
    properties = event["properties"]
    value = properties.get("$ai_generation_id") or properties.get("$ai_span_id") or event["uuid"]
    return str(value)


def _parent(event: StoredEvent) -> str:
    properties = event["properties"]
    # An evaluation has no parent of its own; it is shown under what it judged.
    names = ("$ai_parent_id", "$ai_target_span_id", "$ai_trace_id")
    return str(next((properties[name] for name in names if properties.get(name)), ""))


def _cut_circles(nodes: Sequence[Node], roots: Sequence[Node]) -> list[Node]:
    """Roots for nodes that only lead to each other, so that bad parents hide nothing."""
    seen: set[int] = set()
    _walk(roots, lambda node: seen.add(id(node)))
    extra: list[Node] = []
    for node in nodes:
        if id(node) in seen:
            continue
        for other in nodes:
            if node in other.children and id(other) not in seen:
                other.children.remove(node)
        extra.append(node)
        _walk([node], lambda found: seen.add(id(found)))
    return extra


def _walk(roots: Sequence[Node], visit: Callable[[Node], None]) -> None:
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        visit(node)
        waiting.extend(node.children)
