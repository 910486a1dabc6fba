"""Leftover attributes that do not pass through to the event."""

from __future__ import annotations

from typing import Any

from otel_posthog.conventions._placeholders import is_placeholder

# Code locations, UI hints, schemas of what a property shows, and parts of token counts.
_PREFIXES = ("code.", "logfire.", "exception.", "otel.status_", "thread.", "telemetry.sdk.", "mlflow.experimentId",
             "mlflow.traceRequestId", "langfuse.internal.", "sentry.", "gen_ai.event.", "gen_ai.usage.details.",
             "gen_ai.aggregated_usage.details.", "ai.request.headers.", "crew_agents", "crew_tasks",
             "crewai.crew.tasks", "crewai.crew.agents", "crewai.crew.token_usage",
             "crewai.crew.usage_metrics")  # fmt: skip
_NAMES = frozenset(
    ("gen_ai.system", "gen_ai.provider.name", "llm.provider", "llm.system", "llm.vendor", "openinference.span.kind",
     "traceloop.span.kind", "mlflow.spanType", "gen_ai.headers", "gen_ai.sdk.version", "gen_ai.tool.json_schema",
     "tool.parameters", "tool.json_schema", "ai.schema", "ai.response.providerMetadata", "haystack.agent.tools",
     "haystack.agent.state_schema", "haystack.component.input_spec", "haystack.component.input_types",
     "haystack.component.output_spec", "langfuse.observation.completion_start_time")
)  # fmt: skip
_STACKS = ("stacktrace", "stack_trace", "error.stack")
_EMPTY_TEXTS = frozenset(("", "[]", "{}", "null", '""'))


def is_noise(name: str, value: Any) -> bool:
    """Whether a leftover attribute carries no information of its own."""
    if isinstance(value, str):
        is_empty = value in _EMPTY_TEXTS or is_placeholder(value)
    elif isinstance(value, (int, float)):
        is_empty = value == -1 and name.startswith("gen_ai.request.")  # OpenLIT: not set
    else:
        is_empty = not value
    return is_empty or name in _NAMES or name.startswith(_PREFIXES) or name.endswith(_STACKS)
