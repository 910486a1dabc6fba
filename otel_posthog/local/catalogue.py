"""What lists show: traces, generations, sessions and users, filtered and paged in SQLite.

Pages are cut by the number of the first event (`before`), so a page costs the same however many
traces there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from otel_posthog.local.facts import JUDGEMENTS, Facts
from otel_posthog.local.index import select_facts
from otel_posthog.local.store import Store

PAGE = 50


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is restricted to; empty fields restrict nothing. ``since`` in seconds since 1970."""

    text: str = ""
    user: str = ""
    session: str = ""
    model: str = ""
    project: str = ""
    errors: bool = False
    since: float = 0.0

    def is_empty(self) -> bool:
        return self == Filter()


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A trace and its sums, as PostHog adds them up."""

    first_seq: int
    last_seq: int
    project: str
    trace_id: str
    name: str | None
    started: float
    session_id: str | None
    user: str
    anonymous: bool
    models: str
    events: int
    calls: int
    errors: int
    error: str | None
    input_tokens: float
    output_tokens: float
    cache_read: float
    cache_write: float
    cost: float | None
    unpriced: int
    latency: float | None
    question: str | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A session or a user: what its traces add up to."""

    key: str
    project: str
    traces: int
    calls: int
    errors: int
    input_tokens: float
    output_tokens: float
    cost: float | None
    first: float
    last: float
    users: int
    sessions: int


@dataclass(frozen=True, slots=True)
class Counts:
    events: int
    traces: int
    generations: int
    refused: int


_TRACE = ", ".join(field.name for field in fields(TraceRow))
_GROUP = (
    "count(*), sum(calls), sum(errors), sum(input_tokens), sum(output_tokens), sum(cost),"
    " min(started), max(started), count(DISTINCT user), count(DISTINCT session_id)"
)


def traces(store: Store, wanted: Filter, before: int | None = None, limit: int = PAGE) -> list[TraceRow]:
    """Traces, the one that began to arrive last first. ``limit`` 0 or less means all."""
    conditions, values = _trace_conditions(wanted)
    if before is not None:
        conditions.append("first_seq < ?")
        values.append(before)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = f"SELECT {_TRACE} FROM traces {where} ORDER BY first_seq DESC LIMIT ?"
    return [TraceRow(*row) for row in store.rows(query, [*values, limit if limit > 0 else -1])]


def trace(store: Store, trace_id: str, project: str | None = None) -> TraceRow | None:
    """One trace; of several projects that use the id, the one that sent last."""
    query = f"SELECT {_TRACE} FROM traces WHERE trace_id = ? AND project = coalesce(?, project)"
    rows = store.rows(f"{query} ORDER BY last_seq DESC LIMIT 1", (trace_id, project))
    return TraceRow(*rows[0]) if rows else None


def traces_starting_with(store: Store, prefix: str, project: str | None) -> list[tuple[str, str]]:
    """Id and project of the traces whose id starts like this, in the order of their first event."""
    query = "SELECT trace_id, project FROM traces WHERE substr(trace_id, 1, ?) = ? AND project = coalesce(?, project)"
    found = store.rows(f"{query} ORDER BY first_seq", (len(prefix), prefix, project))
    return [(row[0], row[1]) for row in found]


def neighbours(store: Store, row: TraceRow) -> tuple[TraceRow | None, TraceRow | None]:
    """The traces that began to arrive just before and just after."""
    older = traces(store, Filter(), row.first_seq, 1)
    query = f"SELECT {_TRACE} FROM traces WHERE first_seq > ? ORDER BY first_seq LIMIT 1"
    newer = [TraceRow(*found) for found in store.rows(query, (row.first_seq,))]
    return next(iter(older), None), next(iter(newer), None)


def trace_events(store: Store, row: TraceRow, limit: int) -> list[Facts]:
    """The events of a trace, by their time."""
    clause = "WHERE trace_id = ? AND project = ? ORDER BY time, seq LIMIT ?"
    return select_facts(store, clause, (row.trace_id, row.project, limit))


def event(store: Store, seq: int) -> Facts | None:
    return next(iter(select_facts(store, "WHERE seq = ?", (seq,))), None)


def judgements(store: Store, facts: Facts) -> list[Facts]:
    """Evaluations, feedback and metrics about an event; about the trace, for its `$ai_trace` event."""
    targets = [facts.node_id, facts.uuid, facts.trace_id if facts.kind == "$ai_trace" else None]
    kinds = sorted(JUDGEMENTS)
    clause = (
        f"WHERE trace_id = ? AND project = ? AND kind IN ({_marks(kinds)}) AND parent_id IN ({_marks(targets)})"
        " ORDER BY seq LIMIT 50"
    )
    return select_facts(store, clause, (facts.trace_id, facts.project, *kinds, *targets))


def doubles(store: Store, facts: Facts) -> int:
    """How many other events of its kind and trace have the node id of this one.

    PostHog merges what has the same uuid, event, timestamp and distinct_id; these differ in one of them.
    """
    query = "SELECT count(*) FROM facts WHERE trace_id = ? AND project = ? AND node_id = ? AND kind = ? AND seq != ?"
    values = (facts.trace_id, facts.project, facts.node_id, facts.kind, facts.seq)
    return int(store.rows(query, values)[0][0])


def events(store: Store, wanted: Filter, kind: str = "", before: int | None = None, limit: int = PAGE) -> list[Facts]:
    """Events of one kind (or all), newest first."""
    conditions, values = _event_conditions(wanted)
    for condition, value in (("kind = ?", kind or None), ("seq < ?", before)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    return select_facts(store, f"{where}ORDER BY seq DESC LIMIT ?", [*values, limit])


def sessions(store: Store, wanted: Filter, limit: int = 200) -> list[GroupRow]:
    """The sessions that were active last."""
    return _groups(store, "session_id", "session_id IS NOT NULL", wanted, limit)


def users(store: Store, wanted: Filter, limit: int = 200) -> list[GroupRow]:
    """The users that were active last, without anonymous ones."""
    return _groups(store, "user", "anonymous = 0", wanted, limit)


def models(store: Store) -> list[str]:
    return [row[0] for row in store.rows("SELECT DISTINCT model FROM facts WHERE model IS NOT NULL ORDER BY model")]


def projects(store: Store) -> list[str]:
    return [row[0] for row in store.rows("SELECT DISTINCT project FROM traces ORDER BY project")]


def counts(store: Store) -> Counts:
    queries = (
        "SELECT count(*) FROM facts",
        "SELECT count(*) FROM traces",
        "SELECT count(*) FROM facts WHERE kind = '$ai_generation'",
        "SELECT count(*) FROM requests WHERE status >= 400 OR dropped IS NOT NULL",
    )
    return Counts(*(store.rows(query)[0][0] for query in queries))


def _groups(store: Store, column: str, condition: str, wanted: Filter, limit: int) -> list[GroupRow]:
    conditions, values = _trace_conditions(wanted)
    where = " AND ".join([condition, *conditions])
    query = (
        f"SELECT {column}, project, {_GROUP} FROM traces WHERE {where}"
        f" GROUP BY {column}, project ORDER BY max(started) DESC LIMIT ?"
    )
    return [GroupRow(*row) for row in store.rows(query, [*values, limit])]


def _trace_conditions(wanted: Filter) -> tuple[list[str], list[Any]]:
    rows: Sequence[tuple[bool, str, tuple[Any, ...]]] = (
        (bool(wanted.project), "project = ?", (wanted.project,)),
        (wanted.errors, "errors > 0", ()),
        (wanted.since > 0, "started >= ?", (wanted.since,)),
        (bool(wanted.user), "trace_id IN (SELECT trace_id FROM facts WHERE user = ?)", (wanted.user,)),
        (bool(wanted.session), "trace_id IN (SELECT trace_id FROM facts WHERE session_id = ?)", (wanted.session,)),
        (bool(wanted.model), "trace_id IN (SELECT trace_id FROM facts WHERE model = ?)", (wanted.model,)),
        (
            bool(wanted.text),
            "(trace_id LIKE ? ESCAPE '\\' OR trace_id IN (SELECT trace_id FROM events WHERE "
            "CAST(properties AS TEXT) LIKE ? ESCAPE '\\' OR distinct_id LIKE ? ESCAPE '\\'))",
            (_like(wanted.text),) * 3,
        ),
    )
    return _chosen(rows)


def _event_conditions(wanted: Filter) -> tuple[list[str], list[Any]]:
    rows: Sequence[tuple[bool, str, tuple[Any, ...]]] = (
        (bool(wanted.project), "project = ?", (wanted.project,)),
        (wanted.errors, "is_error = 1", ()),
        (wanted.since > 0, "time >= ?", (wanted.since,)),
        (bool(wanted.user), "user = ?", (wanted.user,)),
        (bool(wanted.session), "session_id = ?", (wanted.session,)),
        (bool(wanted.model), "model = ?", (wanted.model,)),
        (
            bool(wanted.text),
            "seq IN (SELECT seq FROM events WHERE "
            "CAST(properties AS TEXT) LIKE ? ESCAPE '\\' OR distinct_id LIKE ? ESCAPE '\\')",
            (_like(wanted.text),) * 2,
        ),
    )
    return _chosen(rows)


def _chosen(rows: Sequence[tuple[bool, str, tuple[Any, ...]]]) -> tuple[list[str], list[Any]]:
    conditions = [condition for applies, condition, _ in rows if applies]
    return conditions, [value for applies, _, values in rows if applies for value in values]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
