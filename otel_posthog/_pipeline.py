"""From spans to encoded events: parse, inherit, deduplicate, summarise, place, sample, build, privacy.

Exporter, processor, bridge, replay, tests, docs and benchmarks all call :meth:`Pipeline.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog._context import CaptureContext
from otel_posthog._explain import PROPERTY as EXPLAIN_PROPERTY
from otel_posthog._explain import explain, kept_back, wants_explanations
from otel_posthog._memory import Exported, Memory
from otel_posthog._model import Operation
from otel_posthog._spans import EventView, SpanView, view_of
from otel_posthog._trace import (
    NOBODY,
    NOT_AI,
    Batch,
    Drop,
    EvaluationRecord,
    Identity,
    Place,
    Skipped,
    SpanKey,
    TracedSpan,
)
from otel_posthog.conventions import Reader, is_ai_span, parse_span, reader_of
from otel_posthog.delivery import EncodedEvent, Ledger
from otel_posthog.events import Event, EventOptions, build_event, trace_event
from otel_posthog.events.evaluations import build_evaluation, identity_of
from otel_posthog.events.identity import event_uuid
from otel_posthog.events.media import may_hold_media
from otel_posthog.events.privacy import Privacy, matcher, without
from otel_posthog.settings import Settings
from otel_posthog.stages.duplicates import Deduplicated, deduplicate
from otel_posthog.stages.identity import inherit
from otel_posthog.stages.placement import place
from otel_posthog.stages.summaries import summarise
from otel_posthog.stages.tree import Tree

# The app's own readers and callables may raise anything, and `SystemExit` must not end one of our threads.
APP_ERRORS = (Exception, SystemExit)

_DEEPEST = 100  # levels of a log record's body that are searched for denied keys; the rest is left out

Encode = Callable[[Event], EncodedEvent]


@dataclass(frozen=True, slots=True)
class Result:
    """``events`` in the order of their spans; ``drops`` are spans without an event, for a setting or an error.

    ``exported`` are the spans that have an event.
    """

    events: list[EncodedEvent] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    exported: list[Exported] = field(default_factory=list)

    def report(self, ledger: Ledger) -> bool:
        """Count the spans without an event; ``True`` if none of them was lost to an error."""
        for drop in self.drops:
            detail = None if drop.error is None else f"{drop.reason.replace('_', ' ')}: {type(drop.error).__name__}"
            if drop.count:
                ledger.accepted(drop.count)
                ledger.record_drop(drop.reason, drop.count, detail)
            elif detail is not None:
                ledger.warn(drop.reason, detail)
        return not any(drop.error is not None and drop.count for drop in self.drops)


class Pipeline:
    """Maps batches by the settings. Never raises, whatever a span holds. One thread at a time may use a memory.

    ``explains``: whether events say why they look as they do; ``None``: if the host is the local PostHog, which shows
    it.
    """

    def __init__(
        self, settings: Settings, encode: Encode, readers: Sequence[Reader] = (), *, explains: bool | None = None
    ) -> None:
        self._encode = encode
        self._explaining = explains  # if nothing is said, the host is asked until it answers
        self._own_readers = tuple(readers)
        self._should_export: Callable[[Any], bool] | None = settings.should_export
        self._denied = matcher(settings.deny_attributes)
        self._content = settings.capture_content
        self._calls_only = not settings.capture_spans
        self._deduplicate = settings.deduplicate
        self._remote_parents = settings.remote_parents
        self._options = EventOptions(
            unmapped=settings.capture_unmapped,
            allowed=matcher(settings.allow_attributes),
            distinct_id=settings.distinct_id,
            properties=settings.properties,
        )
        self._redact, self._keep_media = settings.redact, settings.keep_media
        self._host = settings.host

    def run(self, batch: Batch, memory: Memory) -> Result:
        """The events of a batch."""
        result = Result()
        privacy = Privacy(
            self._redact, self._keep_media, lambda error: result.drops.append(Drop("redact_failed", 0, error))
        )
        spans = [self._parse(span, batch.contexts.get((span.trace_id, span.span_id)), result) for span in batch.spans]
        if any(traced.operation is not None for traced in spans):
            self._export_isolated(spans, batch, memory, privacy, result)
        for record in batch.evaluations:
            self._export_evaluation(record, privacy, result)
        return result

    def is_ai_span(self, span: ReadableSpan) -> bool:
        """Whether some reader may own the span. Cheap: it is asked for every span of the app."""
        if is_ai_span(span):
            return True
        if not self._own_readers:
            return False
        try:
            view = view_of(span)
            return any(reader.matches(view) for reader in self._own_readers)
        except APP_ERRORS:  # the error shows when the span is parsed
            return True

    def parse_context_span(self, span: ReadableSpan, context: CaptureContext | None) -> TracedSpan:
        """A span that is not exported now, as the context of others."""
        view = view_of(span)
        ids = span.get_span_context()
        if ids is None or not ids.trace_flags.sampled or not self.is_ai_span(span):
            return TracedSpan(view, NOT_AI, context)
        try:
            allowed = _allowed(view, self._denied) if self._denied is not None else view
            operation = parse_span(allowed, self._own_readers)
            # Whether `should_export` accepts an open span cannot be known yet.
            accepted = span.end_time is None or self._wants(view, Result())
            return TracedSpan(view, operation if operation is not None and accepted else NOT_AI, context)
        except APP_ERRORS:  # reported when the span itself is exported
            return TracedSpan(view, NOT_AI, context)

    def _parse(self, span: SpanView, context: CaptureContext | None, result: Result) -> TracedSpan:
        try:
            if self._denied is not None:
                span = _allowed(span, self._denied)
            operation = parse_span(span, self._own_readers)
            if operation is None:
                return TracedSpan(span, NOT_AI, context)
            if not self._wants(span, result):
                result.drops.append(Drop("filtered"))
                return TracedSpan(span, Skipped("filtered"), context)
            return TracedSpan(span, operation, context)
        except APP_ERRORS as error:
            result.drops.append(Drop("mapping_failed", 1, error))
            return TracedSpan(span, Skipped("mapping_failed"), context)

    def _wants(self, span: SpanView, result: Result) -> bool:
        """Whether ``should_export`` accepts the span. If it raises, the span is exported."""
        if self._should_export is None:
            return True
        try:
            return bool(self._should_export(span.source if span.source is not None else span))
        except APP_ERRORS as error:
            result.drops.append(Drop("should_export_failed", 0, error))
            return True

    def _export_isolated(
        self, spans: Sequence[TracedSpan], batch: Batch, memory: Memory, privacy: Privacy, result: Result
    ) -> None:
        """Export the spans; if a stage fails on one of them, each alone, so that it costs no other."""
        made = Result()
        try:
            self._export(spans, batch, memory, privacy, made)
        except APP_ERRORS as error:
            if len(spans) == 1:
                result.drops.append(Drop("mapping_failed", 1, error))
                return
            for traced in spans:
                if traced.operation is not None:
                    self._export_isolated([traced], batch, memory, privacy, result)
            return
        result.events.extend(made.events)
        result.drops.extend(made.drops)
        result.exported.extend(made.exported)

    def _export(
        self, spans: Sequence[TracedSpan], batch: Batch, memory: Memory, privacy: Privacy, result: Result
    ) -> None:
        context_spans = [*memory.related(spans), *batch.context_spans] if self._deduplicate else batch.context_spans
        tree = Tree(spans, context_spans)
        identities = inherit(tree)
        found = deduplicate(tree, identities) if self._deduplicate else Deduplicated()
        operations = found.operations

        def operation_of(traced: TracedSpan) -> Operation | None:
            operation = operations.get(traced.key) or traced.operation
            if operation is not None and self._calls_only and not operation.is_call:
                return None
            return operation

        if len(spans) > 1 or context_spans or any(t.operation and t.operation.kind == "agent" for t in spans):
            changed, whose = summarise(
                tree, identities, lambda traced: operations.get(traced.key) or traced.operation, memory.has_call_in
            )
            operations = {**operations, **changed}
            identities.update(whose)
        places = place(tree, operation_of, found.moved, complete=batch.complete, remote_parents=self._remote_parents)
        rates = self._sample(tree, operation_of, places, memory, result)
        explains = self._explains
        for traced in spans:
            operation = operation_of(traced)
            if operation is None:
                if traced.operation is not None:
                    result.drops.append(Drop("capture_spans"))
                continue
            where = places[traced.key]
            if (rate := rates.get(where.trace_id, 1.0)) is None:
                continue
            identity = _of_the_outer(identities.get(traced.key, NOBODY), found, identities, traced)
            content = traced.key not in found.without_content and self._may_send_content(traced.context)
            try:
                event = build_event(
                    operation,
                    traced.span,
                    identity,
                    where,
                    self._options,
                    content=content,
                    sample_rate=rate if where.trace_id in rates else None,
                )
                if explains:
                    event = self._explained(event, traced, operation, identity, where, found, privacy)
                encoded = self._cleaned(event, privacy)
                result.events.append(encoded)
                if where.emits_trace_event:
                    result.events.append(self._cleaned(trace_event(event), privacy))
            except APP_ERRORS as error:
                result.drops.append(Drop("mapping_failed", 1, error))
                continue
            exported = Exported(traced.span, operation, identity, len(encoded.body))
            memory.remember(exported)
            result.exported.append(exported)

    @property
    def _explains(self) -> bool:
        # No cached_property: before Python 3.12 it has a lock, which a child forked meanwhile could never take.
        if self._explaining is None:
            self._explaining = wants_explanations(self._host)
        return self._explaining is True

    def _explained(
        self,
        event: Event,
        traced: TracedSpan,
        operation: Operation,
        identity: Identity,
        where: Place,
        found: Deduplicated,
        privacy: Privacy,
    ) -> Event:
        def rebuild(span: SpanView) -> Event | None:
            changed = parse_span(span, self._own_readers)
            return None if changed is None else build_event(changed, span, identity, where, self._options)

        own = traced.operation or operation
        plain = build_event(own, traced.span, identity, where, self._options)
        reader = reader_of(traced.span, self._own_readers)
        name = reader.name if reader is not None else ""
        why = explain(traced.span, plain, name, rebuild, found.merged.get(traced.key, []), own.unmapped)
        whole = build_event(operation, traced.span, identity, where, self._options)
        why["dropped"] = {**why["dropped"], **kept_back(whole, event, privacy.clean(event))}
        return replace(event, properties={**event.properties, EXPLAIN_PROPERTY: why})

    def _may_send_content(self, context: CaptureContext | None) -> bool:
        return self._content and (context is None or context.capture_content is not False)

    def _sample(
        self,
        tree: Tree,
        operation_of: Callable[[TracedSpan], Operation | None],
        places: Mapping[SpanKey, Place],
        memory: Memory,
        result: Result,
    ) -> dict[str, float | None]:
        """The sampling rate of each trace that is exported; ``None`` for a trace that is not."""
        if memory.sampler.keeps_all:
            return {}
        failed: dict[str, bool] = {}
        counts: dict[str, int] = {}
        for traced in tree.spans:
            operation = operation_of(traced)
            if operation is not None:
                trace_id = places[traced.key].trace_id
                failed[trace_id] = failed.get(trace_id, False) or operation.failure is not None
                counts[trace_id] = counts.get(trace_id, 0) + 1
        rates = {trace_id: memory.sampler.rate_of(trace_id, has_failed) for trace_id, has_failed in failed.items()}
        dropped = sum(counts[trace_id] for trace_id, rate in rates.items() if rate is None)
        if dropped:
            result.drops.append(Drop("sampled", dropped))
        return rates

    def _export_evaluation(self, record: EvaluationRecord, privacy: Privacy, result: Result) -> None:
        try:
            if self._denied is not None:
                record = replace(
                    record,
                    attributes=without(record.attributes, self._denied),
                    resource=without(record.resource, self._denied),
                )
            event = build_evaluation(
                record,
                identity_of(record),
                event_uuid(record.trace_id, record.id),
                self._options,
                content=self._may_send_content(record.context),
            )
            result.events.append(self._cleaned(event, privacy))
        except APP_ERRORS as error:
            result.drops.append(Drop("mapping_failed", 1, error))

    def _cleaned(self, event: Event, privacy: Privacy) -> EncodedEvent:
        """The event as bytes, redacted and without media. It is encoded once, unless it holds media."""
        if privacy.redacts:
            return self._encode(privacy.clean(event))
        encoded = self._encode(event)
        if may_hold_media(event.properties, encoded.body):
            return self._encode(privacy.clean(event))
        return encoded


def _of_the_outer(
    identity: Identity, found: Deduplicated, identities: Mapping[SpanKey, Identity], traced: TracedSpan
) -> Identity:
    """A call that is shown in the place of its outer record belongs to that one's user and session."""
    outer = found.moved.get(traced.key)
    other = identities.get(outer.key) if outer is not None else None
    if other is None:
        return identity
    return Identity(
        identity.user or other.user,
        identity.session or other.session,
        identity.groups or other.groups,
        {**other.properties, **identity.properties},
    )


def _allowed(span: SpanView, denied: Callable[[str], bool]) -> SpanView:
    """The span without denied attributes, in its events and log records too."""

    def event(found: EventView) -> EventView:
        try:
            body = _allowed_in(found.body, denied)
        except APP_ERRORS:  # what it holds cannot be looked at, so nothing of it is sent
            body = None
        return replace(found, attributes=without(found.attributes, denied), body=body)

    return replace(
        span,
        attributes=without(span.attributes, denied),
        resource=without(span.resource, denied),
        events=[event(found) for found in span.events],
        logs=[event(found) for found in span.logs],
    )


def _allowed_in(body: Any, denied: Callable[[str], bool], depth: int = 0) -> Any:
    """The body of a log record without denied keys, at any depth that is read."""
    if depth > _DEEPEST:
        return None
    if isinstance(body, Mapping):
        return {
            name: _allowed_in(value, denied, depth + 1)
            for name, value in body.items()
            if not (isinstance(name, str) and denied(name))
        }
    if isinstance(body, (list, tuple)):
        return [_allowed_in(item, denied, depth + 1) for item in body]
    return body
