"""What spans say about each other: the tree without holes, who the user is, and calls that were recorded twice.

Works on what is at hand: the spans of one export. Spans that are not sent (HTTP, database, the app's own) are passed
over when parents are worked out, and asked for the user and session they carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

from otel_posthog.ambient import Ambient
from otel_posthog.conventions import SESSION_ATTRIBUTES, USER_ATTRIBUTES
from otel_posthog.conventions._messages import last_user_text
from otel_posthog.operation import Json, Operation, Usage
from otel_posthog.spans import SpanView

# Between two model calls one of these means that they are two: the outer one's answer led to it.
_SEPARATES = frozenset(("tool", "agent", "retrieval", "rerank", "guardrail", "evaluation"))


@dataclass(slots=True)
class Node:
    """A span and its operation, ``None`` if it is no AI span. ``parent_id`` is the parent as it is sent.

    ``heads_trace`` is set where the trace takes its name and state from this span, and the span is not its own root.
    """

    view: SpanView
    operation: Operation | None
    parent_id: str | None = None
    ambient: Ambient | None = None
    heads_trace: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """How spans are connected.

    ``once``: count a call once that several instrumentations have recorded. ``calls_only``: send nothing else.
    ``remote_parents``: a parent in another service stays, because that service sends it. ``whole``: the trace is at
    hand as far as this process knows it, so a parent that is not there is sent by nobody.
    """

    once: bool = True
    calls_only: bool = False
    remote_parents: bool = True
    whole: bool = False


_RULES = Rules()


Id = tuple[str, str]  # trace id and span id; a span id is one of a kind in its trace only


def _id(node: Node) -> Id:
    return node.view.trace_id, node.view.span_id


def connect(nodes: Iterable[Node], rules: Rules = _RULES) -> None:
    """Work out parents, users and sessions of all nodes in place; what is not to be sent loses its operation."""
    by_id = {_id(node): node for node in nodes}
    sent = [node for node in by_id.values() if node.operation is not None]
    for node in sent:
        _inherit(node, by_id)
    beside: dict[Id, Node] = {}
    if rules.once:
        _count_nested_once(sent, by_id)
        beside = _count_twins_once(sent)
    if rules.calls_only:
        for node in sent:
            if node.operation is not None and not node.operation.is_call and node.operation.verdict is None:
                node.operation = None
    for node in sent:
        outer = beside.get(_id(node))
        if outer is not None and outer.operation is not None:
            node.parent_id = outer.view.span_id
        elif node.operation is not None:
            node.parent_id = _parent(node, by_id, rules)
    _find_heads(sent)


def _ancestors(node: Node, by_id: Mapping[Id, Node]) -> Iterator[Node]:
    """From the parent up, as far as it is known. A loop (broken ids) ends where it closes."""
    seen = {node.view.span_id}
    parent_id = node.view.parent_span_id
    while parent_id is not None and parent_id not in seen:
        seen.add(parent_id)
        parent = by_id.get((node.view.trace_id, parent_id))
        if parent is None:
            return
        yield parent
        parent_id = parent.view.parent_span_id


def _depth(node: Node, by_id: Mapping[Id, Node]) -> int:
    return sum(1 for _ in _ancestors(node, by_id))


def _parent(node: Node, by_id: Mapping[Id, Node], rules: Rules) -> str | None:
    """The nearest ancestor that is sent; an ancestor that is not at hand may be sent by somebody else."""
    last = node
    for ancestor in _ancestors(node, by_id):
        if ancestor.operation is not None:
            return ancestor.view.span_id
        last = ancestor
    above = last.view.parent_span_id
    if above is None or (node.view.trace_id, above) in by_id:
        return None
    elsewhere = rules.remote_parents if last.view.parent_is_remote else not rules.whole
    return above if elsewhere else None


def _find_heads(sent: Iterable[Node]) -> None:
    """The first AI span of each trace, if it is an agent or the like below a span that is not sent."""
    first: dict[str, Node] = {}
    for node in sent:
        if node.operation is not None and node.parent_id is None and node.operation.verdict is None:
            known = first.setdefault(node.view.trace_id, node)
            if node.view.start_unix_nano < known.view.start_unix_nano:
                first[node.view.trace_id] = node
    for node in first.values():
        is_call = node.operation is not None and node.operation.is_call
        node.heads_trace = not is_call and node.view.parent_span_id is not None


def _inherit(node: Node, by_id: Mapping[Id, Node]) -> None:
    """User, session and the rest of what is around, where the span itself does not say.

    Order: the context around the span, the attributes of its ancestors (apps set them on their server span; the
    nearest wins), baggage from another process. What follows, resource and settings, is for ``events``.
    """
    operation, ambient = node.operation, node.ambient
    if operation is None:
        return
    if ambient is not None:
        operation.user = operation.user or ambient.distinct_id
        operation.session = operation.session or ambient.session_id
        operation.groups = operation.groups or ambient.groups
        operation.stated = {**ambient.properties, **operation.stated}
    if not (operation.user and operation.session):
        for ancestor in _ancestors(node, by_id):
            attributes = ancestor.view.attributes
            operation.user = operation.user or _first_text(attributes, USER_ATTRIBUTES)
            operation.session = operation.session or _first_text(attributes, SESSION_ATTRIBUTES)
    if ambient is not None:
        operation.user = operation.user or ambient.baggage_user
        operation.session = operation.session or ambient.baggage_session


def identity_of(attributes: Mapping[str, Json]) -> dict[str, Json]:
    """The attributes that say whose a span is."""
    return {name: attributes[name] for name in (*USER_ATTRIBUTES, *SESSION_ATTRIBUTES) if name in attributes}


def _first_text(attributes: Mapping[str, Json], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def _count_nested_once(sent: Iterable[Node], by_id: Mapping[Id, Node]) -> None:
    """A model call inside a model call is the same one, recorded by two instrumentations: the inner one counts.

    It learns what only the outer one knew. Of several calls inside (retries) each learns what was asked for, and none
    the answer and its price: nobody can say whose they are.
    """
    inside: dict[Id, list[Node]] = {}
    for node in sent:
        outer = _enclosing_call(node, by_id)
        if outer is not None:
            inside.setdefault(_id(outer), []).append(node)
    # Outermost first, so that what only that one knew comes down all the way.
    for outer_id in sorted(inside, key=lambda outer_id: _depth(by_id[outer_id], by_id)):
        outer, inner = by_id[outer_id], inside[outer_id]
        for node in inner:
            _merge(outer, node, alone=len(inner) == 1)
    for outer_id in inside:
        _demote(by_id[outer_id])


def _enclosing_call(node: Node, by_id: Mapping[Id, Node]) -> Node | None:
    if node.operation is None or not node.operation.is_call:
        return None
    for outer in _ancestors(node, by_id):
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


def _count_twins_once(sent: Iterable[Node]) -> dict[Id, Node]:
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
                _merge(outer, inner)
                _demote(outer)
                if inner.view.trace_id == outer.view.trace_id:
                    beside[_id(inner)] = outer
                break
    return beside


def _are_twins(outer: Node, inner: Node) -> bool:
    """Two instrumentations, one inside the other's time, and nothing that tells the calls apart."""
    one, two = outer.operation, inner.operation
    if one is None or two is None or one.kind != two.kind or not one.is_call:
        return False
    if outer.view.scope_name == inner.view.scope_name or inner.view.end_unix_nano > outer.view.end_unix_nano:
        return False
    if one.response_id and two.response_id:
        return one.response_id == two.response_id
    models = {one.request_model, one.response_model} & {two.request_model, two.response_model} - {None}
    return bool(models) and _agree(one.usage, two.usage) and _same_words(one, two)


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


_NOT_SHARED = frozenset(
    ("kind", "name", "operation_name", "latency", "unmapped", "failure", "http_status", "usage", "cost", "parameters",
     "metadata", "stated", "truncated", "input", "output", "input_state", "output_state")
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
    for name in ("parameters", "metadata", "stated"):
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
    for field in fields(Usage):
        if getattr(inner, field.name) is None:
            setattr(inner, field.name, getattr(outer, field.name))
    return inner
