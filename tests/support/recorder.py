"""Records the telemetry of real libraries: ``python -m tests.support.recorder NAME [FILE]``, or ``make record NAME=…``.

The real library, under the real instrumentation, calls the fake LLM server. What it writes, and the truth of each call,
becomes a recording as in ``tests/recordings``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import format_span_id, format_trace_id

from tests.support.drivers import SPANS
from tests.support.llm import FakeLLM, drive

Json = Any
CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
LATEST = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}


@dataclass(frozen=True)
class Source:
    """What is recorded: ``instrumentation`` and ``client`` are packages, ``instrumentors`` are ``module:class``
    (none if the library traces itself), ``env`` is set before anything of it is imported."""

    instrumentation: str
    client: str
    drive: Callable[..., list[dict[str, Json]]]
    instrumentors: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mode: str = "default"


_OPENAI_V2 = ("opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor",)
_OPENINFERENCE_OPENAI = ("openinference.instrumentation.openai:OpenAIInstrumentor",)
_OPENINFERENCE_LANGCHAIN = ("openinference.instrumentation.langchain:LangChainInstrumentor",)
SOURCES = {
    "otel-openai-v2_log-events": Source(
        "opentelemetry-instrumentation-openai-v2", "openai", drive.drive_openai_chat, _OPENAI_V2, CONTENT, "log events"
    ),
    "otel-openai-v2_span-only": Source(
        "opentelemetry-instrumentation-openai-v2", "openai", drive.drive_openai_chat, _OPENAI_V2, LATEST, "span only"
    ),
    "openinference-openai": Source(
        "openinference-instrumentation-openai",
        "openai",
        drive.drive_openai_chat,
        _OPENINFERENCE_OPENAI,
    ),
    "openinference-anthropic": Source(
        "openinference-instrumentation-anthropic",
        "anthropic",
        drive.drive_anthropic,
        ("openinference.instrumentation.anthropic:AnthropicInstrumentor",),
    ),
    "openllmetry-anthropic": Source(
        "opentelemetry-instrumentation-anthropic",
        "anthropic",
        drive.drive_anthropic,
        ("opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",),
    ),
    "openinference-langchain": Source(
        "openinference-instrumentation-langchain",
        "langchain-openai",
        drive.drive_langchain,
        _OPENINFERENCE_LANGCHAIN,
    ),
    "pair_openinference-openai_openai-v2": Source(
        "openinference-instrumentation-openai",
        "openai",
        drive.drive_openai_chat,
        (*_OPENAI_V2, *_OPENINFERENCE_OPENAI),
        CONTENT,
        "with opentelemetry-instrumentation-openai-v2",
    ),
    "pair_openinference-langchain_openai-v2": Source(
        "openinference-instrumentation-langchain",
        "langchain-openai",
        drive.drive_langchain,
        (*_OPENINFERENCE_LANGCHAIN, *_OPENAI_V2),
        CONTENT,
        "with opentelemetry-instrumentation-openai-v2",
    ),
    "pydantic-ai": Source("pydantic-ai-slim", "openai", drive.drive_pydantic_ai),
}


DRIVERS = Path(__file__).parent / "drivers"


def source_named(name: str) -> Source:
    """What the table or a module of ``tests.support.drivers`` says is recorded under this name."""
    if name in SOURCES:
        return SOURCES[name]
    source: Source = importlib.import_module(f"tests.support.drivers.{module_name(name)}").SOURCE
    return source


def module_name(name: str) -> str:
    """The module of a driver: ``google-adk_1`` is driven by ``google_adk_1``."""
    return name.replace("-", "_")


def record(name: str) -> dict[str, Json]:
    """Run the library in this process, whose global providers are set for it."""
    source = source_named(name)
    os.environ.update(source.env)
    spans, logs = SPANS, _LogRecords()
    tracer_provider, logger_provider = TracerProvider(), LoggerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    trace.set_tracer_provider(tracer_provider)
    _logs.set_logger_provider(logger_provider)
    for instrumentor in source.instrumentors:
        module, _, kind = instrumentor.partition(":")
        getattr(importlib.import_module(module), kind)().instrument()

    def finished() -> list[str]:
        return [format_span_id(span.context.span_id) for span in spans.get_finished_spans() if span.context]

    with FakeLLM() as llm:
        calls = source.drive(llm.url, None, finished)
    return {
        "instrumentation": source.instrumentation,
        "version": version(source.instrumentation),
        "client": {"package": source.client, "version": version(source.client)},
        "mode": source.mode,
        "env": dict(source.env),
        "sdk": {name: version(name) for name in ("opentelemetry-sdk", "opentelemetry-semantic-conventions")},
        "notes": [],
        "calls": calls,
        "spans": [_span(span) for span in spans.get_finished_spans()],
        "logs": logs.records,
    }


def _span(span: ReadableSpan) -> dict[str, Json]:
    context, scope = span.get_span_context(), span.instrumentation_scope
    assert context is not None
    assert scope is not None
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": format_trace_id(context.trace_id),
        "span_id": format_span_id(context.span_id),
        "parent_span_id": format_span_id(span.parent.span_id) if span.parent else None,
        "start_time_unix_nano": span.start_time,
        "end_time_unix_nano": span.end_time,
        "status": {"code": span.status.status_code.name, "message": span.status.description},
        "attributes": dict(span.attributes or {}),
        "events": [
            {"name": event.name, "attributes": dict(event.attributes or {}), "time_unix_nano": event.timestamp}
            for event in span.events
        ],
        "resource": dict(span.resource.attributes),
        "scope": {"name": scope.name, "version": scope.version, "schema_url": scope.schema_url},
    }


class _LogRecords:
    """An exporter of log records; its base class has had another name in each SDK."""

    def __init__(self) -> None:
        self.records: list[dict[str, Json]] = []

    def export(self, batch: Any) -> None:
        for item in batch:
            found = item.log_record
            attributes = dict(found.attributes or {})
            self.records.append(
                {
                    "event_name": getattr(found, "event_name", None) or attributes.get("event.name"),
                    "trace_id": format_trace_id(found.trace_id or 0),
                    "span_id": format_span_id(found.span_id or 0),
                    "attributes": attributes,
                    "body": found.body,
                }
            )

    def shutdown(self) -> None:
        """Nothing to close."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is buffered."""
        return True


def main(arguments: list[str]) -> None:
    """Write a recording."""
    names = [*SOURCES, *sorted(path.stem for path in DRIVERS.glob("*.py") if path.stem != "__init__")]
    if not arguments or module_name(arguments[0]) not in map(module_name, names):
        raise SystemExit(f"usage: python -m tests.support.recorder NAME [FILE], NAME one of: {', '.join(names)}")
    name = arguments[0]
    default = Path(__file__).parents[1] / "recordings" / f"{name}.json"
    path = Path(arguments[1]) if len(arguments) > 1 else default
    written = json.dumps(record(name), ensure_ascii=False, default=str)
    for folder in (sys.prefix, str(Path.cwd())):  # stack traces hold them
        written = written.replace(f"{folder}/", "")
    path.write_text(written + "\n")
    print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
