"""Who a span is about: user, session, groups and properties, from the span, its context and the spans above it."""

from __future__ import annotations

from collections.abc import Mapping

from otel_posthog._distinct_ids import usable
from otel_posthog._model import Json
from otel_posthog._trace import Identity, SpanKey, TracedSpan
from otel_posthog.conventions import IDENTITY_NAMES, session_in, user_in
from otel_posthog.stages.tree import NearestAncestor, Tree


def inherit(tree: Tree) -> dict[SpanKey, Identity]:
    """The identity of each span to export.

    Order: the span's own attributes, the capture context in which it started, the attributes of its ancestors (the
    nearest wins), baggage from another service. Resource attributes and settings come after that, in ``events``.
    """
    with_user = NearestAncestor(tree, lambda traced: stated_user(traced) is not None)
    with_session = NearestAncestor(tree, lambda traced: stated_session(traced) is not None)
    found: dict[SpanKey, Identity] = {}
    for traced in tree.spans:
        operation, context = traced.operation, traced.context
        if operation is None:
            continue
        user, session = stated_user(traced), stated_session(traced)
        if user is None and (above := with_user.of(traced)) is not None:
            user = stated_user(above)
        if session is None and (above := with_session.of(traced)) is not None:
            session = stated_session(above)
        if context is None:
            if user is None and session is None and operation.groups is None:
                continue
            found[traced.key] = Identity(user, session, operation.groups)
        else:
            found[traced.key] = Identity(
                user or usable(context.baggage_user),
                session or context.baggage_session,
                operation.groups or context.groups,
                context.properties,
            )
    return found


def stated_user(traced: TracedSpan) -> str | None:
    """The user that the span or its own capture context names."""
    operation, context = traced.operation, traced.context
    user = operation.user if operation is not None else None
    if user is None and context is not None:
        user = usable(context.distinct_id)
    if user is None and operation is None:
        user = user_in(traced.span.attributes)
    return user


def stated_session(traced: TracedSpan) -> str | None:
    """The session that the span or its own capture context names."""
    operation, context = traced.operation, traced.context
    session = operation.session if operation is not None else None
    if session is None and context is not None:
        session = context.session_id
    if session is None and operation is None:
        session = session_in(traced.span.attributes)
    return session


def identity_attributes(attributes: Mapping[str, Json]) -> dict[str, Json]:
    """The attributes that name user and session: all that is kept of a span that is not an AI span."""
    return {name: attributes[name] for name in attributes.keys() & IDENTITY_NAMES}
