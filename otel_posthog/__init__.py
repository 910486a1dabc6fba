"""OpenTelemetry GenAI spans as PostHog LLM analytics events."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_posthog._version import __version__

if TYPE_CHECKING:
    from otel_posthog._configure import Handle, configure, flush
    from otel_posthog._context import context
    from otel_posthog._evaluations import evaluation, feedback, metric
    from otel_posthog._model import Cost, Failure, Message, Operation, Tool, ToolCall, ToolResult, Usage
    from otel_posthog._serverless import flush_on_return
    from otel_posthog._spans import EventView, SpanView
    from otel_posthog.conventions import Attributes, Reader
    from otel_posthog.delivery import Stats
    from otel_posthog.exporter import PostHogSpanExporter
    from otel_posthog.logs import PostHogLogRecordProcessor
    from otel_posthog.processor import PostHogSpanProcessor
    from otel_posthog.settings import ConfigurationError, Settings

__all__ = [
    "Attributes",
    "ConfigurationError",
    "Cost",
    "EventView",
    "Failure",
    "Handle",
    "Message",
    "Operation",
    "PostHogLogRecordProcessor",
    "PostHogSpanExporter",
    "PostHogSpanProcessor",
    "Reader",
    "Settings",
    "SpanView",
    "Stats",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Usage",
    "__version__",
    "configure",
    "context",
    "evaluation",
    "feedback",
    "flush",
    "flush_on_return",
    "metric",
]

# Loaded on first use, so that `import otel_posthog` costs an app next to nothing.
_MODULES = {
    "_configure": ("Handle", "configure", "flush"),
    "_context": ("context",),
    "_evaluations": ("evaluation", "feedback", "metric"),
    "_model": ("Cost", "Failure", "Message", "Operation", "Tool", "ToolCall", "ToolResult", "Usage"),
    "_serverless": ("flush_on_return",),
    "_spans": ("EventView", "SpanView"),
    "conventions": ("Attributes", "Reader"),
    "delivery": ("Stats",),
    "exporter": ("PostHogSpanExporter",),
    "logs": ("PostHogLogRecordProcessor",),
    "processor": ("PostHogSpanProcessor",),
    "settings": ("ConfigurationError", "Settings"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
