"""One line, once, for a setup that works but sends less than its owner expects."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from otel_posthog._memory import Exported

logger = logging.getLogger("otel_posthog")

_MANY_SPANS = 100  # ended without an AI span among them
_MANY_CALLS = 5  # of one instrumentation, all without content


class Hints:
    """Counts what passes and says what is missing. Belongs to the collector's thread."""

    def __init__(self, *, enabled: bool, content: bool) -> None:
        self._enabled, self._content = enabled, content
        self._others = 0  # spans that are no AI spans, until the first AI span
        self._empty_calls: dict[str, int] = {}  # by scope, until one has content

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

    def exported(self, spans: Iterable[Exported]) -> None:
        """Events have been made."""
        if not (self._enabled and self._content):
            return
        for span in spans:
            operation, scope = span.operation, span.span.scope_name
            count = self._empty_calls.get(scope, 0)
            if operation.kind != "generation" or count < 0 or len(self._empty_calls) > 100:
                continue
            if operation.input or operation.output or operation.failure is not None:
                self._empty_calls[scope] = -1
                continue
            self._empty_calls[scope] = count + 1
            if count + 1 == _MANY_CALLS:
                self._empty_calls[scope] = -1
                logger.warning(
                    "LLM calls of %s arrive without prompts and answers: it does not record them. Most "
                    "instrumentations do with OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY, older ones "
                    "with =true; `otel-posthog doctor` tells.",
                    scope or "an unnamed instrumentation",
                )
