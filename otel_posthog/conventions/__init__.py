"""The conventions: one reader each, asked in this order; the first that recognises a span owns it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from otel_posthog.conventions import semconv
from otel_posthog.conventions._attributes import Attributes
from otel_posthog.conventions._common import complete
from otel_posthog.operation import Operation
from otel_posthog.spans import SpanView


@dataclass(frozen=True, slots=True)
class Reader:
    """How one convention is read: ``recognises`` says whether a span is its own, ``read`` gives the operation.

    ``read`` takes what it understands from the attributes; the rest passes through to the event.
    """

    name: str
    recognises: Callable[[SpanView], bool]
    read: Callable[[SpanView, Attributes], Operation]


# Most specific first: a span may carry two conventions, and the specific one knows what the other repeats.
READERS: tuple[Reader, ...] = (Reader("semconv", semconv.recognises, semconv.read),)


def read(span: SpanView, readers: tuple[Reader, ...] = READERS) -> Operation | None:
    """The operation that a span describes, ``None`` if it is no AI span."""
    for reader in readers:
        if reader.recognises(span):
            attributes = Attributes(span.attributes)
            operation = reader.read(span, attributes)
            complete(operation, span, attributes)
            return operation
    return None
