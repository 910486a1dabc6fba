"""A call that several instrumentations recorded is counted once: the inner record counts, completed by the outer.

Records nest (a framework's span around the client's) or lie side by side: LangChain's callbacks and SDKs that trace
themselves set no current span, so that the inner record starts a branch or a trace of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from otel_posthog._model import Operation
from otel_posthog._trace import Identity, SpanKey, TracedSpan
from otel_posthog.stages.comparison import compare, is_counted, is_empty, is_same_response, share_a_model
from otel_posthog.stages.merging import completed
from otel_posthog.stages.overlaps import OverlappingRecords
from otel_posthog.stages.streams import requests_of_streams
from otel_posthog.stages.tree import NearestAncestor, Tree

# One of these between two model calls means that they are two: the outer one's answer led to it.
_SEPARATES = frozenset(("tool", "agent", "retrieval", "rerank", "guardrail", "evaluation"))


@dataclass(slots=True)
class Deduplicated:
    """What :func:`deduplicate` found.

    ``operations`` are the changed ones; ``moved`` gives the outer record in whose place of the tree a call belongs;
    ``without_content`` are calls whose other record was made under ``context(capture_content=False)``; ``merged`` are
    the records that went into a call.
    """

    operations: dict[SpanKey, Operation] = field(default_factory=dict)
    moved: dict[SpanKey, TracedSpan] = field(default_factory=dict)
    without_content: set[SpanKey] = field(default_factory=set)
    merged: dict[SpanKey, list[TracedSpan]] = field(default_factory=lambda: defaultdict(list))


def deduplicate(tree: Tree, identities: Mapping[SpanKey, Identity]) -> Deduplicated:
    """Merge the records of each call into one; the others become spans without a price."""
    calls = [traced for traced in tree.everything() if traced.operation is not None and traced.operation.is_call]
    found = Deduplicated()
    found.moved.update(requests_of_streams(tree, calls))
    if len(calls) > 1:
        _merge_nested(tree, calls, found)
        _merge_side_by_side(calls, identities, found)
    return found


def _merge_nested(tree: Tree, calls: Iterable[TracedSpan], found: Deduplicated) -> None:
    """A call inside a call is the same call unless something tells them apart.

    If there are several inside (retries), each gets the question and none the answer or its price.
    """
    nearest = NearestAncestor(tree, _is_call_or_separator)
    inside: dict[SpanKey, list[TracedSpan]] = defaultdict(list)
    outers: dict[SpanKey, TracedSpan] = {}
    for inner in calls:
        outer = nearest.of(inner)
        if outer is not None and _is_same_nested(outer, inner):
            inside[outer.key].append(inner)
            outers[outer.key] = outer
    # Outermost first, so that what only the outermost knows is passed down all the way.
    for outer in sorted(outers.values(), key=tree.depth):
        records = inside[outer.key]
        for inner in records:
            _merge(outer, inner, found, alone=len(records) == 1)
    for outer in outers.values():
        _demote(outer, found)


def _is_call_or_separator(traced: TracedSpan) -> bool:
    operation = traced.operation
    return operation is not None and (operation.is_call or operation.kind in _SEPARATES)


def _is_same_nested(outer: TracedSpan, inner: TracedSpan) -> bool:
    one, two = outer.operation, inner.operation
    if one is None or two is None or one.kind != two.kind:
        return False
    if (is_same := is_same_response(one, two)) is not None:
        return is_same
    if not (one.input or one.output or is_counted(one)) and (one.failure is None) == (two.failure is None):
        return True  # OpenLIT 1.45 marks Haystack's generators as calls of a model with the component's name
    agreements, conflicts = compare(one, two)
    if not share_a_model(one, two):
        return "answer" in agreements or {"input", "output"} <= agreements
    return bool(agreements) or not conflicts or not is_counted(one)


def _demote(traced: TracedSpan, found: Deduplicated) -> None:
    """A second record of a call is a wrapper, without a price."""
    operation = found.operations.get(traced.key) or traced.operation
    if operation is not None and not traced.exported:
        found.operations[traced.key] = replace(operation, kind="chain", usage=None, cost=None)


def _merge_side_by_side(
    calls: Iterable[TracedSpan], identities: Mapping[SpanKey, Identity], found: Deduplicated
) -> None:
    remaining = [traced for traced in calls if not _is_demoted(traced, found)]
    if len({traced.span.scope_name for traced in remaining}) < 2:
        return
    remaining.sort(key=lambda traced: (traced.span.start_unix_nano, -traced.span.end_unix_nano))
    index = OverlappingRecords(identities)
    for inner in remaining:
        outer = index.record_of(inner)
        if outer is None or (outer.exported and inner.exported):
            continue
        if outer.exported or (is_empty(inner) and not inner.exported):
            _demote(inner, found)
        elif inner.exported:
            _demote(outer, found)
        else:
            _merge(outer, inner, found)
            _demote(outer, found)
            found.moved[inner.key] = outer


def _is_demoted(traced: TracedSpan, found: Deduplicated) -> bool:
    changed = found.operations.get(traced.key)
    return changed is not None and not changed.is_call


def _merge(outer: TracedSpan, inner: TracedSpan, found: Deduplicated, alone: bool = True) -> None:
    one = found.operations.get(outer.key) or outer.operation
    two = found.operations.get(inner.key) or inner.operation
    if one is None or two is None or inner.exported:
        return
    found.operations[inner.key] = completed(two, one, alone)
    found.merged[inner.key].append(outer)
    if (outer.context is not None and outer.context.capture_content is False) or outer.key in found.without_content:
        found.without_content.add(inner.key)
