"""Spans to events through the product's own pipeline, without sending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog._memory import Memory
from otel_posthog._pipeline import Pipeline
from otel_posthog._spans import EventView, SpanView, view_of
from otel_posthog._trace import Batch
from otel_posthog.delivery import encode
from otel_posthog.settings import Settings
from otel_posthog.stages.sampling import Sampler


def events_of(
    spans: Sequence[ReadableSpan], logs: Mapping[str, Sequence[EventView]] | None = None, **options: Any
) -> list[dict[str, Any]]:
    """The events of one batch as PostHog receives them; ``logs`` are by span id, ``options`` those of the exporter."""
    views = [view_of(span, (logs or {}).get(format(span.get_span_context().span_id, "016x"), ())) for span in spans]
    return events_of_views(views, **options)


def events_of_views(views: Sequence[SpanView], **options: Any) -> list[dict[str, Any]]:
    """As :func:`events_of`, of spans that came from elsewhere."""
    settings = Settings(api_key="phc_test", **options)
    memory = Memory(Sampler(settings.sample_rate, settings.sample_errors))
    result = Pipeline(settings, encode).run(Batch(views), memory)
    for drop in result.drops:
        if drop.error is not None:
            raise drop.error
    return [orjson.loads(event.body) for event in result.events]
