"""A trace as PostHog draws it: which event is under which, and what the trace adds up to.

Rules: PostHog's trace view, read from its sources in 2026. A node's id is `$ai_generation_id`, else
`$ai_span_id`, else the uuid; its parent is `$ai_parent_id`, else the trace. A parent nobody has
makes a root. `$ai_trace` events are not nodes: they name the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from otel_posthog.local.facts import Facts


@dataclass(slots=True, eq=False)  # two nodes are the same only if they are one
class Node:
    """An event in the tree; ``children`` in the order of their times."""

    facts: Facts
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a trace adds up to. ``latency`` in seconds, ``cost`` in USD; ``None`` if no event has one."""

    input_tokens: float
    output_tokens: float
    cost: float | None
    latency: float | None
    errors: int


def trace_name(events: Sequence[Facts]) -> str | None:
    """What a trace is called: by its `$ai_trace` event, else by its only root."""
    for event in events:
        if event.kind == "$ai_trace" and event.name:
            return event.name
    roots = [event for event in events if event.on_trace and event.name and not event.is_judgement]
    return roots[0].name if len(roots) == 1 else None


def tree(events: Sequence[Facts]) -> list[Node]:
    """The roots of one trace, each with its children. Every node appears exactly once."""
    ordered = sorted(events, key=lambda event: event.time)
    nodes = [Node(event) for event in ordered if event.kind != "$ai_trace"]
    by_id = {node.facts.node_id: node for node in nodes}
    by_uuid = {node.facts.uuid: node for node in nodes}
    roots: list[Node] = []
    for node in nodes:
        facts = node.facts
        parent = None if facts.parent_id == facts.trace_id else by_id.get(facts.parent_id)
        if parent is None and facts.is_judgement:
            parent = by_uuid.get(facts.parent_id)
        if parent is None or parent is node:
            roots.append(node)
        else:
            parent.children.append(node)
    return roots + _cut_circles(nodes, roots)


def totals(events: Sequence[Facts]) -> Totals:
    """The sums that PostHog shows for a trace: tokens and cost of priced events only."""
    priced = [event for event in events if event.is_priced]
    costs = [event.cost for event in priced if event.cost is not None]
    return Totals(
        input_tokens=sum(event.input_tokens or 0 for event in priced),
        output_tokens=sum(event.output_tokens or 0 for event in priced),
        cost=sum(costs) if costs else None,
        latency=_latency(events),
        errors=sum(event.is_error for event in events),
    )


def _latency(events: Sequence[Facts]) -> float | None:
    """Generations only: their sum. Otherwise the sum of what hangs directly on the trace."""
    timed = [event for event in events if event.latency is not None]
    if any(event.kind != "$ai_generation" for event in timed):
        timed = [event for event in timed if event.on_trace]
    return sum(event.latency or 0 for event in timed) if timed else None


def _cut_circles(nodes: Sequence[Node], roots: Sequence[Node]) -> list[Node]:
    """Roots for nodes that only lead to each other, so that bad parents hide nothing."""
    seen: set[int] = set()
    _walk(roots, lambda node: seen.add(id(node)))
    if len(seen) == len(nodes):
        return []
    parents = {id(child): node for node in nodes for child in node.children}
    extra: list[Node] = []
    for node in nodes:
        if id(node) not in seen:
            parents[id(node)].children.remove(node)
            extra.append(node)
            _walk([node], lambda found: seen.add(id(found)))
    return extra


def _walk(roots: Sequence[Node], visit: Callable[[Node], None]) -> None:
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        visit(node)
        waiting.extend(node.children)
