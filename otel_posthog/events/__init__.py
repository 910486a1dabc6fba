"""Operation -> PostHog event. The only place that knows ``$ai_…``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_posthog._model import Json, Operation
from otel_posthog._spans import SpanView
from otel_posthog._version import __version__
from otel_posthog.events.evaluations import EVENTS, evaluation_properties
from otel_posthog.events.identity import distinct_id_of, event_uuid, stable_uuid, timestamp_of
from otel_posthog.events.messages import posthog_tools
from otel_posthog.events.properties import CALL, COMMON, STATE, Property
from otel_posthog.events.silence import silent, silent_span_name, silent_stated, silent_tools
from otel_posthog.events.usage import token_properties

GENERATION = "$ai_generation"
EMBEDDING = "$ai_embedding"
SPAN = "$ai_span"
TRACE = "$ai_trace"

LIB = "otel-posthog"

# Resource attributes that describe the machine, not the app; PostHog's OTLP mapping leaves them out too.
_RESOURCE_NOISE = ("host.", "process.", "os.", "telemetry.", "posthog.", "user.")

_CONTENT_PROPERTIES = {row.name for row in (*COMMON, *CALL, *STATE) if row.content} | {"$ai_tools"}
_NEVER_CONTENT = ("_id", "_url", "_model", "_provider")  # ends of names


@dataclass(slots=True)
class Event:
    """A PostHog event, ready for capture. ``timestamp`` is RFC 3339 in UTC."""

    name: str
    uuid: str
    distinct_id: str
    timestamp: str
    properties: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Shape:
    """What of an operation is sent, apart from the operation itself."""

    content: bool = True
    unmapped: bool = True
    allowed: Callable[[str], bool] | None = None  # which of the unmapped ones, None: all
    distinct_id: str | None = None
    properties: Mapping[str, Any] | None = None


def event_of(
    operation: Operation, span: SpanView, parent_id: str | None, shape: Shape, trace_id: str | None = None
) -> Event:
    """The event of an operation; ``parent_id`` is the span id of the nearest span that is sent, if there is one.

    ``trace_id`` is the trace that it is shown in; default: the span's own.
    """
    trace_id = trace_id or span.trace_id
    name = _name(operation, span)
    is_call = name in (GENERATION, EMBEDDING)
    properties: dict[str, Json] = {}
    if shape.unmapped:
        _pass_through(properties, operation, span, shape)
    properties.update(shape.properties or {})
    rows: tuple[Property, ...] = (*COMMON, *CALL) if is_call else (*COMMON, *STATE)
    if operation.evaluation is None:
        _place_in_tree(properties, operation, span, trace_id, parent_id, name)
        properties["$ai_span_name"] = _span_name(operation, span, shape.content)
    else:
        rows = COMMON
        properties.update(evaluation_properties(operation.evaluation, span, shape.content))
    for row in rows:
        if row.content and not shape.content:
            continue
        value = row.value(operation)
        if not shape.content:
            value = silent(row.name, value)
        if value is not None:
            properties[row.name] = value
    if not shape.content and "$ai_error_type" in properties:
        properties["$ai_error"] = properties["$ai_error_type"]
    tools = operation.tools if shape.content else silent_tools(operation.tools or ())
    if tools:
        properties["$ai_tools"] = posthog_tools(tools, shape.content)
    if is_call:
        properties.update(token_properties(operation))
    distinct_id, known = distinct_id_of(
        operation,
        trace_id,
        _resource_text(span, "posthog.distinct_id"),
        _resource_text(span, "user.id"),
        shape.distinct_id,
    )
    if not known:
        properties["$process_person_profile"] = False
    properties["$geoip_disable"] = True
    properties["$lib"] = properties["$ai_lib"] = LIB
    properties["$lib_version"] = properties["$ai_lib_version"] = __version__
    properties["$ai_ingestion_source"] = "otel"
    _let_the_app_win(properties, operation, shape.content)
    return Event(
        name,
        event_uuid(span.trace_id, span.span_id),
        distinct_id,
        timestamp_of(span.start_unix_nano),
        properties,
    )


# What a root span says of itself and not of its trace. Without a latency the trace's is not counted twice
# (posthog.md section 4).
_OF_THE_SPAN = ("$ai_latency", "$ai_parent_id", "$ai_span_id", "$ai_span_type", "$ai_model")


def trace_of(root: Event) -> Event:
    """The event that gives a trace the name and the state of its root, where that is below a span that is not sent."""
    properties = {name: value for name, value in root.properties.items() if name not in _OF_THE_SPAN}
    uuid = stable_uuid(str(properties["$ai_trace_id"]), "trace")
    return Event(TRACE, uuid, root.distinct_id, root.timestamp, properties)


def is_content(name: str) -> bool:
    """Whether the property of this name may hold content, if the app states it.

    Ids, models and addresses do not; persons and groups (``$set``, ``$groups``) are stated in order to be known.
    """
    return name in _CONTENT_PROPERTIES or (name.startswith("$ai_") and not name.endswith(_NEVER_CONTENT))


def _name(operation: Operation, span: SpanView) -> str:
    if operation.evaluation is not None:
        return EVENTS[operation.evaluation.kind]
    if operation.kind == "generation":
        return GENERATION
    if operation.kind == "embedding":
        return EMBEDDING
    return TRACE if span.parent_span_id is None else SPAN


def _place_in_tree(
    properties: dict[str, Json], operation: Operation, span: SpanView, trace_id: str, parent_id: str | None, name: str
) -> None:
    properties["$ai_trace_id"] = trace_id
    properties["$ai_span_id"] = span.span_id
    if name != TRACE:
        properties["$ai_parent_id"] = parent_id or trace_id
    latency = operation.latency
    if latency is None:
        latency = max(0, span.end_unix_nano - span.start_unix_nano) / 1e9
    properties["$ai_latency"] = latency


def _span_name(operation: Operation, span: SpanView, content: bool) -> str:
    if operation.name:
        return operation.name
    return span.name if content else silent_span_name(operation, span.name)


def _pass_through(properties: dict[str, Json], operation: Operation, span: SpanView, shape: Shape) -> None:
    """Attributes without a property of their own, under their own name.

    With content off only numbers and booleans stay: any text may quote a prompt.
    """
    allowed = shape.allowed
    for name, value in span.resource.items():
        if not name.startswith(_RESOURCE_NOISE) and (allowed is None or allowed(name)):
            properties[name] = value
    for name, value in operation.unmapped.items():
        if (shape.content or isinstance(value, (bool, int, float))) and (allowed is None or allowed(name)):
            properties[name] = value


def _let_the_app_win(properties: dict[str, Json], operation: Operation, content: bool) -> None:
    """Properties that the app stated by their PostHog name, last; content stays out if content is off."""
    for name, value in operation.overrides.items():
        if content:
            properties[name] = value
        elif name not in _CONTENT_PROPERTIES and (kept := silent_stated(name, value)) is not None:
            properties[name] = kept


def _resource_text(span: SpanView, name: str) -> str | None:
    value = span.resource.get(name)
    return value if isinstance(value, str) else None
