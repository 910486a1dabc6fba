"""The numbers of the dashboard: calls, errors, tokens, cost and latency over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_posthog.local.store import Store

_BUCKETS = 48  # at most, along the time axis
_WIDTHS = (10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 86_400, 604_800, 2_592_000, 31_536_000)  # seconds
_QUERY = (
    "SELECT time, kind, coalesce(model, ''), is_error, input_tokens, output_tokens, cache_read, cache_write, reasoning,"
    " cost, latency, first_token, fresh_input, plain_output FROM facts"
    " WHERE kind IN ('$ai_generation', '$ai_embedding') AND time >= ? AND (? = '' OR project = ?) ORDER BY time"
)


@dataclass(slots=True)
class ModelSum:
    model: str
    calls: int = 0
    errors: int = 0
    input_tokens: float = 0
    output_tokens: float = 0
    cost: float | None = None
    unpriced: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float | None:
        return percentile(sorted(self.latencies), 0.5)

    @property
    def p95(self) -> float | None:
        return percentile(sorted(self.latencies), 0.95)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Sums by model (dearest first) and series over time. ``series`` has one value a bucket."""

    calls: int
    errors: int
    cost: float | None
    tokens: dict[str, float]
    models: list[ModelSum]
    latency: dict[str, float | None]
    width: int
    series: dict[str, list[float | None]]


def dashboard(store: Store, since: float = 0.0, project: str = "") -> Dashboard:
    """Generations and embeddings since a time, in seconds since 1970."""
    rows = store.rows(_QUERY, (since, project, project))
    models: dict[str, ModelSum] = {}
    tokens = dict.fromkeys(("input", "output", "cache read", "cache write", "reasoning"), 0.0)
    for row in rows:
        _add(models.setdefault(row[2], ModelSum(row[2])), tokens, row)
    costs = [found.cost for found in models.values() if found.cost is not None]
    latencies = sorted(row[10] for row in rows if row[10] is not None)
    start, width = _axis(rows)
    return Dashboard(
        calls=len(rows),
        errors=sum(found.errors for found in models.values()),
        cost=sum(costs) if costs else None,
        tokens=tokens,
        models=sorted(models.values(), key=lambda found: (-(found.cost or 0), -found.calls, found.model)),
        latency={name: percentile(latencies, share) for name, share in _SHARES.items()},
        width=width,
        series=_series(rows, start, width),
    )


_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile of values in ascending order."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def _add(found: ModelSum, tokens: dict[str, float], row: Sequence[Any]) -> None:
    _, _, _, is_error, input_tokens, output_tokens, read, write, reasoning, cost, latency, *_ = row
    found.calls += 1
    found.errors += bool(is_error)
    found.input_tokens += input_tokens or 0
    found.output_tokens += output_tokens or 0
    if cost is not None:
        found.cost = (found.cost or 0) + cost
    elif input_tokens is not None or output_tokens is not None:
        found.unpriced += 1
    if latency is not None:
        found.latencies.append(latency)
    for name, value in zip(tokens, (input_tokens, output_tokens, read, write, reasoning), strict=True):
        tokens[name] += value or 0


def _axis(rows: Sequence[Sequence[Any]]) -> tuple[float, int]:
    """The beginning of the first bucket and the width of all of them, in seconds."""
    if not rows:
        return 0.0, _WIDTHS[0]
    first, last = rows[0][0], rows[-1][0]
    width = next((width for width in _WIDTHS if (last - first) / width < _BUCKETS), _WIDTHS[-1])
    return first - first % width, width


def _series(rows: Sequence[Sequence[Any]], start: float, width: int) -> dict[str, list[float | None]]:
    count = min(int((rows[-1][0] - start) // width) + 1, 10 * _BUCKETS) if rows else 0
    buckets: list[list[Sequence[Any]]] = [[] for _ in range(count)]
    for row in rows:
        buckets[min(int((row[0] - start) // width), count - 1)].append(row)
    series: dict[str, list[float | None]] = {"time": [start + index * width for index in range(count)]}
    series["calls"] = [len(bucket) for bucket in buckets]
    series["errors"] = [sum(bool(row[3]) for row in bucket) for bucket in buckets]
    series["cost"] = [sum(row[9] or 0 for row in bucket) for bucket in buckets]
    # Parts that do not overlap, so that they can stand on each other.
    for name, column in (("input", 12), ("cache read", 6), ("cache write", 7), ("output", 13), ("reasoning", 8)):
        series[name] = [sum(row[column] or 0 for row in bucket) for bucket in buckets]
    latencies = [sorted(row[10] for row in bucket if row[10] is not None) for bucket in buckets]
    for name, share in _SHARES.items():
        series[name] = [percentile(values, share) for values in latencies]
    first_tokens = [sorted(row[11] for row in bucket if row[11] is not None) for bucket in buckets]
    series["first token"] = [percentile(values, 0.5) for values in first_tokens]
    return series
