"""The observer of a process. See ``observer``."""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from otel_posthog._configure import sdk_provider
from otel_posthog._spans import view_of
from otel_posthog.conventions import is_ai_span, reader_of
from otel_posthog.doctor._wire import Wire, watch
from otel_posthog.exporter import PostHogSpanExporter
from otel_posthog.processor import PostHogSpanProcessor

_EVERY = 1.0  # seconds between two reports, in case the process is killed
_MOST_MESSAGES = 50
_MOST_USERS = 3
# Modules of LLM clients, by the name of their distribution.
_CLIENT_MODULES = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google-genai": "google.genai",
    "mistralai": "mistralai",
    "groq": "groq",
    "cohere": "cohere",
    "ollama": "ollama",
    "litellm": "litellm",
    "langchain-core": "langchain_core",
    "llama-index-core": "llama_index.core",
    "openai-agents": "agents",
    "crewai": "crewai",
    "dspy": "dspy",
    "smolagents": "smolagents",
    "haystack-ai": "haystack",
    "agno": "agno",
}


class Observer(SpanProcessor):
    """Counts the spans of all providers of this process."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self.providers: list[TracerProvider] = []
        self.messages = _Messages()
        self.wire = Wire()
        self.reset()

    def reset(self) -> None:
        """Start from zero, as in a forked child."""
        self.started: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.ai: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.ai_scopes: dict[str, str] = {}  # by span id
        self._writing = threading.Lock()
        self._is_final = False
        self.wire.reset()

    def watch_provider(self, provider: TracerProvider) -> None:
        """See the spans of a provider."""
        if not any(provider is known for known in self.providers):
            self.providers.append(provider)
            # Not the provider's own method: Phoenix's replaces its default processor when one is added.
            TracerProvider.add_span_processor(provider, self)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Count it."""
        self.started[_scope(span)] += 1

    def on_end(self, span: ReadableSpan) -> None:
        """Count it, by the reader that takes it."""
        try:
            self.ended[_scope(span)] += 1
            if is_ai_span(span):
                view = view_of(span)
                reader = reader_of(view)
                if reader is not None:
                    self.ai[_scope(span)][reader.name] += 1
                    self.ai_scopes[view.span_id] = _scope(span)
        except Exception:  # the app goes on whatever a span holds
            self.ended["(unreadable)"] += 1

    def _scope_of(self, span_id: str) -> str:
        return self.ai_scopes.get(span_id, "(unknown)")

    def report(self, is_final: bool) -> dict[str, Any]:
        """What was seen so far. Statistics and instrumentors are looked up in memory, at the end only."""
        current = sdk_provider(trace.get_tracer_provider())
        wire = self.wire
        return {
            "pid": os.getpid(),
            "is_final": is_final,
            "providers": [_described(provider, provider is current) for provider in self.providers],
            "global_provider": type(current).__name__,
            "started": dict(self.started),
            "ended": dict(self.ended),
            "ai": {scope: dict(readers) for scope, readers in self.ai.items()},
            "events": dict(wire.events),
            "other_libraries": dict(wire.others),
            "calls": dict(Counter(self._scope_of(span_id) for span_id in wire.calls)),
            "with_content": dict(Counter(self._scope_of(span_id) for span_id, has in wire.calls.items() if has)),
            "users": dict(wire.users.most_common(_MOST_USERS)),
            "with_user": sum(wire.users.values()),
            "repeated": wire.repeated,
            "otlp_requests": wire.otlp_requests,
            "requests": dict(wire.requests),
            "without_event": len(self.ai_scopes.keys() - wire.spans),
            "clients": [name for name, module in _CLIENT_MODULES.items() if module in sys.modules],
            "messages": dict(self.messages.texts),
            "stats": _stats() if is_final else [],
            "active": _active_instrumentors() if is_final else [],
        }

    def write(self, is_final: bool = False) -> None:
        """Write the report of this process; one that is not final never replaces one that is."""
        self._is_final = self._is_final or is_final
        with self._writing:
            if self._is_final and not is_final:
                return
            self._write(is_final)

    def _write(self, is_final: bool) -> None:
        target = self._directory / f"{os.getpid()}.json"
        temporary = target.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(self.report(is_final)))
            temporary.replace(target)
        except (OSError, RuntimeError):  # the doctor has gone, or a counter changed meanwhile
            return

    def at_exit(self) -> None:
        """Write the last report, and once more if providers are shut down after this."""
        self.write(is_final=True)
        for provider in self.providers:
            TracerProvider.add_span_processor(provider, _LastProcessor(self))


class _LastProcessor(SpanProcessor):
    """Shut down after all other processors have sent what they had."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def shutdown(self) -> None:
        self._observer.write(is_final=True)


class _Messages(logging.Handler):
    """Counts warnings and errors by their text."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().splitlines()[0][:300]
        if text in self.texts or len(self.texts) < _MOST_MESSAGES:
            self.texts[text] += 1


def start(directory: str) -> None:
    """Observe this process, once."""
    if any(isinstance(handler, _Messages) for handler in logging.getLogger("otel_posthog").handlers):
        return
    observer = Observer(directory)
    for name in ("opentelemetry", "otel_posthog"):
        logging.getLogger(name).addHandler(observer.messages)
    _watch_providers(observer)
    watch(observer.wire)
    atexit.register(observer.at_exit)
    observer.write()  # opentelemetry-instrument replaces this process, and may fail after that
    os.register_at_fork(after_in_child=lambda: _in_child(observer))
    _write_now_and_then(observer)


def _watch_providers(observer: Observer) -> None:
    make = TracerProvider.__init__

    def watched(self: TracerProvider, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        observer.watch_provider(self)

    setattr(TracerProvider, "__init__", watched)  # noqa: B010  # mypy forbids to assign to a method
    current = trace.get_tracer_provider()
    if isinstance(current, TracerProvider):
        observer.watch_provider(current)


def _in_child(observer: Observer) -> None:
    observer.reset()
    _write_now_and_then(observer)


def _write_now_and_then(observer: Observer) -> None:
    def run() -> None:
        while True:
            stopped.wait(_EVERY)
            observer.write()

    stopped = threading.Event()
    threading.Thread(target=run, name="otel-posthog-doctor", daemon=True).start()


def _scope(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return scope.name if scope and scope.name else "(unnamed)"


def _described(provider: TracerProvider, is_global: bool) -> dict[str, Any]:
    names = []
    posthog = 0
    for processor in _processors(provider):
        exporter = _exporter_of(processor)
        posthog += isinstance(processor, PostHogSpanProcessor)
        # The exporter behind OTEL_TRACES_EXPORTER=posthog says whether a processor does its work.
        posthog += _is_ours(exporter) and getattr(exporter, "is_active", True)
        if not isinstance(processor, (Observer, _LastProcessor)):
            name = type(processor).__name__
            names.append(f"{name} with {type(exporter).__name__}" if exporter is not None else name)
    return {"name": type(provider).__name__, "is_global": is_global, "processors": names, "posthog": posthog}


def _is_ours(exporter: object) -> bool:
    return type(exporter).__module__.startswith("otel_posthog.")


def _processors(provider: TracerProvider) -> tuple[SpanProcessor, ...]:
    # The SDK has no public way to ask. Only the report misses something if this changes.
    active = getattr(provider, "_active_span_processor", None)
    return tuple(getattr(active, "_span_processors", ()))


def _exporter_of(processor: SpanProcessor) -> Any:
    if isinstance(processor, PostHogSpanProcessor):
        return None
    inner = getattr(processor, "_batch_processor", processor)
    return getattr(processor, "span_exporter", None) or getattr(inner, "_exporter", None)


def _stats() -> list[dict[str, Any]]:
    found = gc.get_objects()
    processors = [thing for thing in found if isinstance(thing, PostHogSpanProcessor)]
    owned = {id(processor.exporter) for processor in processors}
    exporters = [thing for thing in found if isinstance(thing, PostHogSpanExporter) and id(thing) not in owned]
    return [asdict(one.stats()) for one in processors] + [asdict(one.stats()) for one in exporters]


def _active_instrumentors() -> list[str]:
    module = sys.modules.get("opentelemetry.instrumentation.instrumentor")
    base = getattr(module, "BaseInstrumentor", None)
    made = [vars(cls).get("_instance") for cls in _subclasses(base)] if base else []  # each is a singleton
    return sorted({type(one).__module__ for one in made if one is not None and one.is_instrumented_by_opentelemetry})


def _subclasses(cls: Any) -> Iterator[Any]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
