"""LiteLLM's OpenTelemetry callback."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.drivers import SPANS
from tests.support.drivers.litellm_otel_v2 import calls
from tests.support.llm.steps import Record, SpanIds
from tests.support.recorder import Source

REQUIRES = ("litellm[proxy]", "opentelemetry-exporter-otlp")


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    import litellm
    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

    litellm.callbacks = [OpenTelemetry(config=OpenTelemetryConfig(exporter=SPANS))]
    return calls(base_url, names, finished)


SOURCE = Source("litellm", "openai", drive, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})
