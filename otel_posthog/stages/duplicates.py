"""A call that several instrumentations recorded is counted once: the inner record counts, completed by the outer.

Records nest (a framework's span around the client's) or lie side by side: LangChain's callbacks and SDKs that trace
themselves set no current span, so that the inner record starts a branch or a trace of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from otel_posthog._model import Operation, Text, Usage, last_user_text
from otel_posthog._trace import NOBODY, Identity, SpanKey, TracedSpan
from otel_posthog.stages.tree import NearestAncestor, Tree

# Between two model calls one of these means that they are two: the outer one's answer led to it.
_SEPARATES = frozenset(("tool", "agent", "retrieval", "rerank", "guardrail", "evaluation"))

_MOST_CANDIDATES = 64  # records with a common key that are compared with one call, so that the cost stays linear


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
    _join_streams(tree, calls, found)
    if len(calls) > 1:
        _merge_nested(tree, calls, found)
        _merge_side_by_side(calls, identities, found)
    return found


def _merge_nested(tree: Tree, calls: Iterable[TracedSpan], found: Deduplicated) -> None:
    """A call inside a call is the same one if nothing tells them apart.

    Of several calls inside (retries) each learns the question, and none the answer and its price: they may be any's.
    """
    nearest = NearestAncestor(tree, _is_call_or_separator)
    inside: dict[SpanKey, list[TracedSpan]] = defaultdict(list)
    outers: dict[SpanKey, TracedSpan] = {}
    for inner in calls:
        outer = nearest.of(inner)
        if outer is not None and _is_same_nested(outer, inner):
            inside[outer.key].append(inner)
            outers[outer.key] = outer
    # Outermost first, so that what only that one knew comes down all the way.
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
    if one.response_id and two.response_id:
        if one.response_id == two.response_id:
            return True
        if _id_family(one.response_id) == _id_family(two.response_id):
            return False
    agreements, conflicts = _compare(one, two)
    if not _share_a_model(one, two):
        return "answer" in agreements or {"input", "output"} <= agreements
    return bool(agreements) or not conflicts or not _is_counted(one)


def _id_family(response_id: str) -> str:
    """``chatcmpl`` of ``chatcmpl-9a``: ids of two families are given by two systems and tell nothing of each other."""
    return response_id.replace("_", "-").partition("-")[0]


def _compare(one: Operation, two: Operation) -> tuple[set[str], set[str]]:
    """On what two records of a call agree, and on what they differ; what one of them does not state is neither."""
    usage, other = one.usage or Usage(), two.usage or Usage()
    pairs = {
        "question": (last_user_text(one.input), last_user_text(two.input)),
        "answer": (_answer(one), _answer(two)),
        "output": (usage.output, other.output),
    }
    known = {name: a == b for name, (a, b) in pairs.items() if a is not None and b is not None}
    tokens, others = _input_tokens(usage), _input_tokens(other)
    if tokens is not None and others is not None:
        # A record that does not know the cache may count it in or not (Langtrace around the Anthropic SDK).
        known["input"] = abs(tokens - others) in (0, _cached_tokens(usage), _cached_tokens(other))
    return {name for name, same in known.items() if same}, {name for name, same in known.items() if not same}


def _input_tokens(usage: Usage) -> int | None:
    """With the cache: some records have it inside of the input, others beside it."""
    if usage.input is None or usage.cache_inside:
        return usage.input
    return usage.input + _cached_tokens(usage)


def _cached_tokens(usage: Usage) -> int:
    return (usage.cache_read or 0) + (usage.cache_write or 0)


def _answer(operation: Operation) -> str | None:
    for message in reversed(operation.output or ()):
        if text := "\n".join(part.text for part in message.parts if isinstance(part, Text)):
            return text
    return None


def _share_a_model(one: Operation, two: Operation) -> bool:
    """A model in common, be it with a route before it or a date behind it; where one names none, the same provider."""
    models, others = (
        [model.rpartition("/")[2].lower() for model in (it.request_model, it.response_model) if model]
        for it in (one, two)
    )
    if not models or not others:
        return one.provider is None or two.provider is None or one.provider == two.provider
    return any(a in b or b in a for a in models for b in others)


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
    index = _OverlappingRecords(identities)
    for inner in remaining:
        outer = index.record_of(inner)
        if outer is None or (outer.exported and inner.exported):
            continue
        if outer.exported or (_is_empty(inner) and not inner.exported):
            _demote(inner, found)
        elif inner.exported:
            _demote(outer, found)
        else:
            _merge(outer, inner, found)
            _demote(outer, found)
            found.moved[inner.key] = outer


def _join_streams(tree: Tree, calls: Iterable[TracedSpan], found: Deduplicated) -> None:
    """A stream that is recorded when it has ended, as a root of its own, belongs below the record of its request
    (Logfire, outside of any span)."""
    ended = [traced for traced in calls if traced.span.parent_span_id is None and is_late_record(traced)]
    if not ended:
        return
    begun: dict[Key, list[TracedSpan]] = defaultdict(list)
    for traced in tree.everything():
        if traced.operation is not None and (key := begun_stream_key(traced)) is not None:
            begun[key].append(traced)
    for traced in ended:
        latency = traced.operation.latency if traced.operation is not None else None
        began = traced.span.start_unix_nano - round((latency or 0) * 1e9)
        for request in begun.get(stream_key(traced), ()):
            if abs(request.span.start_unix_nano - began) < _SAME_START and request.key != traced.key:
                found.moved[traced.key] = request
                break


_SAME_START = 1_000_000_000  # nanoseconds between the start of a request and what its stream's record says


def is_late_record(traced: TracedSpan) -> bool:
    """Whether a call was recorded when it had ended: it took longer than its span."""
    operation, span = traced.operation, traced.span
    if operation is None or operation.kind != "generation" or operation.latency is None:
        return False
    return operation.latency * 1e9 > span.end_unix_nano - span.start_unix_nano + 1_000_000


def stream_key(traced: TracedSpan) -> Key:
    """What a stream's two records have in common."""
    operation = traced.operation
    model = operation.request_model if operation is not None else None
    question = last_user_text(operation.input) if operation is not None else None
    return "stream", traced.span.scope_name, model, question


def begun_stream_key(traced: TracedSpan) -> Key | None:
    """The :func:`stream_key` of the record of a request whose stream is recorded apart, ``None`` if it is none."""
    operation = traced.operation
    is_begun = operation is not None and operation.kind == "chain" and operation.streaming and operation.request_model
    return stream_key(traced) if is_begun and traced.span.parent_span_id is None else None


def _is_demoted(traced: TracedSpan, found: Deduplicated) -> bool:
    changed = found.operations.get(traced.key)
    return changed is not None and not changed.is_call


class _OverlappingRecords:
    """The records that came before, by what may identify the call: each is looked up, not compared with all others."""

    def __init__(self, identities: Mapping[SpanKey, Identity]) -> None:
        self._identities = identities
        self._by_key: dict[Key, dict[str, list[TracedSpan]]] = {}
        self._taken: set[SpanKey] = set()  # records that have their inner one

    def record_of(self, inner: TracedSpan) -> TracedSpan | None:
        """The outer record of the same call, if there is one; ``inner`` is remembered for those that follow."""
        keys = _keys_to_find(inner)
        outer = next((found for key in keys if (found := self._find(key, inner)) is not None), None)
        if outer is not None:
            self._taken.add(outer.key)
        for key in keys_of(inner):
            self._by_key.setdefault(key, {}).setdefault(inner.span.scope_name, []).append(inner)
        return outer

    def _find(self, key: Key, inner: TracedSpan) -> TracedSpan | None:
        candidates: list[TracedSpan] = []
        for scope, records in self._by_key.get(key, {}).items():
            if scope == inner.span.scope_name:
                continue
            while records and (records[-1].key in self._taken):
                records.pop()
            for outer in records[: -_MOST_CANDIDATES - 1 : -1]:
                if outer.key not in self._taken and self._is_same(outer, inner):
                    if key[0] not in ("any", "incomplete"):
                        return outer
                    candidates.append(outer)
        # Without an id, words or numbers in common, only a single candidate is certain.
        exact = [outer for outer in candidates if _is_empty(inner) or _has_only_begun(outer)]
        return exact[0] if exact else candidates[0] if len(candidates) == 1 else None

    def _is_same(self, outer: TracedSpan, inner: TracedSpan) -> bool:
        """Whether two instrumentations recorded one call: one inside the other's time, and nothing tells them apart."""
        one, two = outer.operation, inner.operation
        if one is None or two is None or self._are_of_two_users(outer, inner):
            return False
        if one.response_id and one.response_id == two.response_id and is_late_record(inner):
            return True  # Logfire's record of a stream, after the Anthropic SDK's own
        begun = _has_only_begun(outer)
        if inner.span.start_unix_nano > outer.span.end_unix_nano and not begun:
            return False
        if inner.span.end_unix_nano > outer.span.end_unix_nano and not begun:
            return False
        if one.response_id and two.response_id:
            if one.response_id == two.response_id:
                return True
            if _id_family(one.response_id) == _id_family(two.response_id):
                return False
        if not _share_a_model(one, two):
            return False
        if outer.span.trace_id != inner.span.trace_id and not self._may_be_of_one_request(outer, inner):
            return False
        if _is_empty(inner) or (begun and two.streaming):
            return True
        agreements, conflicts = _compare(one, two)
        if conflicts & {"question", "input", "output"}:
            return False
        if agreements & {"question", "input"}:
            return True
        if one.failure is not None and two.failure is not None:
            return None in (one.http_status, two.http_status) or one.http_status == two.http_status
        return one.failure is None and two.failure is None and not conflicts

    def _are_of_two_users(self, one: TracedSpan, two: TracedSpan) -> bool:
        a, b = self._identity_of(one), self._identity_of(two)
        pairs = ((a.user, b.user), (a.session, b.session))
        return any(x is not None and y is not None and x != y for x, y in pairs)

    def _may_be_of_one_request(self, one: TracedSpan, two: TracedSpan) -> bool:
        """Of two traces: other requests may be under way, so records without a common measure need the same user."""
        a, b = one.operation, two.operation
        if a is None or b is None:
            return False
        agreements, _ = _compare(a, b)
        if agreements & {"question", "input"}:
            return True
        x, y = self._identity_of(one), self._identity_of(two)
        return (x.user, x.session) == (y.user, y.session)

    def _identity_of(self, traced: TracedSpan) -> Identity:
        known = self._identities.get(traced.key)
        if known is None and traced.operation is not None:  # exported before
            return Identity(traced.operation.user, traced.operation.session)
        return known or NOBODY


Key = tuple[object, ...]


def keys_of(traced: TracedSpan) -> list[Key]:
    """Under what a record can be found."""
    keys, question, tokens = _identifying(traced)
    if traced.operation is None:
        return keys
    kind = traced.operation.kind
    if tokens is not None:
        keys.append(("input", kind, tokens))
        if question is None:
            keys.append(("input, no question", kind, tokens))
    if question is None or tokens is None:
        keys.append(("incomplete", kind))
    return [*keys, ("any", kind)]


def _keys_to_find(traced: TracedSpan) -> list[Key]:
    """Under what another record of the call would be found, the most certain first."""
    keys, question, tokens = _identifying(traced)
    if traced.operation is None:
        return keys
    kind = traced.operation.kind
    if tokens is not None:
        keys.append(("input" if question is None else "input, no question", kind, tokens))
    return [*keys, ("any" if question is None or tokens is None else "incomplete", kind)]


def _identifying(traced: TracedSpan) -> tuple[list[Key], str | None, int | None]:
    """The keys that stand for one call, the question and the input tokens."""
    operation = traced.operation
    if operation is None:
        return [], None, None
    keys: list[Key] = []
    if operation.response_id:
        keys.append(("id", operation.response_id))
    question = last_user_text(operation.input) or None
    if question is not None:
        keys.append(("question", operation.kind, hash(question)))
    tokens = _input_tokens(operation.usage) if operation.usage is not None else None
    return keys, question, tokens


def _has_only_begun(traced: TracedSpan) -> bool:
    """Whether the record of a stream ended when the stream began, without words or numbers (MLflow)."""
    operation = traced.operation
    return (
        operation is not None
        and operation.streaming is True
        and not (operation.output or _is_counted(operation) or operation.failure)
    )


def _is_counted(operation: Operation) -> bool:
    return operation.usage is not None and operation.usage.input is not None


def _is_empty(traced: TracedSpan) -> bool:
    """Whether the record of a call has neither words nor numbers nor a failure (streams of the Mistral SDK 1)."""
    operation = traced.operation
    return operation is not None and not (
        operation.input or operation.output or operation.failure or _is_counted(operation)
    )


def _merge(outer: TracedSpan, inner: TracedSpan, found: Deduplicated, alone: bool = True) -> None:
    one = found.operations.get(outer.key) or outer.operation
    two = found.operations.get(inner.key) or inner.operation
    if one is None or two is None or inner.exported:
        return
    found.operations[inner.key] = completed(two, one, alone)
    found.merged[inner.key].append(outer)
    if (outer.context is not None and outer.context.capture_content is False) or outer.key in found.without_content:
        found.without_content.add(inner.key)


_NOT_SHARED = frozenset(
    ("kind", "name", "operation_name", "latency", "unmapped", "failure", "http_status", "usage", "cost", "parameters",
     "metadata", "overrides", "truncated", "input", "output", "input_state", "output_state")
)  # fmt: skip
_OF_THE_ANSWER = frozenset(("response_model", "response_id", "finish_reasons", "time_to_first_token"))


def completed(inner: Operation, outer: Operation, alone: bool = True) -> Operation:
    """``inner`` with what only ``outer`` states; of the answer only if it is ``alone`` in there."""
    changes: dict[str, object] = {}
    for row in fields(Operation):
        name = row.name
        shared = name not in _NOT_SHARED and (alone or name not in _OF_THE_ANSWER)
        if shared and getattr(inner, name) in (None, [], {}):
            changes[name] = getattr(outer, name)
    for side in ("input", "output") if alone else ("input",):
        known, more = getattr(inner, side), getattr(outer, side)
        if more and (not known or inner.truncated):
            changes[side] = more
    for name in ("parameters", "metadata", "overrides"):
        if more := getattr(outer, name):
            changes[name] = {**more, **getattr(inner, name)}
    if alone:
        if inner.cost is None:
            changes["cost"] = outer.cost
        if inner.failure is not None and inner.failure.message is None and outer.failure is not None:
            changes["failure"] = replace(inner.failure, message=outer.failure.message)
        if outer.usage is not None:
            changes["usage"] = _joined(inner.usage, outer.usage)
    return replace(inner, **changes)  # type: ignore[arg-type]  # names and values are the dataclass's own


def _joined(inner: Usage | None, outer: Usage) -> Usage:
    """The inner counts, and from the outer ones what the inner one does not state."""
    if inner is None or (inner.input is None and inner.output is None):
        return outer
    changes: dict[str, object] = {}
    if inner.cache_read is None and inner.cache_write is None:
        changes["cache_inside"] = outer.cache_inside  # the rule comes with the count it is about
    if inner.reasoning is None:
        changes["reasoning_inside"] = outer.reasoning_inside
    for row in fields(Usage):
        if getattr(inner, row.name) is None and getattr(outer, row.name) is not None:
            changes[row.name] = getattr(outer, row.name)
    if inner.input is not None and inner.output is not None:
        changes.pop("total", None)  # another's total may be of other counts
    return replace(inner, **changes)  # type: ignore[arg-type]  # as above
