"""Spans to events the way the exporter does it, without sending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog import conventions
from otel_posthog._spans import EventView, view_of
from otel_posthog.delivery import encode
from otel_posthog.events import Shape, event_of
from otel_posthog.stages import Node, connect


def events_of(
    spans: Sequence[ReadableSpan],
    logs: Mapping[str, Sequence[EventView]] | None = None,
    shape: Shape | None = None,
) -> list[dict[str, Any]]:
    """The events of one export as PostHog receives them; ``logs`` are by span id."""
    views = [view_of(span) for span in spans]
    for view in views:
        view.logs = (logs or {}).get(view.span_id, ())
    nodes = [Node(view, conventions.parse_span(view)) for view in views]
    connect(nodes)
    return [
        orjson.loads(encode(event_of(node.operation, node.view, node.parent_id, shape or Shape(), node.trace_id)).body)
        for node in nodes
        if node.operation is not None
    ]
