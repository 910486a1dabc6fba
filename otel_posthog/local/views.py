"""How the local PostHog looks in a terminal: a line for each event, a table of traces, a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from otel_posthog.local.catalogue import TraceRow
from otel_posthog.local.conversation import conversation_of
from otel_posthog.local.facts import Facts, facts_of
from otel_posthog.local.formats import kind, moment, money, printable, seconds
from otel_posthog.local.store import StoredEvent
from otel_posthog.local.transcript import plain_text
from otel_posthog.local.trees import totals, trace_name, tree

_COLOURS = {
    "$ai_generation": "green",
    "$ai_embedding": "cyan",
    "$ai_span": "blue",
    "$ai_trace": "magenta",
    "$ai_evaluation": "yellow",
}

# rich leaves out what is indented past the terminal's edge; deeper nodes say their level instead.
_DEEPEST = 12
_WIDE = 110  # columns from which a table has room for dates and words
_WIDE_COLUMNS = ("trace", "name", "started", "events", "tokens", "cost", "latency", "errors")
_NARROW_COLUMNS = ("trace", "name", "started", "tokens", "cost", "latency")
_LEAST_NAME = 6  # characters


def event_line(event: StoredEvent) -> Text:
    """Time, kind, name, tokens, cost, latency, user and trace of one event, on one line."""
    facts = facts_of(event)
    line = Text.assemble((_clock(event["timestamp"]), "dim"), " ", no_wrap=True)
    line.append(f"{printable(kind(facts.kind)):<10} ", _COLOURS.get(facts.kind, "white"))
    line.append(printable(_name(facts)), "bold")
    _append(line, _measures(facts))
    _append(line, _user(facts), "dim")
    if facts.trace_id is not None:
        _append(line, f"trace {facts.trace_id[:8]}", "dim")
    _append(line, _failure(facts), "bold red")
    if facts.deliveries > 1:
        _append(line, f"delivered {facts.deliveries} times", "yellow")
    return line


def event_table(events: Sequence[StoredEvent]) -> Table:
    """All events, one a row."""
    columns = ("time", "event", "name", "tokens", "cost", "latency", "user", "trace", "error")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for event in events:
        facts = facts_of(event)
        cells = (
            _clock(event["timestamp"]),
            kind(facts.kind),
            _name(facts),
            _tokens(facts),
            _cost(facts),
            seconds(facts.latency),
            _user(facts),
            (facts.trace_id or "")[:8],
            _failure(facts),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def trace_table(traces: Sequence[TraceRow], width: int) -> Table:
    """Traces, one a row, with the sums that PostHog shows; ids are whole, so that they can be copied.

    ``width`` in columns: a narrow terminal gets the time without the date, and shorter numbers.
    """
    wide = width >= _WIDE
    columns = _WIDE_COLUMNS if wide else _NARROW_COLUMNS
    rows = [[_cell(row, column, wide) for column in columns] for row in traces]
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    padding = 2 if wide else 1
    # What is left for the name, whose end is the only thing that may be missing.
    left = width - sum(widths[:1] + widths[2:]) - padding * len(columns)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, padding, 0, 0))
    for column, needed in zip(columns, widths, strict=True):
        is_name = column == "name"
        table.add_column(
            column,
            no_wrap=column != "trace",
            overflow="ellipsis" if is_name else "fold",
            min_width=None if is_name else needed,
        )
    for cells in rows:
        cells[1] = cells[1] if len(cells[1]) <= max(left, _LEAST_NAME) else cells[1][: max(left, _LEAST_NAME) - 1] + "…"
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _cell(row: TraceRow, column: str, wide: bool) -> str:
    name = row.name or row.question or row.models.replace("\n", ", ")
    cells = {
        "trace": row.trace_id,
        "name": name if wide or not row.errors else f"✗ {name}",
        "started": moment(row.started) if wide else moment(row.started)[11:16],
        "events": str(row.events),
        "tokens": _token_pair(row.input_tokens, row.output_tokens, wide),
        "cost": money(row.cost) if row.cost is not None or not row.unpriced else "no price",
        "latency": seconds(row.latency),
        "errors": str(row.errors or ""),
    }
    return cells[column]


def trace_tree(trace_id: str, events: Sequence[StoredEvent]) -> Tree:
    """One trace as PostHog draws it."""
    facts = [facts_of(event) for event in events]
    sums = totals(facts)
    name = printable(trace_name(facts) or "trace")
    label = Text.assemble((name, "bold magenta"), " ", (printable(trace_id), "dim"))
    words = _token_pair(sums.input_tokens, sums.output_tokens, True)
    _append(label, _join(words, money(sums.cost), seconds(sums.latency)))
    if sums.errors:
        _append(label, f"✗ {sums.errors} failed", "bold red")
    drawing = Tree(label)
    waiting = [(drawing, node, 1) for node in reversed(tree(facts))]
    while waiting:
        parent, node, depth = waiting.pop()
        branch = parent.add(_node_line(node.facts, depth))
        inner = branch if depth < _DEEPEST else parent
        waiting.extend((inner, child, depth + 1) for child in reversed(node.children))
    return drawing


def messages_text(events: Sequence[StoredEvent]) -> Text:
    """The conversation of each event, as plain text."""
    text = Text()
    for event in sorted(events, key=lambda found: found["timestamp"]):
        facts = facts_of(event)
        words = plain_text(conversation_of(event["properties"]))
        if words:
            text.append(printable(f"── {kind(facts.kind)} {_name(facts)}\n"), "bold")
            text.append(printable(f"{words}\n\n"))
    return text


def properties_text(events: Sequence[StoredEvent]) -> Text:
    """All properties of each event, one a line, as JSON."""
    text = Text()
    for event in sorted(events, key=lambda found: found["timestamp"]):
        facts = facts_of(event)
        text.append(printable(f"── {kind(facts.kind)} {_name(facts)}  {event['uuid']}\n"), "bold")
        for name, value in sorted(event["properties"].items()):
            text.append(printable(name), "cyan")
            text.append(printable(f" {_json(value)}\n"))
        text.append("\n")
    return text


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _node_line(facts: Facts, depth: int) -> Text:
    mark = f"[level {depth}] " if depth > _DEEPEST else ""
    line = Text.assemble((mark, "dim"), (printable(kind(facts.kind)), _COLOURS.get(facts.kind, "white")), " ")
    line.append(printable(_name(facts)), "bold")
    _append(line, _measures(facts))
    _append(line, _failure(facts), "bold red")
    return line


def _append(line: Text, text: str, style: str = "") -> None:
    if text:
        line.append("  ")
        line.append(printable(text), style)


def _join(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _name(facts: Facts) -> str:
    """The model of a call, with the name of its span if that says something else."""
    if facts.is_judgement:
        return " = ".join(part for part in (facts.name, facts.result) if part)
    if facts.model and facts.name and facts.model not in facts.name:
        return f"{facts.model} ({facts.name})"
    return facts.name if facts.name and not facts.model else facts.model or ""


def _measures(facts: Facts) -> str:
    return _join(_tokens(facts), _cost(facts), seconds(facts.latency))


def _cost(facts: Facts) -> str:
    return "no price known" if facts.lacks_price else money(facts.cost)


def _tokens(facts: Facts) -> str:
    if facts.input_tokens is None and facts.output_tokens is None:
        return ""
    cache = [f"cache {facts.cache_read:g}"] if facts.cache_read else []
    cache += [f"written {facts.cache_write:g}"] if facts.cache_write else []
    pair = f"{_count(facts.input_tokens)} → {_count(facts.output_tokens)} tokens"
    return f"{pair} ({', '.join(cache)})" if cache else pair


def _token_pair(sent: float, received: float, with_unit: bool) -> str:
    if not (sent or received):
        return ""
    return f"{_count(sent)} → {_count(received)} tokens" if with_unit else f"{_short(sent)}→{_short(received)}"


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}" if abs(value) < 1e15 else f"{value:.3g}"


def _short(value: float) -> str:
    if value < 10_000:
        return f"{value:.0f}"
    return f"{value / 1000:.0f}k" if value < 1_000_000 else f"{value / 1_000_000:.1f}M"


def _user(facts: Facts) -> str:
    return "anonymous" if facts.anonymous else facts.user


def _failure(facts: Facts) -> str:
    line = facts.error or ""
    return f"✗ {line[:80]}…" if len(line) > 80 else f"✗ {line}" if line else ""


def _clock(timestamp: str) -> str:
    """Hours to seconds of an RFC 3339 time, in the offset it was written in."""
    return timestamp[11:19]
