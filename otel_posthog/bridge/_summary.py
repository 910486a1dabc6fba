"""What a replay would send, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from otel_posthog._pipeline import Pipeline
from otel_posthog.bridge._recorded import map_spans, read_files
from otel_posthog.conventions import reader_of
from otel_posthog.delivery import encode
from otel_posthog.events.identity import event_uuid
from otel_posthog.settings import Settings

_MOST_LISTED = 20  # names of a kind


class Summary:
    """Counts of events by name, tokens and cost by model, unmapped attributes, and reasons for what is left out."""

    def __init__(self, settings: Settings) -> None:
        self._pipeline = Pipeline(settings, encode, explains=False)
        self._events: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._cost: dict[str, float] = {}
        self._unmapped: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def add_files(self, paths: Sequence[str]) -> None:
        """Count files. ``UnreadableError`` or ``OSError`` if one cannot be read."""
        for part in read_files(paths):
            result = map_spans(part, self._pipeline)
            for event in part.events:
                self._add(event)
            for encoded in result.events:
                self._add(orjson.loads(encoded.body))
            self._left_out.update(part.rejected)
            for drop in result.drops:
                self._left_out[f"spans: {drop.reason.replace('_', ' ')}"] += drop.count
            made = {event.uuid for event in result.events}
            without = [span for span in part.spans if event_uuid(span.trace_id, span.span_id) not in made]
            not_ai = sum(1 for span in without if reader_of(span) is None)
            self._left_out["spans: no AI attribute"] += not_ai
            dropped = sum(drop.count for drop in result.drops)
            self._left_out["spans: duplicate of another span"] += max(0, len(without) - not_ai - dropped)

    def _add(self, event: dict[str, Any]) -> None:
        properties = event["properties"]
        self._events[event["event"]] += 1
        model = properties.get("$ai_model")
        if isinstance(model, str):
            self._calls[model] += 1
            for kind in ("input", "output"):
                count = properties.get(f"$ai_{kind}_tokens")
                self._tokens[model, kind] += count if isinstance(count, int) else 0
            cost = properties.get("$ai_total_cost_usd")
            if isinstance(cost, (int, float)):
                self._cost[model] = self._cost.get(model, 0.0) + cost
        self._unmapped.update(name for name in properties if "." in name and not name.startswith("$"))

    def lines(self) -> list[str]:
        """The report."""
        lines = [f"{sum(self._events.values()):,} events"]
        lines += [f"  {count:>9,}  {name}" for name, count in self._events.most_common()]
        if self._calls:
            lines += ["", "models (cost where the spans state it; PostHog computes it otherwise)"]
        for model, count in self._calls.most_common(_MOST_LISTED):
            tokens = f"{self._tokens[model, 'input']:,} input and {self._tokens[model, 'output']:,} output tokens"
            cost = f", ${self._cost[model]:.4f}" if model in self._cost else ""
            lines.append(f"  {count:>9,}  {model}: {tokens}{cost}")
        lines += _listed("attributes without a property, which pass through under their own name", self._unmapped)
        return lines + _listed("left out", +self._left_out)


def _listed(title: str, counts: Counter[str]) -> list[str]:
    if not counts:
        return []
    shown = [f"  {count:>9,}  {name}" for name, count in counts.most_common(_MOST_LISTED)]
    more = [f"  … and {len(counts) - _MOST_LISTED} more"] if len(counts) > _MOST_LISTED else []
    return ["", title, *shown, *more]
