"""The straight way from spans to encoded events: view, reader, tree, event, bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog import conventions
from otel_posthog._context import CaptureContext
from otel_posthog._model import Message, Operation, Text, last_user_text
from otel_posthog._spans import EventView, SpanView, view_of
from otel_posthog.conventions import READERS, Reader
from otel_posthog.delivery import Encoded, encode
from otel_posthog.events import Shape, event_of, is_content, trace_of
from otel_posthog.events.privacy import Privacy, matcher, without
from otel_posthog.logs import LogRecords
from otel_posthog.sampling import Sampler
from otel_posthog.settings import Settings
from otel_posthog.stages import Node, Rules, connect, identity_of

logger = logging.getLogger("otel_posthog")

_SHORT_QUESTION = 2_000  # characters, up to which the question of a sent call is remembered to know it again

# (how many, reason): what is left out on purpose, or because of an error
LeftOut = Callable[[int, str, Exception | None], None]

_DEEPEST = 100  # levels of a log record's body that are looked through for denied keys; the rest is left out


class Mapper:
    """Maps spans by the settings; ``records`` are the log records that wait for their spans.

    Mapping does not raise, whatever a span holds. ``left_out`` is told what is lost on the way: spans that the settings
    sort out and, should mapping raise all the same (a reader of the user's own may), the error.
    """

    def __init__(
        self, settings: Settings, records: LogRecords, left_out: LeftOut, readers: Sequence[Reader] = ()
    ) -> None:
        self._left_out = left_out
        self._records = records
        self._readers = (*readers, *READERS)
        self._should_export = settings.should_export
        self._denied = matcher(settings.deny_attributes)
        self._sampler = Sampler(settings.sample_rate, settings.sample_errors)
        self._privacy = Privacy(
            settings.redact, settings.keep_media, is_content, lambda error: left_out(0, "redact_failed", error)
        )
        self._rules = Rules(
            once=settings.deduplicate,
            calls_only=not settings.capture_spans,
            remote_parents=settings.remote_parents,
        )
        self._shape = Shape(
            content=settings.capture_content,
            unmapped=settings.capture_unmapped,
            allowed=matcher(settings.allow_attributes),
            distinct_id=settings.distinct_id,
            properties=settings.properties,
        )
        self._silent_shape = replace(self._shape, content=False)
        self._version = 1 if settings.endpoint == "v1" else 0  # of the capture contract

    def nodes_of(
        self, spans: Iterable[ReadableSpan | SpanView], around: Mapping[int, CaptureContext] | None = None
    ) -> list[Node]:
        """The spans (or views of log records) and what they say; their log records are taken. A span that cannot be
        read is left out. ``around`` has, by span id, what was around the spans when they started."""
        nodes = []
        for span in spans:
            try:
                node = self._node_of(span, around or {})
                if node.operation is not None and not self._wants(span):
                    node.operation = None
                    self._left_out(1, "filtered", None)
                nodes.append(node)
            except Exception as error:
                self._left_out(1, "mapping_failed", error)
        return nodes

    def _node_of(self, span: ReadableSpan | SpanView, around: Mapping[int, CaptureContext]) -> Node:
        if isinstance(span, SpanView):
            return Node(span, conventions.parse_span(span), ambient=around.get(int(span.span_id, 16)))
        context = span.get_span_context()
        view = view_of(span, self._records.take(context.trace_id, context.span_id) if context else ())
        return self._read(view, around.get(context.span_id) if context else None)

    def _read(self, view: SpanView, ambient: CaptureContext | None) -> Node:
        if self._denied is not None:
            view = _only_allowed(view, self._denied)
        try:
            operation = conventions.parse_span(view, self._readers)
        except (AttributeError, TypeError):  # attribute names that are no texts, which the API forbids
            view = replace(view, attributes={str(name): value for name, value in view.attributes.items()})
            operation = conventions.parse_span(view, self._readers)
        return Node(view, operation, ambient=ambient)

    def relative_of(self, span: ReadableSpan, around: Mapping[int, CaptureContext]) -> Node:
        """A span that is not sent now, open or ended; its log records stay."""
        view, context = view_of(span), span.get_span_context()
        ambient = around.get(context.span_id) if context else None
        try:
            if context and context.trace_flags.sampled:
                node = self._read(view, ambient)
                # An open span cannot be judged yet.
                if node.operation is None or span.end_time is None or self._wants(span):
                    return node
        except Exception:  # told when the span itself is sent
            logger.debug("a span that is not sent now could not be read")
        return Node(view, None, ambient=ambient)

    def _wants(self, span: ReadableSpan | SpanView) -> bool:
        """Whether ``should_export`` lets a span through. If it raises, the span is sent."""
        if self._should_export is None or isinstance(span, SpanView):
            return True
        try:
            return bool(self._should_export(span))
        except Exception as error:
            self._left_out(0, "should_export_failed", error)
            return True

    def remembered(self, node: Node) -> Node:
        """What spans to come want to know of one that was sent: where it is, what it is, whose it is."""
        operation = node.operation
        light = replace(node.view, attributes=identity_of(node.view.attributes), events=(), logs=(), resource={})
        if operation is None:
            return Node(light, None, ambient=node.ambient, was_sent=True)
        asked = last_user_text(operation.input) if operation.is_call else None
        known = Operation(
            operation.kind,
            request_model=operation.request_model,
            response_model=operation.response_model,
            response_id=operation.response_id,
            http_status=operation.http_status,
            input=[Message("user", [Text(asked)])] if asked and len(asked) <= _SHORT_QUESTION else None,
            usage=operation.usage,
            failure=None if operation.failure is None else replace(operation.failure, message=None),
            user=operation.user,
            session=operation.session,
        )
        return Node(light, known, ambient=node.ambient, was_sent=True)

    def events_of(self, nodes: Sequence[Node], relatives: Iterable[Node] = (), whole: bool = False) -> list[Encoded]:
        """The events of the nodes. ``relatives`` are spans that are not sent now but say where these belong; ``whole``
        says that there are no others."""
        connect([*relatives, *nodes], replace(self._rules, whole=whole))
        self._sample(nodes)
        events: list[Encoded] = []
        for node in nodes:
            if node.operation is None:
                continue
            try:
                silent = node.ambient is not None and node.ambient.capture_content is False
                self._privacy.clean(node.operation)
                shape = self._silent_shape if silent else self._shape
                view = replace(node.view, name=self._privacy.name(node.view.name) or "")
                event = event_of(node.operation, view, node.parent_id, shape, node.trace_id)
                events.append(encode(event, self._version))
                if node.heads_trace:
                    events.append(encode(trace_of(event), self._version))
            except Exception as error:
                self._left_out(1, "mapping_failed", error)
        return events

    def _sample(self, nodes: Sequence[Node]) -> None:
        if self._sampler.keeps_all:
            return
        failed = {node.trace_id for node in nodes if node.operation is not None and node.operation.failure}
        for node in nodes:
            if node.operation is not None:
                node.operation.sample_rate = self._sampler.rate_of(node.trace_id, node.trace_id in failed)
                if node.operation.sample_rate is None:
                    node.operation = None
                    self._left_out(1, "sampled", None)

    def is_ai_span(self, span: ReadableSpan) -> bool:
        """Whether some reader may own the span: cheap, for a queue that only AI spans may enter."""
        if conventions.is_ai_span(span):
            return True
        own = self._readers[: -len(READERS)]
        try:
            return bool(own) and any(reader.matches(view_of(span)) for reader in own)
        except Exception:  # the reader is told when the span is mapped
            return True

    def after_fork(self) -> None:
        """In a child: no lock that was held when it was forked."""
        self._sampler.after_fork()


def _only_allowed(view: SpanView, denied: Callable[[str], bool]) -> SpanView:
    """The view without denied attributes, wherever they stand."""

    def event(found: EventView) -> EventView:
        return replace(found, attributes=without(found.attributes, denied), body=_allowed_in(found.body, denied))

    return replace(
        view,
        attributes=without(view.attributes, denied),
        resource=without(view.resource, denied),
        events=[event(found) for found in view.events],
        logs=[event(found) for found in view.logs],
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
