"""Nodes: the spans of a trace with what they say, and the way up from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from otel_posthog._context import CaptureContext
from otel_posthog._model import Operation
from otel_posthog._spans import SpanView


@dataclass(slots=True)
class Node:
    """A span and its operation, ``None`` if it is no AI span. ``trace_id`` and ``parent_id`` are as they are sent.

    ``heads_trace`` is set where the trace takes its name and state from this span, and the span is not its own root.
    """

    view: SpanView
    operation: Operation | None
    parent_id: str | None = None
    ambient: CaptureContext | None = None
    heads_trace: bool = False
    trace_id: str = ""
    was_sent: bool = False  # before: it only tells what it is

    def __post_init__(self) -> None:
        self.trace_id = self.trace_id or self.view.trace_id


Id = tuple[str, str]  # trace id and span id; a span id is one of a kind in its trace only


def id_of(node: Node) -> Id:
    return node.view.trace_id, node.view.span_id


def ancestors_of(node: Node, by_id: Mapping[Id, Node]) -> Iterator[Node]:
    """From the parent up, as far as it is known. A loop (broken ids) ends where it closes."""
    seen = {node.view.span_id}
    parent_id = node.view.parent_span_id
    while parent_id is not None and parent_id not in seen:
        seen.add(parent_id)
        parent = by_id.get((node.view.trace_id, parent_id))
        if parent is None:
            return
        yield parent
        parent_id = parent.view.parent_span_id


def depth_of(node: Node, by_id: Mapping[Id, Node]) -> int:
    return sum(1 for _ in ancestors_of(node, by_id))
