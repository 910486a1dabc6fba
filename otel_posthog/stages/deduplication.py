"""Calls that several instrumentations have recorded, counted once: the inner record counts, completed by the outer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

from otel_posthog._context import CaptureContext
from otel_posthog._model import Operation, Usage, last_user_text
from otel_posthog.stages.nodes import Id, Node, ancestors_of, depth_of, id_of

# Between two model calls one of these means that they are two: the outer one's answer led to it.
_SEPARATES = frozenset(("tool", "agent", "retrieval", "rerank", "guardrail", "evaluation"))


def merge_nested(sent: Iterable[Node], by_id: Mapping[Id, Node]) -> None:
    """A model call inside a model call is the same one, recorded by two instrumentations: the inner one counts.

    It learns what only the outer one knew. Of several calls inside (retries) each learns what was asked for, and none
    the answer and its price: nobody can say whose they are.
    """
    inside: dict[Id, list[Node]] = {}
    for node in sent:
        outer = _enclosing_call(node, by_id)
        if outer is not None:
            inside.setdefault(id_of(outer), []).append(node)
    # Outermost first, so that what only that one knew comes down all the way.
    for outer_id in sorted(inside, key=lambda outer_id: depth_of(by_id[outer_id], by_id)):
        outer, inner = by_id[outer_id], inside[outer_id]
        for node in inner:
            _merge(outer, node, alone=len(inner) == 1)
    for outer_id in inside:
        _demote(by_id[outer_id])


def _enclosing_call(node: Node, by_id: Mapping[Id, Node]) -> Node | None:
    if node.operation is None or not node.operation.is_call:
        return None
    for outer in ancestors_of(node, by_id):
        operation = outer.operation
        if operation is not None and operation.kind in _SEPARATES:
            return None
        if operation is not None and operation.kind == node.operation.kind:
            return outer
    return None


def _demote(node: Node) -> None:
    """A second record of a call is a wrapper, without a price."""
    if node.operation is not None:
        node.operation.kind = "chain"
        node.operation.usage = node.operation.cost = None


def merge_side_by_side(sent: Iterable[Node]) -> dict[Id, Node]:
    """The same call, recorded side by side: some instrumentations (LangChain's callbacks) set no current span, so that
    the one below them starts a trace or a branch of its own. The outer twins, by the ids of the inner ones."""
    beside: dict[Id, Node] = {}
    calls = [node for node in sent if node.operation is not None and node.operation.is_call]
    if len({node.view.scope_name for node in calls}) < 2:
        return beside
    calls.sort(key=lambda node: (node.view.start_unix_nano, -node.view.end_unix_nano))
    for position, outer in enumerate(calls):
        for inner in calls[position + 1 :]:
            if inner.view.start_unix_nano > outer.view.end_unix_nano:
                break
            if _are_twins(outer, inner):
                if outer.was_sent or _says_nothing(inner):
                    _demote(inner)
                elif inner.was_sent:
                    _demote(outer)
                else:
                    _merge(outer, inner)
                    _demote(outer)
                    beside[id_of(inner)] = outer
                break
    return beside


def _are_twins(outer: Node, inner: Node) -> bool:
    """Two instrumentations, one inside the other's time, and nothing that tells the calls apart."""
    one, two = outer.operation, inner.operation
    if one is None or two is None or one.kind != two.kind or not one.is_call:
        return False
    if outer.view.scope_name == inner.view.scope_name or _are_of_two_users(one, two):
        return False
    # MLflow's record of a stream ends when the stream begins, without words or numbers.
    begun_only = one.streaming is True and not (one.output or _counted(one))
    if inner.view.end_unix_nano > outer.view.end_unix_nano and not begun_only:
        return False
    if one.response_id and two.response_id:
        return one.response_id == two.response_id
    if not _same_model(one, two):
        return False
    if outer.view.trace_id != inner.view.trace_id and not _may_be_of_one_request(one, two):
        return False
    if _says_nothing(inner) or (begun_only and two.streaming):
        return True
    return _agree(one.usage, two.usage) and _same_words(one, two)


def _are_of_two_users(one: Operation, two: Operation) -> bool:
    pairs = ((one.user, two.user), (one.session, two.session))
    return any(a is not None and b is not None and a != b for a, b in pairs)


def _may_be_of_one_request(one: Operation, two: Operation) -> bool:
    """Of two traces: other requests may be under way at the same time, so a record that says too little to be known
    again must at least be of the same user."""
    asked, asked_too = last_user_text(one.input), last_user_text(two.input)
    if (asked is not None and asked_too is not None) or (_counted(one) and _counted(two)):
        return True
    return (one.user, one.session) == (two.user, two.session)


def _same_model(one: Operation, two: Operation) -> bool:
    """A model in common; where one names none (OpenLLMetry, with content in log events), the same provider."""
    models, others = ({it.request_model, it.response_model} - {None} for it in (one, two))
    return bool(models & others) if models and others else one.provider == two.provider


def _counted(operation: Operation) -> bool:
    return operation.usage is not None and operation.usage.input is not None


def _says_nothing(node: Node) -> bool:
    """Whether the record of a call has neither words nor numbers nor a failure (streams of the Mistral SDK 1)."""
    operation = node.operation
    return operation is not None and not (
        operation.input or operation.output or operation.failure or _counted(operation)
    )


def _agree(one: Usage | None, two: Usage | None) -> bool:
    if one is None or two is None:
        return True
    pairs = ((one.output, two.output), (one.input, two.input))
    return all(a is None or b is None or a == b for a, b in pairs)


def _same_words(one: Operation, two: Operation) -> bool:
    """The same question; without any content, the same numbers or the same failure have to do."""
    asked, asked_too = last_user_text(one.input), last_user_text(two.input)
    if asked is not None and asked_too is not None:
        return asked == asked_too
    if one.failure is not None and two.failure is not None:
        return None in (one.http_status, two.http_status) or one.http_status == two.http_status
    counted = (one.usage is not None and one.usage.input) and (two.usage is not None and two.usage.input)
    return bool(counted)


def _merge(outer: Node, inner: Node, alone: bool = True) -> None:
    if outer.operation is not None and inner.operation is not None:
        complete_from(inner.operation, outer.operation, alone)
    if outer.ambient is not None and outer.ambient.capture_content is False:
        # What the one keeps to itself must not come out through the other.
        inner.ambient = replace(inner.ambient or CaptureContext(), capture_content=False)


_NOT_SHARED = frozenset(
    ("kind", "name", "operation_name", "latency", "unmapped", "failure", "http_status", "usage", "cost", "parameters",
     "metadata", "overrides", "truncated", "input", "output", "input_state", "output_state")
)  # fmt: skip


# What was answered, rather than asked for.
_OF_THE_ANSWER = frozenset(("response_model", "response_id", "finish_reasons", "time_to_first_token"))


def complete_from(inner: Operation, outer: Operation, alone: bool = True) -> None:
    """Give ``inner`` what only ``outer`` knows; of the answer only if it is ``alone`` in there."""
    for field in fields(Operation):
        name = field.name
        shared = name not in _NOT_SHARED and (alone or name not in _OF_THE_ANSWER)
        if shared and getattr(inner, name) in (None, [], {}):
            setattr(inner, name, getattr(outer, name))
    for side in ("input", "output") if alone else ("input",):
        known, more = getattr(inner, side), getattr(outer, side)
        if more and (not known or inner.truncated):
            setattr(inner, side, more)
    for name in ("parameters", "metadata", "overrides"):
        setattr(inner, name, {**getattr(outer, name), **getattr(inner, name)})
    if not alone:
        return
    if inner.cost is None:
        inner.cost = outer.cost
    if inner.failure is not None and inner.failure.message is None and outer.failure is not None:
        inner.failure = replace(inner.failure, message=outer.failure.message)
    if outer.usage is not None:
        inner.usage = _joined(inner.usage, outer.usage)


def _joined(inner: Usage | None, outer: Usage) -> Usage:
    """The inner counts, and from the outer ones what the inner one does not state."""
    if inner is None or (inner.input is None and inner.output is None):
        return outer
    if inner.cache_read is None and inner.cache_write is None:
        # The rule for the cache comes with the count it is about.
        inner.cache_read, inner.cache_write = outer.cache_read, outer.cache_write
        inner.cache_inside = outer.cache_inside
    total = inner.total
    for field in fields(Usage):
        if getattr(inner, field.name) is None:
            setattr(inner, field.name, getattr(outer, field.name))
    if inner.input is not None and inner.output is not None:
        inner.total = total  # another's total may be of other counts
    return inner
