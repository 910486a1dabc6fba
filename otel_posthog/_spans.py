"""SpanView: one read-only view of a span, whatever it came from: the input of all mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, format_span_id, format_trace_id


@dataclass(slots=True)
class EventView:
    """A span event, or a log record that belongs to the span.

    ``body`` is a log record's body (any JSON value), ``None`` for span events.
    """

    name: str
    attributes: Mapping[str, Any]
    body: Any = None
    time_unix_nano: int | None = None


@dataclass(slots=True)
class LinkView:
    """A link to another span. Ids are lowercase hex."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class SpanView:
    """A span. Ids are lowercase hex, times are nanoseconds since the Unix epoch.

    ``status_code`` is ``UNSET``, ``OK`` or ``ERROR``; ``kind`` is ``INTERNAL``, ``CLIENT``, ``SERVER``, ``PRODUCER`` or
    ``CONSUMER``; ``logs`` are the log records written with this span's ids, in the order they were emitted;
    ``dropped_…`` count what the SDK's limits cost the span; ``source`` is what the view was made from, such as the
    SDK's ``ReadableSpan``.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    parent_is_remote: bool
    start_unix_nano: int
    end_unix_nano: int
    status_code: str
    status_message: str | None
    attributes: Mapping[str, Any]
    events: Sequence[EventView]
    scope_name: str
    scope_version: str
    resource: Mapping[str, Any]
    logs: Sequence[EventView] = ()
    links: Sequence[LinkView] = ()
    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0
    source: Any = field(default=None, repr=False, compare=False)
    _names: str | None = field(default=None, init=False, repr=False)

    def has(self, *prefixes: str) -> bool:
        """Whether an attribute's name starts with one of these.

        All names are joined into one string: one search in C for each prefix, not a loop over the names.
        """
        if self._names is None:
            self._names = "\n" + "\n".join(self.attributes)
        names = self._names
        for prefix in prefixes:  # noqa: SIM110 - a generator costs more than all searches
            if "\n" + prefix in names:
                return True
        return False


def view_of(span: ReadableSpan, logs: Sequence[EventView] = ()) -> SpanView:
    """The view of an SDK span. Attribute values are taken by reference, nothing is decoded."""
    context, parent, scope = span.get_span_context(), span.parent, span.instrumentation_scope
    start = span.start_time or 0
    return SpanView(
        name=span.name or "",
        kind=span.kind.name,
        trace_id=format_trace_id(context.trace_id) if context else "",
        span_id=format_span_id(context.span_id) if context else "",
        parent_span_id=format_span_id(parent.span_id) if parent else None,
        parent_is_remote=bool(parent and parent.is_remote),
        start_unix_nano=start,
        end_unix_nano=span.end_time or start,
        status_code=span.status.status_code.name,
        status_message=span.status.description,
        attributes=plain_dict(span.attributes),
        events=[EventView(e.name, plain_dict(e.attributes), None, e.timestamp) for e in span.events],
        scope_name=(scope.name if scope else "") or "",
        scope_version=(scope.version if scope else "") or "",
        resource=_resource_attributes(span.resource),
        logs=logs,
        links=[_link_view(link) for link in span.links],
        dropped_attributes=span.dropped_attributes,
        dropped_events=span.dropped_events,
        dropped_links=span.dropped_links,
        source=span,
    )


def _link_view(link: Link) -> LinkView:
    ids = link.context
    return LinkView(format_trace_id(ids.trace_id), format_span_id(ids.span_id), plain_dict(link.attributes))


def plain_dict(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes as a dict: the SDK's mapping costs a Python call per key, but copies its dict in C."""
    if not attributes:
        return {}
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes)


_last_resource: tuple[Any, dict[str, Any]] = (None, {})  # all spans of a provider share one


def _resource_attributes(resource: Any) -> dict[str, Any]:
    global _last_resource
    known, attributes = _last_resource
    if resource is known:
        return attributes
    attributes = plain_dict(resource.attributes) if resource else {}
    _last_resource = (resource, attributes)
    return attributes
