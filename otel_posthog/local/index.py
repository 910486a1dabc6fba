"""The index: facts of each event and sums of each trace, in tables that lists and plots read.

It is derived from the stored events and brought up to date on demand, so that capturing stays fast
and the rules may change. `refresh` reads what came since it last ran, in this process or another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import orjson

from otel_posthog._version import __version__
from otel_posthog.local.conversation import question_of
from otel_posthog.local.facts import Facts, facts_of
from otel_posthog.local.prices import table_version
from otel_posthog.local.schema import drop_derived
from otel_posthog.local.store import Store, StoredEvent
from otel_posthog.local.trees import totals, trace_name

RULES = 2  # raise it when the facts or sums of an event are worked out in another way

_BATCH = 500  # events read at once; others may use the store in between
_COLUMNS = [field.name for field in fields(Facts)]
_FACTS = ", ".join(_COLUMNS)
_INSERT_FACTS = f"INSERT OR REPLACE INTO facts ({_FACTS}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_SELECT_STALE = (
    "SELECT seq, project, event, distinct_id, uuid, timestamp, properties, path, deliveries"
    " FROM events WHERE seq IN (SELECT seq FROM stale ORDER BY seq LIMIT ?)"
)
_values = attrgetter(*_COLUMNS)
_FLAGS = [index for index, name in enumerate(_COLUMNS) if name in ("anonymous", "is_error")]


def refresh(store: Store) -> bool:
    """Bring the index up to date; whether anything had changed."""
    made_by = f"{__version__} {RULES} {table_version()}"
    if store.rows("SELECT made_by FROM derived") != [(made_by,)]:
        with store.writing() as connection:
            drop_derived(connection)
            connection.execute("INSERT INTO derived VALUES (?)", (made_by,))
    changed = False
    while _refresh_batch(store):
        changed = True
    return changed


def select_facts(store: Store, clause: str, values: Sequence[object] = ()) -> list[Facts]:
    """The facts of events, in the order and number that ``clause`` (SQL after the table) says."""
    return [_facts(row) for row in store.rows(f"SELECT {_FACTS} FROM facts {clause}", values)]


def _refresh_batch(store: Store) -> bool:
    rows = store.rows(_SELECT_STALE, (_BATCH,))
    if not rows:
        return False
    questions: dict[tuple[str, str], str] = {}
    made: list[tuple[Any, ...]] = []
    for row in rows:
        event: StoredEvent = {
            "event": row[2],
            "distinct_id": row[3],
            "uuid": row[4],
            "timestamp": row[5],
            "properties": orjson.loads(row[6]),
            "path": row[7],
            "deliveries": row[8],
        }
        facts = facts_of(event, row[0], row[1])
        made.append(_values(facts))
        if facts.trace_id is not None and (question := question_of(event["properties"])):
            questions.setdefault((facts.trace_id, facts.project), question)
    trace_id, project = _COLUMNS.index("trace_id"), _COLUMNS.index("project")
    touched = dict.fromkeys((row[trace_id], row[project]) for row in made if row[trace_id] is not None)
    with store.writing() as connection:
        connection.executemany(_INSERT_FACTS, made)
        connection.executemany("DELETE FROM stale WHERE seq = ?", [(row[0],) for row in rows])
        for key in touched:
            _sum_trace(connection, key, questions.get(key))
    return True


def _sum_trace(connection: sqlite3.Connection, key: tuple[str, str], question: str | None) -> None:
    rows = connection.execute(f"SELECT {_FACTS} FROM facts WHERE trace_id = ? AND project = ? ORDER BY seq", key)
    facts = [_facts(row) for row in rows]
    sums = totals(facts)
    known = connection.execute("SELECT question FROM traces WHERE trace_id = ? AND project = ?", key).fetchone()
    named_user = next((fact for fact in facts if not fact.anonymous), facts[0])
    values = {
        "first_seq": facts[0].seq,
        "last_seq": facts[-1].seq,
        "project": key[1],
        "trace_id": key[0],
        "name": trace_name(facts),
        "started": min(fact.time for fact in facts),
        "session_id": next((fact.session_id for fact in facts if fact.session_id), None),
        "user": named_user.user,
        "anonymous": named_user.anonymous,
        "models": "\n".join(dict.fromkeys(fact.model for fact in facts if fact.model)),
        "events": len(facts),
        "calls": sum(fact.is_priced for fact in facts),
        "errors": sums.errors,
        "error": next((fact.error for fact in facts if fact.error), None),
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cache_read": sum(fact.cache_read or 0 for fact in facts if fact.is_priced),
        "cache_write": sum(fact.cache_write or 0 for fact in facts if fact.is_priced),
        "cost": sums.cost,
        "unpriced": sum(fact.lacks_price for fact in facts),
        "latency": sums.latency,
        "question": (known[0] if known else None) or question,
    }
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT OR REPLACE INTO traces ({columns}) VALUES ({marks})", list(values.values()))


def _facts(row: Sequence[Any]) -> Facts:
    values = list(row)
    for index in _FLAGS:
        values[index] = bool(values[index])
    return Facts(*values)
