"""The database: what an older or foreign file is, projects, and the index over it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from otel_posthog.local import LocalPostHog, catalogue
from otel_posthog.local.catalogue import Filter
from otel_posthog.local.index import refresh
from otel_posthog.local.store import Store, StoreError
from tests.local.samples import EXPLANATION, event, failed_call, history, send, weather_agent

NOW = 1_790_000_000.0

# The tables as version 1 made them.
OLD_SCHEMA = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, event TEXT NOT NULL, distinct_id TEXT NOT NULL, uuid TEXT NOT NULL,
    timestamp TEXT NOT NULL, trace_id TEXT, path TEXT NOT NULL, properties BLOB NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 1, UNIQUE (uuid, event, timestamp, distinct_id)
);
CREATE INDEX events_trace ON events (trace_id);
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY, method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER,
    fault TEXT, events INTEGER NOT NULL, compressed_bytes INTEGER NOT NULL,
    decompressed_bytes INTEGER NOT NULL, headers BLOB NOT NULL, body_sha256 TEXT NOT NULL
);
INSERT INTO events VALUES
    (4, '$ai_generation', 'u', 'x', '2026-01-02T03:04:05Z', 't', '/batch/', '{"$ai_trace_id":"t"}', 2);
INSERT INTO requests VALUES (1, 'POST', '/batch/', 200, NULL, 1, 10, 10, '{}', '00');
"""


def stored(*events: dict[str, Any], key: str = "phc_one") -> Store:
    with LocalPostHog() as posthog:
        send(posthog.url, list(events), key)
        refresh(posthog.store)
        return posthog.store


def test_a_database_of_the_first_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD_SCHEMA)
    connection.close()
    for _ in range(2):
        store = Store(path)
        refresh(store)
        assert [(found["uuid"], found["deliveries"]) for found in store.events()] == [("x", 2)]
        assert [row.trace_id for row in catalogue.traces(store, Filter())] == ["t"]
        assert [record.status for record in store.requests()] == [200]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, " * 100)
    with pytest.raises(StoreError, match=r"notes.txt is not a SQLite database"):
        Store(path)
    assert path.read_text().startswith("these are notes")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id)")
    with pytest.raises(StoreError, match="another program's SQLite database"):
        Store(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]
    connection.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match=r"newer otel-posthog \(its schema is 99, this one reads up to 2\)"):
        Store(path)


def test_the_same_ids_in_two_projects_are_two_traces() -> None:
    with LocalPostHog() as posthog:
        for key in ("phc_one", "phc_two"):
            send(posthog.url, [event("$ai_generation", NOW, "t", model="gpt-4o")], key)
        refresh(posthog.store)
        found = catalogue.traces(posthog.store, Filter())
        assert [(row.project, row.events) for row in found] == [("phc_two", 1), ("phc_one", 1)]
        assert [row.project for row in catalogue.traces(posthog.store, Filter(project="phc_one"))] == ["phc_one"]


def test_an_event_that_came_twice_is_counted_once() -> None:
    call = event("$ai_generation", NOW, "t", provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=0)
    with LocalPostHog() as posthog:
        for _ in range(2):
            send(posthog.url, [call])
            refresh(posthog.store)
        (row,) = catalogue.traces(posthog.store, Filter())
        assert (row.events, row.input_tokens, row.cost) == (1, 1000, pytest.approx(0.0025))
        assert catalogue.events(posthog.store, Filter())[0].deliveries == 2


def test_a_trace_adds_up() -> None:
    (row,) = catalogue.traces(stored(*weather_agent(NOW)), Filter())
    assert (row.name, row.question) == ("Travel question", "Do I need an umbrella in Lisbon tomorrow?")
    assert (row.calls, row.events, row.errors) == (3, 8, 0)
    assert (row.input_tokens, row.output_tokens, row.cache_read, row.latency) == (3742, 105, 2816, 3.42)
    assert row.cost == pytest.approx(0.00685772)
    assert (row.user, row.session_id) == ("user-8812", "chat-2291")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["f00d5b8e1c2d3e4f5061728394a5b6c7", "5b3fcdfbfffe9bbed75f68277389af09"]),
        (Filter(text="umbrella"), ["5b3fcdfbfffe9bbed75f68277389af09"]),
        (Filter(text="NOTICE: 90"), ["f00d5b8e1c2d3e4f5061728394a5b6c7"]),
        (Filter(text="100%"), []),
        (Filter(user="joe"), ["f00d5b8e1c2d3e4f5061728394a5b6c7"]),
        (Filter(session="chat-2291"), ["5b3fcdfbfffe9bbed75f68277389af09"]),
        (Filter(model="text-embedding-3-small"), ["5b3fcdfbfffe9bbed75f68277389af09"]),
        (Filter(errors=True), ["f00d5b8e1c2d3e4f5061728394a5b6c7"]),
        (Filter(since=NOW + 1), ["f00d5b8e1c2d3e4f5061728394a5b6c7"]),
    ],
)
def test_traces_can_be_filtered(wanted: Filter, found: list[str]) -> None:
    store = stored(*weather_agent(NOW), *failed_call(NOW + 5))
    assert [row.trace_id for row in catalogue.traces(store, wanted)] == found


def test_pages_follow_one_another_without_a_gap() -> None:
    store = stored(*history(NOW, 120))
    seen, before = [], None
    while page := catalogue.traces(store, Filter(), before):
        seen += [row.trace_id for row in page]
        before = page[-1].first_seq
    assert seen == [f"{number:032x}" for number in reversed(range(120))]


def test_the_explanation_is_kept_beside_the_properties() -> None:
    (call, _) = [found for found in weather_agent(NOW) if found["event"] == "$ai_generation"]
    store = stored(call)
    assert "$otel_posthog_explain" not in store.events()[0]["properties"]
    assert store.explanation(1) == EXPLANATION


def test_an_index_of_other_rules_is_made_anew() -> None:
    store = stored(*weather_agent(NOW))
    with store.writing() as connection:
        connection.execute("UPDATE derived SET made_by = 'an older version'")
        connection.execute("UPDATE traces SET name = 'wrong'")
    refresh(store)
    assert [row.name for row in catalogue.traces(store, Filter())] == ["Travel question"]


def test_another_process_sees_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with LocalPostHog(database=path) as posthog:
        other = Store(path)
        before = other.state()
        send(posthog.url, weather_agent(NOW))
        assert other.state() != before
        refresh(other)
        assert len(catalogue.traces(other, Filter())) == 1
