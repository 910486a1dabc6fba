"""What an event says, in the few fields that lists, trees and sums need.

`facts_of` reads them from an event's properties; the index stores them, one row for each event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from otel_posthog.local.prices import PRICED_EVENTS, cost_of, fresh_input, plain_output
from otel_posthog.local.store import StoredEvent

# What was said about a span or a trace afterwards, by an evaluator, a user or a measurement.
JUDGEMENTS = frozenset({"$ai_evaluation", "$ai_feedback", "$ai_metric"})

_NAME_LENGTH = 200  # characters; a longer name, id or model is cut in lists
_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """One event. Times in seconds, ``cost`` in USD; ``None`` where the event has no value.

    ``node_id`` and ``parent_id`` are the places that PostHog's trace view derives: a node's id is
    `$ai_generation_id`, else `$ai_span_id`, else the uuid; its parent is `$ai_parent_id`, else the
    trace. ``fresh_input`` are the input tokens outside the cache, ``plain_output`` the output tokens that are no
    reasoning. ``cost_source`` is one of `prices.Source`. ``seq`` is the event's number in the store.
    """

    seq: int
    project: str
    kind: str
    uuid: str
    time: float
    trace_id: str | None
    session_id: str | None
    user: str
    anonymous: bool
    node_id: str
    parent_id: str
    name: str
    model: str | None
    provider: str | None
    input_tokens: float | None
    output_tokens: float | None
    cache_read: float | None
    cache_write: float | None
    reasoning: float | None
    fresh_input: float | None
    plain_output: float | None
    latency: float | None
    first_token: float | None
    cost: float | None
    cost_source: str | None
    is_error: bool
    error: str | None
    result: str | None
    deliveries: int

    @property
    def is_priced(self) -> bool:
        """Whether PostHog gives such an event a cost."""
        return self.kind in PRICED_EVENTS

    @property
    def is_judgement(self) -> bool:
        """Whether the event is about another one, and no step of the trace."""
        return self.kind in JUDGEMENTS

    @property
    def lacks_price(self) -> bool:
        """Whether the event has tokens that no known price applies to."""
        has_tokens = self.input_tokens is not None or self.output_tokens is not None
        return self.is_priced and self.cost is None and has_tokens

    @property
    def on_trace(self) -> bool:
        """Whether the event names no parent, or the trace itself."""
        return self.parent_id in ("", self.trace_id)


def facts_of(event: StoredEvent, seq: int = 0, project: str = "") -> Facts:
    """Read an event. Values of a wrong type count as absent, as PostHog nulls them."""
    properties = event["properties"]
    cost = cost_of(event["event"], properties)
    return Facts(
        seq=seq,
        project=project,
        kind=event["event"],
        uuid=event["uuid"],
        time=seconds_of(event["timestamp"]),
        trace_id=_id(properties, "$ai_trace_id"),
        session_id=_id(properties, "$ai_session_id"),
        user=event["distinct_id"],
        anonymous=properties.get("$process_person_profile") is False,
        node_id=_id(properties, "$ai_generation_id", "$ai_span_id") or event["uuid"],
        # A judgement has no parent of its own; it is shown under what it judged.
        parent_id=_id(properties, "$ai_parent_id", "$ai_target_span_id", "$ai_target_event_id", "$ai_trace_id") or "",
        name=_name(event["event"], properties),
        model=_text(properties, "$ai_model"),
        provider=_text(properties, "$ai_provider"),
        input_tokens=number(properties, "$ai_input_tokens"),
        output_tokens=number(properties, "$ai_output_tokens"),
        cache_read=number(properties, "$ai_cache_read_input_tokens"),
        cache_write=number(properties, "$ai_cache_creation_input_tokens"),
        reasoning=number(properties, "$ai_reasoning_tokens"),
        fresh_input=fresh_input(properties),
        plain_output=plain_output(properties),
        latency=number(properties, "$ai_latency"),
        first_token=number(properties, "$ai_time_to_first_token"),
        cost=None if cost is None else cost.total,
        cost_source=None if cost is None else cost.source,
        is_error=is_error(properties),
        error=_error(properties),
        result=_result(properties),
        deliveries=event["deliveries"],
    )


def number(properties: dict[str, Any], name: str) -> float | None:
    """A finite number, ``None`` for anything else. A float: SQLite has no integers beyond 64 bits."""
    value = properties.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def is_error(properties: dict[str, Any]) -> bool:
    return properties.get("$ai_is_error") in (True, "true")


def seconds_of(timestamp: str) -> float:
    """An RFC 3339 time in seconds since 1970; 0 if it cannot be read."""
    text = timestamp.replace("Z", "+00:00").replace("z", "+00:00")
    head, dot, rest = text.partition(".")
    if dot:  # Python 3.10 reads 3 or 6 digits of a second only
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{digits[:6]:0<6}{rest[len(digits) :]}"
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _id(properties: dict[str, Any], *names: str) -> str | None:
    """The first of the ids that is set, as the server writes it: as text."""
    return next((str(properties[name]) for name in names if properties.get(name) not in (None, "")), None)


def _text(properties: dict[str, Any], *names: str) -> str | None:
    value = next((properties[name] for name in names if properties.get(name)), None)
    return None if value is None else " ".join(str(value)[: 2 * _NAME_LENGTH].split())[:_NAME_LENGTH]


_NAMES = {
    "$ai_evaluation": ("$ai_evaluation_name",),
    "$ai_metric": ("$ai_metric_name",),
    "$ai_feedback": (),
    "$ai_trace": ("$ai_trace_name", "$ai_span_name"),
}


def _name(kind: str, properties: dict[str, Any]) -> str:
    return _text(properties, *_NAMES.get(kind, ("$ai_span_name",))) or ""


def _error(properties: dict[str, Any]) -> str | None:
    if not is_error(properties):
        return None
    error = properties.get("$ai_error")
    text = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(text or "failed")[: 2 * _ERROR_LENGTH].split())[:_ERROR_LENGTH]


def _result(properties: dict[str, Any]) -> str | None:
    """What an evaluation, a metric or a user says."""
    names = ("$ai_evaluation_result", "$ai_metric_value", "$ai_feedback_text")
    value = next((properties[name] for name in names if properties.get(name) is not None), None)
    if isinstance(value, float):
        return f"{value:g}"
    return None if value is None else " ".join(str(value)[: 2 * _NAME_LENGTH].split())[:_NAME_LENGTH]
