"""Operation -> PostHog event. The only package that knows ``$ai_…``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_posthog._model import Json, Operation
from otel_posthog._spans import SpanView
from otel_posthog._trace import Identity, Place
from otel_posthog._version import __version__
from otel_posthog.events.identity import distinct_id_of, event_uuid, stable_uuid, timestamp_of
from otel_posthog.events.properties import (
    CALL,
    COMMON,
    STATE,
    Property,
    redacted_as,
    span_name_without_content,
    without_content,
)
from otel_posthog.events.usage import token_properties

__all__ = ["LIB", "Event", "EventOptions", "build_event", "redacted_as", "trace_event", "without_content"]

GENERATION = "$ai_generation"
EMBEDDING = "$ai_embedding"
SPAN = "$ai_span"
TRACE = "$ai_trace"

LIB = "otel-posthog"

_ABOUT_US: dict[str, Json] = {
    "$geoip_disable": True,
    "$lib": LIB,
    "$ai_lib": LIB,
    "$lib_version": __version__,
    "$ai_lib_version": __version__,
    "$ai_ingestion_source": "otel",
}

_NAMES_OF_THE_DEPLOYMENT = ("service.", "deployment.environment", "cloud.", "k8s.", "container.", "faas.")
# Resource attributes that describe the machine, not the app; PostHog's OTLP mapping leaves them out too.
_RESOURCE_NOISE = ("host.", "process.", "os.", "telemetry.", "posthog.", "user.")


@dataclass(frozen=True, slots=True)
class Event:
    """A PostHog event, ready for capture. ``timestamp`` is RFC 3339 in UTC."""

    name: str
    uuid: str
    distinct_id: str
    timestamp: str
    properties: dict[str, Json]


@dataclass(frozen=True, slots=True)
class EventOptions:
    """``unmapped``: pass attributes without a property through; ``allowed``: of these, which (``None``: all).

    ``distinct_id`` is the fallback where a span names no user, ``properties`` are added to every event.
    """

    unmapped: bool = True
    allowed: Callable[[str], bool] | None = None
    distinct_id: str | None = None
    properties: Mapping[str, Any] | None = None


def build_event(
    operation: Operation,
    span: SpanView,
    identity: Identity,
    place: Place,
    options: EventOptions,
    *,
    content: bool = True,
    sample_rate: float | None = None,
) -> Event:
    """The event of an operation. With ``content`` off, only what the table of properties allows."""
    trace_id = place.trace_id
    name = _event_name(operation, span)
    is_call = name in (GENERATION, EMBEDDING)
    properties = passed_through(operation.unmapped, span.resource, options)
    properties["$ai_trace_id"] = trace_id
    properties["$ai_span_id"] = span.span_id
    if name != TRACE:
        properties["$ai_parent_id"] = place.parent_id or trace_id
    latency = operation.latency
    if latency is None:
        latency = max(0, span.end_unix_nano - span.start_unix_nano) / 1e9
    properties["$ai_latency"] = latency
    properties["$ai_span_name"] = operation.name or span.name
    for row in _CALL_ROWS if is_call else _STATE_ROWS:
        value = row.value(operation)  # type: ignore[misc]  # these rows have one
        if value is not None:
            properties[row.name] = value
    if identity.session is not None:
        properties["$ai_session_id"] = identity.session
    if identity.groups:
        properties["$groups"] = dict(identity.groups)
    if sample_rate is not None:
        properties["$ai_sample_rate"] = sample_rate
    if is_call:
        properties.update(token_properties(operation))
    distinct_id = add_person(properties, identity, trace_id, span.resource, options)
    properties.update(_ABOUT_US)
    properties.update(identity.properties)
    properties.update(operation.overrides)  # what the app names as a PostHog property wins
    if not content:
        properties.update(_names_without_content(operation, span))
        properties = allowed_without_content(properties, span.resource, options)
    return Event(
        name, event_uuid(span.trace_id, span.span_id), distinct_id, timestamp_of(span.start_unix_nano), properties
    )


_CALL_ROWS: tuple[Property, ...] = (*COMMON, *CALL)
_STATE_ROWS: tuple[Property, ...] = (*COMMON, *STATE)


def _names_without_content(operation: Operation, span: SpanView) -> dict[str, Json]:
    """The name of the tool or agent, else the span's name up to where it is a sentence; an override is content."""
    return {"$ai_span_name": operation.name or span_name_without_content(operation.operation_name, span.name)}


def allowed_without_content(
    properties: Mapping[str, Json], resource: Mapping[str, Json], options: EventOptions
) -> dict[str, Json]:
    """The properties that are sent where content is off.

    Those of the setting ``properties`` are the developer's, and resource attributes such as ``service.name`` name the
    deployment; any other text without a row in the table counts as content.
    """
    named = {name: value for name, value in resource.items() if name.startswith(_NAMES_OF_THE_DEPLOYMENT)}
    named.update(options.properties or {})
    kept: dict[str, Json] = {}
    for name, value in properties.items():
        allowed = value if name in named and named[name] == value else without_content(name, value)
        if allowed is not None:
            kept[name] = allowed
    if "$ai_error_type" in kept:
        kept["$ai_error"] = kept["$ai_error_type"]
    return kept


# What a root span says of itself and not of its trace. A latency on both would be counted twice: PostHog's trace view
# sums the events without a parent.
_OF_THE_SPAN = ("$ai_latency", "$ai_parent_id", "$ai_span_id", "$ai_span_type", "$ai_model")


def trace_event(root: Event) -> Event:
    """The event that gives a trace the name and the state of its root, where that is below a span without an event."""
    properties = {name: value for name, value in root.properties.items() if name not in _OF_THE_SPAN}
    uuid = stable_uuid(str(properties["$ai_trace_id"]), "trace")
    return Event(TRACE, uuid, root.distinct_id, root.timestamp, properties)


def _event_name(operation: Operation, span: SpanView) -> str:
    if operation.kind == "generation":
        return GENERATION
    if operation.kind == "embedding":
        return EMBEDDING
    return TRACE if span.parent_span_id is None else SPAN


def passed_through(
    unmapped: Mapping[str, Json], resource: Mapping[str, Json], options: EventOptions
) -> dict[str, Json]:
    """Attributes without a property, under their own name, and the properties of the settings."""
    if not options.unmapped:
        return dict(options.properties or {})
    allowed = options.allowed
    found = {
        name: value
        for name, value in resource.items()
        if not name.startswith(_RESOURCE_NOISE) and (allowed is None or allowed(name))
    }
    if allowed is None:
        found.update(unmapped)
    else:
        found.update({name: value for name, value in unmapped.items() if allowed(name)})
    if options.properties:
        found.update(options.properties)
    return found


def add_person(
    properties: dict[str, Json],
    identity: Identity,
    trace_id: str,
    resource: Mapping[str, Json],
    options: EventOptions,
) -> str:
    """The distinct_id; an event without a known user makes no person profile."""
    distinct_id, known = distinct_id_of(
        identity.user,
        identity.session,
        trace_id,
        _text(resource, "posthog.distinct_id"),
        _text(resource, "user.id"),
        options.distinct_id,
    )
    if not known:
        properties["$process_person_profile"] = False
    return distinct_id


def about_us() -> dict[str, Json]:
    """The properties that name this library."""
    return dict(_ABOUT_US)


def _text(resource: Mapping[str, Json], name: str) -> str | None:
    value = resource.get(name)
    return value if isinstance(value, str) else None
