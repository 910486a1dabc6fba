"""The straight way from spans to encoded events: view, reader, tree, event, bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog import conventions
from otel_posthog.ambient import Ambient
from otel_posthog.capture import Encoded, encode
from otel_posthog.conventions import READERS, Reader
from otel_posthog.events import Shape, event_of
from otel_posthog.logs import LogRecords
from otel_posthog.operation import Operation
from otel_posthog.settings import Settings
from otel_posthog.spans import view_of
from otel_posthog.traces import Node, connect, identity_of


class Mapper:
    """Maps spans by the settings; ``records`` are the log records that wait for their spans.

    Mapping does not raise, whatever a span holds. Should it do so all the same (a reader of the user's own may),
    ``failed`` is told, and that span alone is lost.
    """

    def __init__(
        self,
        settings: Settings,
        records: LogRecords,
        failed: Callable[[Exception], None],
        readers: Sequence[Reader] = (),
    ) -> None:
        self._failed = failed
        self._settings = settings
        self._records = records
        self._readers = (*readers, *READERS)
        self._shape = Shape(
            content=settings.capture_content,
            unmapped=settings.capture_unmapped,
            distinct_id=settings.distinct_id,
            properties=settings.properties,
        )
        self._silent_shape = replace(self._shape, content=False)

    def nodes_of(self, spans: Iterable[ReadableSpan], around: Mapping[int, Ambient] | None = None) -> list[Node]:
        """The spans and what they say; their log records are taken. A span that cannot be read is left out.

        ``around`` has, by span id, what was around the spans when they started.
        """
        nodes = []
        for span in spans:
            try:
                nodes.append(self._node_of(span, around or {}))
            except Exception as error:
                self._failed(error)
        return nodes

    def _node_of(self, span: ReadableSpan, around: Mapping[int, Ambient]) -> Node:
        context = span.get_span_context()
        logs = self._records.take(context.trace_id, context.span_id) if context else ()
        view = view_of(span, logs)
        try:
            operation = conventions.read(view, self._readers)
        except (AttributeError, TypeError):  # attribute names that are no texts, which the API forbids
            view = replace(view, attributes={str(name): value for name, value in view.attributes.items()})
            operation = conventions.read(view, self._readers)
        if operation is not None and not self._settings.capture_spans and not operation.is_call:
            operation = None
        return Node(view, operation, ambient=around.get(context.span_id) if context else None)

    def relative_of(self, span: ReadableSpan, around: Mapping[int, Ambient]) -> Node:
        """A span that is not sent now, open or ended; its log records stay."""
        view, context = view_of(span), span.get_span_context()
        ambient = around.get(context.span_id) if context else None
        try:
            return Node(view, conventions.read(view, self._readers), ambient=ambient)
        except Exception:  # told when the span itself is sent
            return Node(view, None, ambient=ambient)

    def remembered(self, node: Node) -> Node:
        """What spans to come want to know of one that was sent: where it is, what it is, whose it is."""
        operation = node.operation
        light = replace(node.view, attributes=identity_of(node.view.attributes), events=(), logs=(), resource={})
        if operation is None:
            return Node(light, None, ambient=node.ambient)
        return Node(
            light,
            Operation(
                operation.kind,
                request_model=operation.request_model,
                response_model=operation.response_model,
                response_id=operation.response_id,
                user=operation.user,
                session=operation.session,
            ),
            ambient=node.ambient,
        )

    def events_of(self, nodes: Sequence[Node], relatives: Iterable[Node] = ()) -> list[Encoded]:
        """The events of the nodes. ``relatives`` are spans that are not sent now but say where these belong."""
        connect([*relatives, *nodes])
        events = []
        for node in nodes:
            if node.operation is None:
                continue
            try:
                silent = node.ambient is not None and node.ambient.capture_content is False
                shape = self._silent_shape if silent else self._shape
                events.append(encode(event_of(node.operation, node.view, node.parent_id, shape)))
            except Exception as error:
                self._failed(error)
        return events

    def is_ai_span(self, span: ReadableSpan) -> bool:
        """Whether some reader may own the span: cheap, for a queue that only AI spans may enter."""
        if conventions.is_ai_span(span):
            return True
        own = self._readers[: -len(READERS)]
        try:
            return bool(own) and any(reader.recognises(view_of(span)) for reader in own)
        except Exception:  # the reader is told when the span is mapped
            return True
