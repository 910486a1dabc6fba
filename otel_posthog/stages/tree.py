"""The tree that the spans of a batch form with the context spans around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from otel_posthog._trace import SpanKey, TracedSpan


class Tree:
    """The spans of a batch and their ancestors. ``spans`` are those to export, in the order given."""

    def __init__(self, spans: Sequence[TracedSpan], context_spans: Iterable[TracedSpan] = ()) -> None:
        self.spans = spans
        self._by_key = {traced.key: traced for traced in (*context_spans, *spans)}
        self._depths: dict[SpanKey, int] = {}

    def __contains__(self, key: SpanKey) -> bool:
        return key in self._by_key

    def parent(self, traced: TracedSpan) -> TracedSpan | None:
        """The parent, if it is known."""
        span = traced.span
        if span.parent_span_id is None or span.parent_span_id == span.span_id:
            return None
        return self._by_key.get((span.trace_id, span.parent_span_id))

    def everything(self) -> Iterable[TracedSpan]:
        """The spans to export and the context spans."""
        return self._by_key.values()

    def depth(self, traced: TracedSpan) -> int:
        """The number of known ancestors. A loop of ids ends where it closes."""
        path: list[SpanKey] = []
        current: TracedSpan | None = traced
        while current is not None and current.key not in self._depths:
            self._depths[current.key] = 0  # closes loops
            path.append(current.key)
            current = self.parent(current)
        depth = -1 if current is None else self._depths[current.key]
        for key in reversed(path):
            depth += 1
            self._depths[key] = depth
        return self._depths[traced.key]


class NearestAncestor:
    """Finds the nearest ancestor that satisfies a condition. Remembers what it finds: each span is visited once."""

    def __init__(self, tree: Tree, wanted: Callable[[TracedSpan], bool]) -> None:
        self._tree, self._wanted = tree, wanted
        self._found: dict[SpanKey, TracedSpan | None] = {}

    def of(self, traced: TracedSpan) -> TracedSpan | None:
        """The nearest, ``None`` if there is none."""
        path: list[SpanKey] = []
        current = traced
        nearest: TracedSpan | None = None
        while True:
            key = current.key
            if key in self._found:
                nearest = self._found[key]
                break
            self._found[key] = None  # closes loops
            path.append(key)
            parent = self._tree.parent(current)
            if parent is None:
                break
            if self._wanted(parent):
                nearest = parent
                break
            current = parent
        for key in path:
            self._found[key] = nearest
        return nearest


class TopAncestor:
    """Finds the topmost known ancestor, the span itself if it has none."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._found: dict[SpanKey, TracedSpan] = {}

    def of(self, traced: TracedSpan) -> TracedSpan:
        """The topmost."""
        path: list[SpanKey] = []
        current = traced
        while current.key not in self._found:
            path.append(current.key)
            self._found[current.key] = current  # closes loops
            parent = self._tree.parent(current)
            if parent is None:
                break
            current = parent
        top = self._found[current.key]
        for key in path:
            self._found[key] = top
        return top
