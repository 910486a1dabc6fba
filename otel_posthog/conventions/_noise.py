"""Attributes that nobody looks for on an event: they do not pass through."""

from __future__ import annotations

from typing import Any

from otel_posthog.conventions._placeholders import is_placeholder

# Where the code is, how a UI shows the span, and what an error property says already.
_PREFIXES = ("code.", "logfire.", "exception.", "otel.status_", "thread.", "mlflow.experimentId", "sentry.op")
_NAMES = frozenset(
    ("gen_ai.system", "gen_ai.provider.name", "llm.provider", "llm.system", "llm.vendor", "error.stack",
     "error.stacktrace", "stacktrace", "openinference.span.kind", "traceloop.span.kind", "mlflow.spanType")
)  # fmt: skip
_EMPTY_TEXTS = frozenset(("", "[]", "{}", "null", '""'))


def is_noise(name: str, value: Any) -> bool:
    """Whether an attribute that no reader took says nothing."""
    if isinstance(value, str):
        is_empty = value in _EMPTY_TEXTS or is_placeholder(value)
    elif isinstance(value, (int, float)):
        is_empty = value == -1 and name.startswith("gen_ai.request.")  # OpenLIT: not set
    else:
        is_empty = not value
    return is_empty or name in _NAMES or name.startswith(_PREFIXES)
