"""What spans say about each other: the tree without holes, who the user is, and calls that were recorded twice.

Works on what is at hand: the spans of one export. Spans that are not sent (HTTP, database, the app's own) are passed
over when parents are worked out, and asked for the user and session they carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from otel_posthog._context import CaptureContext
from otel_posthog._distinct_ids import usable
from otel_posthog._model import Json
from otel_posthog.conventions import IDENTITY_NAMES, session_in, user_in
from otel_posthog.stages.deduplication import merge_nested, merge_side_by_side
from otel_posthog.stages.nodes import Id, Node, ancestors_of, id_of
from otel_posthog.stages.summaries import summarise

__all__ = ["Node", "Rules", "connect", "identity_of"]


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


def connect(nodes: Iterable[Node], rules: Rules = _RULES) -> None:
    """Work out parents, users and sessions of all nodes in place; what is not to be sent loses its operation."""
    by_id = {id_of(node): node for node in nodes}
    sent = [node for node in by_id.values() if node.operation is not None]
    known: dict[Id, Identity] = {}
    for node in sent:
        _inherit(node, by_id, known)
    summarise(sent, by_id)
    beside: dict[Id, Node] = {}
    if rules.once:
        merge_nested(sent, by_id)
        beside = merge_side_by_side(sent)
    if rules.calls_only:
        for node in sent:
            if node.operation is not None and not node.operation.is_call and node.operation.evaluation is None:
                node.operation = None
    for node in sent:
        if node.operation is not None:
            node.parent_id = _parent(node, by_id, rules)
    for node_id, outer in beside.items():
        _move_below(by_id[node_id], outer, sent)
    _find_heads(sent)


def _move_below(inner: Node, outer: Node, sent: Iterable[Node]) -> None:
    """Show the record that counts below the other one, in whose place of the tree the app made the call.

    From a trace of its own it comes into the other's, with what is below it.
    """
    if outer.operation is None:
        return
    if inner.view.trace_id != outer.view.trace_id:
        if inner.parent_id is not None:
            return  # it has a place among others of its trace
        for node in sent:
            if node.view.trace_id == inner.view.trace_id:
                node.trace_id = outer.trace_id
    inner.parent_id = outer.view.span_id


def _parent(node: Node, by_id: Mapping[Id, Node], rules: Rules) -> str | None:
    """The nearest ancestor that is sent; an ancestor that is not at hand may be sent by somebody else."""
    last = node
    for ancestor in ancestors_of(node, by_id):
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
        if node.operation is not None and node.parent_id is None and node.operation.evaluation is None:
            known = first.setdefault(node.trace_id, node)
            if node.view.start_unix_nano < known.view.start_unix_nano:
                first[node.trace_id] = node
    for node in first.values():
        is_call = node.operation is not None and node.operation.is_call
        node.heads_trace = not is_call and node.view.parent_span_id is not None


Identity = tuple["str | None", "str | None"]  # user and session


def _inherit(node: Node, by_id: Mapping[Id, Node], known: dict[Id, Identity]) -> None:
    """User, session and the rest of what is around, where the span itself does not say.

    Order: the context around the span, the attributes of its ancestors (apps set them on their server span; the
    nearest wins), baggage from another process. What follows, resource and settings, is for ``events``.
    """
    operation, ambient = node.operation, node.ambient
    if operation is None:
        return
    if ambient is not None:
        operation.user = operation.user or usable(ambient.distinct_id)
        operation.session = operation.session or ambient.session_id
        operation.groups = operation.groups or ambient.groups
        operation.overrides = {**ambient.properties, **operation.overrides}
    if not (operation.user and operation.session):
        user, session = _identity_above(node, by_id, known)
        operation.user = operation.user or user
        operation.session = operation.session or session
    if ambient is not None:
        operation.user = operation.user or usable(ambient.baggage_user)
        operation.session = operation.session or ambient.baggage_session


def _identity_above(node: Node, by_id: Mapping[Id, Node], known: dict[Id, Identity]) -> Identity:
    """What the ancestors say, the nearest first. ``known`` remembers what was found, so that each is asked once."""
    chain: list[Node] = []
    user = session = None
    for ancestor in ancestors_of(node, by_id):
        if id_of(ancestor) in known:
            user, session = known[id_of(ancestor)]
            break
        chain.append(ancestor)
    for ancestor in reversed(chain):
        attributes, operation, ambient = (
            ancestor.view.attributes,
            ancestor.operation,
            ancestor.ambient or CaptureContext(),
        )
        stated = (operation.user, operation.session) if operation is not None else (None, None)
        user = stated[0] or usable(ambient.distinct_id) or user_in(attributes) or user
        session = stated[1] or ambient.session_id or session_in(attributes) or session
        known[id_of(ancestor)] = user, session
    return user, session


def identity_of(attributes: Mapping[str, Json]) -> dict[str, Json]:
    """The attributes that say whose a span is."""
    return {name: attributes[name] for name in IDENTITY_NAMES.intersection(attributes)}
