"""Hints: one log line, once, for a setup that works but sends less, or more, than its owner expects."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

from otel_posthog._memory import Exported

logger = logging.getLogger("otel_posthog")

_MANY_SPANS = 100  # ended without an AI span among them
_MANY_CALLS = 5  # of one instrumentation, all without content
_FIRST_SPANS = 100  # of each exporter, in which spans that are sent twice are looked for

# PostHog's own integrations (posthog 7), each of which sends the calls that it sees.
_OTHER_SENDERS = tuple(
    f"posthog.ai.{name}" for name in ("openai", "anthropic", "gemini", "langchain", "openai_agents", "otel")
)
# By destination and span, which Hints has seen it first.
_seen_by: dict[tuple[tuple[str, str], str, str], int] = {}


class Hints:
    """Counts spans and says what is missing. Used by the collector's thread only.

    ``destination`` is the project API key and the host.
    """

    def __init__(self, *, enabled: bool, content: bool, destination: tuple[str, str]) -> None:
        self._enabled, self._content, self._destination = enabled, content, destination
        self._others = 0  # spans that are not AI spans, until the first AI span
        self._empty_calls: dict[str, int] = {}  # by scope, until one has content
        self._first_spans = 0
        self._is_sent_twice = False

    def ended(self, is_ai_span: bool) -> None:
        """A span has ended."""
        if not self._enabled or self._others < 0:
            return
        if is_ai_span:
            self._others = -1
            return
        self._others += 1
        if self._others == _MANY_SPANS:
            self._others = -1
            logger.warning(
                "%d spans have ended, and none is an LLM call: PostHog gets nothing from this process. Is an "
                "instrumentation of your LLM client installed and active? `otel-posthog doctor` tells.",
                _MANY_SPANS,
            )

    def time_passed(self, seconds: float) -> None:
        """So many seconds have passed since the start. May be called from any thread."""
        if self._enabled and self._others >= 0:
            logger.warning(
                "No LLM call was traced in the first %.0f minutes. If there were any, is an instrumentation of your "
                "LLM client installed and active? `otel-posthog doctor` tells.",
                seconds / 60,
            )
            self._others = -1

    def exported(self, spans: Iterable[Exported]) -> None:
        """Events have been made."""
        if not self._enabled:
            return
        for span in spans:
            self._look_for_second_sender(span)
            if self._content:
                self._look_for_content(span)

    def _look_for_content(self, span: Exported) -> None:
        operation, scope = span.operation, span.span.scope_name
        count = self._empty_calls.get(scope, 0)
        if operation.kind != "generation" or count < 0 or len(self._empty_calls) > 100:
            return
        if operation.input or operation.output or operation.failure is not None:
            self._empty_calls[scope] = -1
            return
        self._empty_calls[scope] = count + 1
        if count + 1 == _MANY_CALLS:
            self._empty_calls[scope] = -1
            logger.warning(
                "LLM calls of %s arrive without prompts and answers: it does not record them. Most "
                "instrumentations do with OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY, older ones "
                "with =true; `otel-posthog doctor` tells.",
                scope or "an unnamed instrumentation",
            )

    def _look_for_second_sender(self, span: Exported) -> None:
        if self._first_spans >= _FIRST_SPANS or self._is_sent_twice:
            return
        self._first_spans += 1
        if len(_seen_by) > 10_000:
            _seen_by.clear()
        key = (self._destination, span.span.trace_id, span.span.span_id)
        if _seen_by.setdefault(key, id(self)) != id(self):
            self._is_sent_twice = True
            logger.warning(
                "The same spans are sent to PostHog twice. Keep one of configure(), PostHogSpanProcessor, "
                "PostHogSpanExporter and OTEL_TRACES_EXPORTER=posthog."
            )
            return
        other = next((name for name in _OTHER_SENDERS if name in sys.modules), None)
        if other is not None and span.operation.kind == "generation":
            self._is_sent_twice = True
            logger.warning(
                "%s is in use as well and sends its calls to PostHog by itself: a call that is also traced is counted "
                "twice. Keep one of the two; docs/recipes/migrating-from-posthog-ai.md tells how.",
                other,
            )
