"""Where each event stands in PostHog's tree: its trace, its parent, and which span names the trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from otel_posthog._model import Operation
from otel_posthog._trace import Place, SpanKey, TracedSpan
from otel_posthog.stages.tree import NearestAncestor, TopAncestor, Tree


def place(
    tree: Tree,
    operation_of: Callable[[TracedSpan], Operation | None],
    moved: Mapping[SpanKey, TracedSpan],
    *,
    complete: bool,
    remote_parents: bool,
) -> dict[SpanKey, Place]:
    """The places of all spans that have an event.

    Spans without an event (HTTP, database, the app's own) are passed over. A parent that is not at hand counts only
    where another export may bring it (``complete`` is false) or, if it is in another service, with ``remote_parents``:
    a parent that PostHog never receives makes a node that its trace view cannot place.
    """
    with_event = NearestAncestor(tree, lambda traced: operation_of(traced) is not None)
    top = TopAncestor(tree)
    parents: dict[SpanKey, str | None] = {}
    for traced in tree.spans:
        if operation_of(traced) is None:
            continue
        nearest = with_event.of(traced)
        if nearest is not None:
            parents[traced.key] = nearest.span.span_id
            continue
        last = top.of(traced).span
        counts = remote_parents if last.parent_is_remote else not complete
        is_loop = (last.trace_id, last.parent_span_id or "") in tree
        parents[traced.key] = last.parent_span_id if counts and not is_loop else None
    traces = {key: key[0] for key in parents}
    _move(tree, parents, traces, moved)
    heads = _heads(tree, operation_of, parents, traces)
    return {key: Place(traces[key], parent, key in heads) for key, parent in parents.items()}


def _move(
    tree: Tree, parents: dict[SpanKey, str | None], traces: dict[SpanKey, str], moved: Mapping[SpanKey, TracedSpan]
) -> None:
    """Show a call below its outer record, in whose place the app made it; from a trace of its own it comes into the
    other's, with all that is below it."""
    into: dict[str, str] = {}
    for key, outer in moved.items():
        if key not in parents or (outer.key not in parents and not outer.exported):
            continue
        if key[0] != outer.key[0]:
            if parents[key] is not None:
                continue  # it has a place among others of its trace
            into[key[0]] = outer.key[0]
        parents[key] = outer.span.span_id
    for key in parents if into else ():
        traces[key] = into.get(key[0], key[0])


def _heads(
    tree: Tree,
    operation_of: Callable[[TracedSpan], Operation | None],
    parents: Mapping[SpanKey, str | None],
    traces: Mapping[SpanKey, str],
) -> set[SpanKey]:
    """The first root of each trace, where it is an agent or the like below a span that has no event."""
    first: dict[str, TracedSpan] = {}
    for traced in tree.spans:
        if traced.key in parents and parents[traced.key] is None:
            known = first.setdefault(traces[traced.key], traced)
            if traced.span.start_unix_nano < known.span.start_unix_nano:
                first[traces[traced.key]] = traced
    heads = set()
    for traced in first.values():
        operation = operation_of(traced)
        if operation is not None and not operation.is_call and traced.span.parent_span_id is not None:
            heads.add(traced.key)
    return heads
