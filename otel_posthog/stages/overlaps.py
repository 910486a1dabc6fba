"""Records of one call side by side, found by what may identify the call."""

from __future__ import annotations

from collections.abc import Mapping

from otel_posthog._model import last_user_text
from otel_posthog._trace import NOBODY, Identity, SpanKey, TracedSpan
from otel_posthog.stages.comparison import (
    compare,
    has_only_begun,
    input_tokens,
    is_empty,
    is_same_response,
    share_a_model,
)
from otel_posthog.stages.streams import Key, is_late_record

_MOST_CANDIDATES = 64  # records with a common key that are compared with one call, so that the cost stays linear


class OverlappingRecords:
    """Earlier records by what may identify the call, so that each is looked up and not compared with all others."""

    def __init__(self, identities: Mapping[SpanKey, Identity]) -> None:
        self._identities = identities
        self._by_key: dict[Key, dict[str, list[TracedSpan]]] = {}
        self._taken: set[SpanKey] = set()  # outer records whose inner record is known

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
        by_scope = self._by_key.get(key, {})
        most = min(_MOST_CANDIDATES, 2 * _MOST_CANDIDATES // max(1, len(by_scope)))
        for scope, records in by_scope.items():
            if scope == inner.span.scope_name:
                continue
            while records and (records[-1].key in self._taken):
                records.pop()
            for outer in records[: -most - 1 : -1]:
                if outer.key not in self._taken and self._is_same(outer, inner):
                    if key[0] not in ("any", "incomplete"):
                        return outer
                    candidates.append(outer)
        # Without an id, words or numbers in common, only a single candidate is certain.
        exact = [outer for outer in candidates if is_empty(inner) or has_only_begun(outer)]
        return exact[0] if exact else candidates[0] if len(candidates) == 1 else None

    def _is_same(self, outer: TracedSpan, inner: TracedSpan) -> bool:
        """Whether two instrumentations recorded one call: one inside the other's time, and nothing tells them apart."""
        one, two = outer.operation, inner.operation
        if one is None or two is None:
            return False
        begun = has_only_begun(outer)
        is_inside = begun or max(inner.span.start_unix_nano, inner.span.end_unix_nano) <= outer.span.end_unix_nano
        has_same_id = bool(one.response_id) and one.response_id == two.response_id
        if not (is_inside or has_same_id) or self._are_of_two_users(outer, inner):
            return False
        if has_same_id and is_late_record(inner):
            return True  # Logfire's record of a stream, after the Anthropic SDK's own
        if not is_inside:
            return False
        if (is_same := is_same_response(one, two)) is not None:
            return is_same
        if not share_a_model(one, two):
            return False
        if outer.span.trace_id != inner.span.trace_id and not self._may_be_of_one_request(outer, inner):
            return False
        if is_empty(inner) or (begun and two.streaming):
            return True
        agreements, conflicts = compare(one, two)
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
        agreements, _ = compare(a, b)
        if agreements & {"question", "input"}:
            return True
        x, y = self._identity_of(one), self._identity_of(two)
        return (x.user, x.session) == (y.user, y.session)

    def _identity_of(self, traced: TracedSpan) -> Identity:
        known = self._identities.get(traced.key)
        if known is None and traced.operation is not None:  # exported before
            return Identity(traced.operation.user, traced.operation.session)
        return known or NOBODY


def keys_of(traced: TracedSpan) -> list[Key]:
    """The keys under which a record can be found."""
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
    """The keys of another record of the same call, the most certain first."""
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
    tokens = input_tokens(operation.usage) if operation.usage is not None else None
    return keys, question, tokens
