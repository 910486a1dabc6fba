"""How the local PostHog looks in a terminal: a line for each event, a table of traces, a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from otel_posthog.local.store import StoredEvent
from otel_posthog.local.trees import (
    Totals,
    cost_of,
    is_error,
    number,
    totals,
    trace_name,
    tree,
)

_COLOURS = {
    "$ai_generation": "green",
    "$ai_embedding": "cyan",
    "$ai_span": "blue",
    "$ai_trace": "magenta",
    "$ai_evaluation": "yellow",
}

# rich leaves out what is indented past the terminal's edge; deeper nodes say their level instead.
_DEEPEST = 12


def event_line(event: StoredEvent) -> Text:
    """Time, kind, name, tokens, cost, latency, user and trace of one event, on one line."""
    properties = event["properties"]
    trace_id = properties.get("$ai_trace_id")
    line = Text.assemble((_clock(event["timestamp"]), "dim"), " ", no_wrap=True)
    line.append(f"{_kind(event):<10} ", _COLOURS.get(event["event"], "white"))
    line.append(_name(event), "bold")
    _append(line, _measures(properties))
    _append(line, _user(event), "dim")
    if trace_id is not None:
        _append(line, f"trace {str(trace_id)[:8]}", "dim")
    _append(line, _failure(properties), "bold red")
    if event["deliveries"] > 1:
        _append(line, f"delivered {event['deliveries']} times", "yellow")
    return line


def event_table(events: Sequence[StoredEvent]) -> Table:
    """All events, one a row."""
    columns = ("time", "event", "name", "tokens", "cost", "latency", "user", "trace", "error")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for event in events:
        properties = event["properties"]
        cells = (
            _clock(event["timestamp"]),
            _kind(event),
            _name(event),
            _tokens(properties),
            _cost(cost_of(properties)),
            _seconds(number(properties, "$ai_latency")),
            _user(event),
            str(properties.get("$ai_trace_id", ""))[:8],
            _failure(properties),
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def trace_table(traces: Mapping[str, Sequence[StoredEvent]]) -> Table:
    """Traces by id, one a row, with the sums that PostHog shows."""
    columns = ("trace", "name", "started", "events", "tokens", "cost", "latency", "errors")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    table.columns[0].overflow = "fold"  # an id that is cut off cannot be copied
    for column in table.columns[2:]:
        column.no_wrap = True
    for trace_id, events in traces.items():
        sums = totals(events)
        cells = (
            trace_id,
            trace_name(events) or "",
            min(event["timestamp"] for event in events)[:19].replace("T", " "),
            str(len(events)),
            _token_pair(sums),
            _cost(sums.cost),
            _seconds(sums.latency),
            str(sums.errors or ""),
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def trace_tree(trace_id: str, events: Sequence[StoredEvent]) -> Tree:
    """One trace as PostHog draws it."""
    sums = totals(events)
    label = Text.assemble((trace_name(events) or "trace", "bold magenta"), " ", (trace_id, "dim"))
    _append(label, _join(_token_pair(sums), _cost(sums.cost), _seconds(sums.latency)))
    if sums.errors:
        _append(label, f"✗ {sums.errors} failed", "bold red")
    drawing = Tree(label)
    waiting = [(drawing, node, 1) for node in reversed(tree(events))]
    while waiting:
        parent, node, depth = waiting.pop()
        branch = parent.add(_node_line(node.event, depth))
        inner = branch if depth < _DEEPEST else parent
        waiting.extend((inner, child, depth + 1) for child in reversed(node.children))
    return drawing


def _node_line(event: StoredEvent, depth: int) -> Text:
    properties = event["properties"]
    mark = f"[level {depth}] " if depth > _DEEPEST else ""
    line = Text.assemble((mark, "dim"), (_kind(event), _COLOURS.get(event["event"], "white")), " ")
    line.append(_name(event), "bold")
    _append(line, _measures(properties))
    _append(line, _failure(properties), "bold red")
    return line


def _append(line: Text, text: str, style: str = "") -> None:
    if text:
        line.append("  ")
        line.append(text, style)


def _join(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _kind(event: StoredEvent) -> str:
    return event["event"].removeprefix("$ai_")


def _name(event: StoredEvent) -> str:
    """The model of a call, with the name of its span if that says something else."""
    properties = event["properties"]
    model, span = properties.get("$ai_model"), properties.get("$ai_span_name")
    if event["event"] == "$ai_evaluation":
        result = properties.get("$ai_evaluation_result")
        label = properties.get("$ai_evaluation_name") or "evaluation"
        return str(label) if result is None else f"{label} = {result}"
    if model and span and str(model) not in str(span):
        return f"{model} ({span})"
    return str(span if span and not model else model or "")


def _measures(properties: Mapping[str, Any]) -> str:
    known = dict(properties)
    latency = _seconds(number(known, "$ai_latency"))
    return _join(_tokens(known), _cost(cost_of(known)), latency)


def _tokens(properties: dict[str, Any]) -> str:
    sent, received = number(properties, "$ai_input_tokens"), number(properties, "$ai_output_tokens")
    if sent is None and received is None:
        return ""
    cached = number(properties, "$ai_cache_read_input_tokens")
    written = number(properties, "$ai_cache_creation_input_tokens")
    cache = [f"cache {cached:g}"] if cached else []
    cache += [f"written {written:g}"] if written else []
    pair = f"{_count(sent)} → {_count(received)} tokens"
    return f"{pair} ({', '.join(cache)})" if cache else pair


def _token_pair(sums: Totals) -> str:
    if not (sums.input_tokens or sums.output_tokens):
        return ""
    return f"{_count(sums.input_tokens)} → {_count(sums.output_tokens)} tokens"


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"


def _cost(usd: float | None) -> str:
    if usd is None:
        return ""
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.6f}".rstrip("0").rstrip(".")


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _user(event: StoredEvent) -> str:
    nobody = event["properties"].get("$process_person_profile") is False
    return "anonymous" if nobody else event["distinct_id"]


def _failure(properties: Mapping[str, Any]) -> str:
    if not is_error(dict(properties)):
        return ""
    error = properties.get("$ai_error")
    text = error.get("message", error) if isinstance(error, dict) else error
    line = " ".join(str(text or "failed").split())
    return f"✗ {line[:80]}…" if len(line) > 80 else f"✗ {line}"


def _clock(timestamp: str) -> str:
    """Hours to seconds of an RFC 3339 time, in the offset it was written in."""
    return timestamp[11:19]
