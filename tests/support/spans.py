"""Finished spans as the SDK makes them, by a provider that nobody else sees."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

QUESTION = "What is the airspeed of an unladen swallow?"
ANSWER = "African or European?"
CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5-mini",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 3,
    "gen_ai.input.messages": f'[{{"role":"user","parts":[{{"type":"text","content":"{QUESTION}"}}]}}]',
    "gen_ai.output.messages": f'[{{"role":"assistant","parts":[{{"type":"text","content":"{ANSWER}"}}]}}]',
}
HTTP: dict[str, Any] = {"http.request.method": "GET", "url.full": "https://example.com/", "server.port": 443}


def ai_span(**attributes: Any) -> ReadableSpan:
    """A chat call; ``attributes`` are added to those of :data:`CHAT`."""
    return _finished("chat gpt-5-mini", CHAT | attributes)


def ai_spans(n: int) -> list[ReadableSpan]:
    """``n`` chat calls, each a trace of its own."""
    return [ai_span() for _ in range(n)]


def tool_span() -> ReadableSpan:
    """An AI span that is no call of a model."""
    return _finished("execute_tool swallow", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "swallow"})


def http_span() -> ReadableSpan:
    """A span without anything of AI."""
    return _finished("GET", HTTP)


class _Torn(ReadableSpan):
    @property
    def status(self) -> Any:
        raise RuntimeError("torn")


def torn() -> ReadableSpan:
    """A chat call whose status cannot be read."""
    context = SpanContext(1, 2, False, TraceFlags(1))
    return _Torn("chat", context, attributes=CHAT, start_time=1, end_time=2)


def _finished(name: str, attributes: dict[str, Any]) -> ReadableSpan:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "tests"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with provider.get_tracer("tests").start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes):
        pass
    (span,) = kept.get_finished_spans()
    return span
