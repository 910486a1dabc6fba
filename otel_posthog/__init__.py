"""OpenTelemetry GenAI spans as PostHog LLM analytics events."""

from otel_posthog._context import context
from otel_posthog._version import __version__
from otel_posthog.configure import Handle, configure, flush
from otel_posthog.conventions import Reader
from otel_posthog.delivery import Stats
from otel_posthog.evaluations import evaluation, feedback, metric
from otel_posthog.exporter import PostHogSpanExporter
from otel_posthog.logs import PostHogLogRecordProcessor
from otel_posthog.processor import PostHogSpanProcessor
from otel_posthog.serverless import flush_on_return
from otel_posthog.settings import ConfigurationError, Settings

__all__ = [
    "ConfigurationError",
    "Handle",
    "PostHogLogRecordProcessor",
    "PostHogSpanExporter",
    "PostHogSpanProcessor",
    "Reader",
    "Settings",
    "Stats",
    "__version__",
    "configure",
    "context",
    "evaluation",
    "feedback",
    "flush",
    "flush_on_return",
    "metric",
]
