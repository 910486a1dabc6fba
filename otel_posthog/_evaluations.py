"""evaluation(), feedback() and metric(): scores, opinions and measures of a call, as OpenTelemetry log records.

They travel through the LoggerProvider, so that they need no handle and other log exporters see them too.
"""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry import _logs, trace
from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk import _logs as sdk_logs
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_posthog.logs import RECEIVED

logger = logging.getLogger("otel_posthog")


def evaluation(
    name: str,
    *,
    score: float | None = None,
    label: str | None = None,
    explanation: str | None = None,
    span: trace.Span | None = None,
    trace_id: str | None = None,
    span_id: str | None = None,
    logger_provider: _logs.LoggerProvider | None = None,
) -> None:
    """Send an ``$ai_evaluation``: the ``score`` or ``label`` that an evaluator gave.

    Args:
        name: of the evaluator, such as ``relevance``.
        explanation: the evaluator's reasons; content, so not sent where ``capture_content`` is off.
        span: what was evaluated; default: the current span. Or give ``trace_id`` and ``span_id``, lowercase hex.
        logger_provider: default: the global one, which :func:`otel_posthog.configure` listens to.

    Written as the semantic conventions' event ``gen_ai.evaluation.result``. Never raises for what PostHog or the
    network do; if nobody listens, that is logged.
    """
    if label is None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        _not_sent("evaluation", "give a score, a number, or a label")
        return
    attributes = {
        "gen_ai.evaluation.name": name,
        "gen_ai.evaluation.score.value": score,
        "gen_ai.evaluation.score.label": label,
        "gen_ai.evaluation.explanation": explanation,
    }
    _emit("evaluation", "gen_ai.evaluation.result", attributes, span, trace_id, span_id, logger_provider)


def feedback(
    text: str,
    *,
    span: trace.Span | None = None,
    trace_id: str | None = None,
    span_id: str | None = None,
    logger_provider: _logs.LoggerProvider | None = None,
) -> None:
    """Send an ``$ai_feedback``: what a user says about an answer. Arguments as for :func:`evaluation`.

    The text is sent even where ``capture_content`` is off: sending it is its purpose. ``redact`` applies.
    """
    if not text:
        _not_sent("feedback", "the text is empty")
        return
    _emit(
        "feedback",
        "posthog.feedback",
        {"gen_ai.evaluation.explanation": text},
        span,
        trace_id,
        span_id,
        logger_provider,
    )


def metric(
    name: str,
    value: float | str,
    *,
    span: trace.Span | None = None,
    trace_id: str | None = None,
    span_id: str | None = None,
    logger_provider: _logs.LoggerProvider | None = None,
) -> None:
    """Send an ``$ai_metric``: a value of your own about a trace. Arguments as for :func:`evaluation`."""
    kind = "label" if isinstance(value, str) else "value"
    attributes = {"gen_ai.evaluation.name": name, f"gen_ai.evaluation.score.{kind}": value}
    _emit("metric", "posthog.metric", attributes, span, trace_id, span_id, logger_provider)


def _emit(
    function: str,
    name: str,
    attributes: dict[str, Any],
    span: trace.Span | None,
    trace_id: str | None,
    span_id: str | None,
    logger_provider: _logs.LoggerProvider | None,
) -> None:
    try:
        target = _target(span, trace_id, span_id)
    except (TypeError, ValueError):
        _not_sent(function, "trace_id and span_id must be lowercase hex")
        return
    if not target.trace_id:
        _not_sent(function, "no span is current, so give trace_id")
        return
    given = {key: value for key, value in attributes.items() if value is not None}
    received: list[str] = []
    token = attach(trace.set_span_in_context(NonRecordingSpan(target), set_value(RECEIVED, received)))
    try:
        emitter = (logger_provider or _logs.get_logger_provider()).get_logger("otel_posthog")
        emitter.emit(_record(name, given, target))
    finally:
        detach(token)
    if not received:
        _not_sent(function, "call otel_posthog.configure() or add a PostHogLogRecordProcessor")


def _not_sent(function: str, remedy: str) -> None:
    logger.warning("%s() sent nothing to PostHog: %s.", function, remedy)


def _target(span: trace.Span | None, trace_id: str | None, span_id: str | None) -> SpanContext:
    if trace_id is None and span_id is None:
        return (span or trace.get_current_span()).get_span_context()
    return SpanContext(int(trace_id or "0", 16), int(span_id or "0", 16), False, TraceFlags(TraceFlags.SAMPLED))


def _record(name: str, attributes: dict[str, Any], target: SpanContext) -> Any:
    ids = {"trace_id": target.trace_id, "span_id": target.span_id, "trace_flags": target.trace_flags}
    older = getattr(sdk_logs, "LogRecord", None)  # older SDKs make the records, at first without a name of their own
    if older is not None:
        return older(attributes={"event.name": name, **attributes}, **ids)
    return _logs.LogRecord(event_name=name, attributes=attributes, **ids)  # type: ignore[call-overload]  # ids are right
