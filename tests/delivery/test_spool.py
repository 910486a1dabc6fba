"""The spool: what PostHog has not answered for is on disk, over failures, crashes and several processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otel_posthog import ConfigurationError, Settings
from otel_posthog.delivery import Encoded, Ledger, spool_files
from otel_posthog.delivery import spool as spool_module
from otel_posthog.delivery.spool import Spool
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from tests.support.captured import CONTENT, KEY, Delivery, encoded, encoded_of_size, nameless, uuids

DeliverTo = Callable[..., Delivery]


def arrived(posthog: LocalPostHog) -> list[str]:
    return [event["uuid"] for event in posthog.events()]


def wait_out(posthog: LocalPostHog, delivery: Delivery, events: int, timeout: float = 20) -> None:
    """Let the client try until so many events are there."""
    deadline = time.monotonic() + timeout
    while len(posthog.events()) < events and time.monotonic() < deadline:
        delivery.send([])
        time.sleep(0.05)
    delivery.send([])


def dead_process(directory: Path, events: int = 3, script: str = "") -> list[str]:
    """A process that puts events into the spool and is killed; their uuids."""
    code = f"""
import os, signal
from otel_posthog import Settings
from otel_posthog.delivery import Ledger
from otel_posthog.delivery.spool import Spool
from tests.support.captured import encoded, uuids
spool = Spool(Settings.load({{}}, api_key="phc_key", spool_dir={str(directory)!r}), Ledger())
events = encoded({events})
spool.add(events)
print(*uuids(events), flush=True)
{script}
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return ended.stdout.split()


# --- over the client


def test_events_wait_on_disk_until_posthog_is_back(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    posthog.faults = [Fault.parse("503")]
    events = encoded(5)
    delivery = deliver_to(posthog.url, spool_dir=tmp_path)
    assert delivery.send(events) is False
    stats = delivery.client.stats()
    assert (stats.pending, stats.spooled, stats.dropped) == (5, 5, {})
    assert stats.spool_bytes == sum(len(event.body) for event in events)
    assert "5 events wait in" in caplog.text
    assert CONTENT not in caplog.text
    posthog.faults = []
    wait_out(posthog, delivery, 5)
    assert arrived(posthog) == uuids(events)
    assert (delivery.client.stats().spooled, delivery.client.stats().spool_bytes) == (0, 0)


def test_a_refused_event_leaves_the_disk_too(posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path) -> None:
    delivery = deliver_to(posthog.url, spool_dir=tmp_path)
    assert delivery.send([*encoded(2), nameless(), *encoded(2)]) is False
    assert len(posthog.events()) == 4
    assert (delivery.stats.dropped, delivery.client.stats().spooled) == ({"invalid": 1}, 0)


def test_an_outage_costs_one_request_for_many_batches(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path
) -> None:
    posthog.faults = [Fault.parse("503:retry-after=30")]
    delivery = deliver_to(posthog.url, spool_dir=tmp_path, max_batch_events=1)
    delivery.send(encoded(20))
    delivery.send(encoded(20))
    assert len(posthog.requests()) == 1
    clear(delivery, posthog)


def clear(delivery: Delivery, posthog: LocalPostHog) -> None:
    """Nothing may be pending at the end of a test."""
    posthog.faults = []
    delivery.client._resume_at = delivery.client._delivery._not_before = 0.0
    delivery.send([])


def test_an_unknown_key_keeps_the_events_for_a_right_one(deliver_to: DeliverTo, tmp_path: Path) -> None:
    events = encoded(3)
    with LocalPostHog(api_keys=["phc_right"]) as posthog:
        wrong = deliver_to(posthog.url, api_key="phc_wrong", spool_dir=tmp_path, may_leave=True)
        assert wrong.send(events) is False
        wrong.send([])
        assert len(posthog.requests()) == 1
        wrong.client.close()
        right = deliver_to(posthog.url, api_key="phc_right", spool_dir=tmp_path)
        assert right.send([]) is True
        assert arrived(posthog) == uuids(events)


def test_a_full_disk_sends_at_once(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = deliver_to(posthog.url, spool_dir=tmp_path)
    spool = delivery.client._spool
    assert spool is not None
    spool._connection().execute("PRAGMA max_page_count = 1")  # SQLite's own way to a disk that is full
    events = [encoded_of_size(100_000) for _ in range(3)]
    assert delivery.send(events) is True
    assert arrived(posthog) == uuids(events)


def failing_deletes(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the disk is full for every DELETE."""
    change = spool._change

    def failing(statement: str, rows: Sequence[tuple[Any, ...]]) -> bool:
        if not statement.startswith("DELETE"):
            return change(statement, rows)
        spool._failed(sqlite3.OperationalError("database or disk is full"))
        return False

    monkeypatch.setattr(spool, "_change", failing)


def test_an_event_that_cannot_be_deleted_is_sent_once(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = deliver_to(posthog.url, spool_dir=tmp_path, max_batch_events=2)
    spool = delivery.client._spool
    assert spool is not None
    events = encoded(5)
    with monkeypatch.context() as disk:
        failing_deletes(spool, disk)
        delivery.send(events)
        assert len(posthog.requests()) == 1
        wait_out(posthog, delivery, 5)
        assert [event["deliveries"] for event in posthog.events()] == [1] * 5
        stats = delivery.client.stats()
        assert (stats.delivered, stats.pending, stats.spooled, stats.spool_bytes) == (5, 0, 0, 0)
    clear(delivery, posthog)
    assert spool._connection().execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_what_is_answered_or_under_way_is_not_dropped_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, ledger = make(tmp_path, max_spool_bytes=1024 * 1024)
    events = [encoded_of_size(300_000) for _ in range(3)]
    spool.add(events)
    failing_deletes(spool, monkeypatch)
    spool.remove(spool.oldest(1, 10**9))
    monkeypatch.undo()
    (under_way,) = spool.oldest(1, 10**9)
    assert under_way.event.uuid == events[1].uuid
    spool.add([encoded_of_size(300_000) for _ in range(2)])
    assert ledger.stats().dropped == {"spool_full": 1}
    assert spool.remove([under_way]) is True
    assert (spool.count, spool.size) == (2, 600_000)


def test_the_directory_is_left_clean(posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path) -> None:
    delivery = deliver_to(posthog.url, spool_dir=tmp_path / "new" / "spool")
    delivery.send(encoded(3))
    (path,) = (tmp_path / "new" / "spool").glob("*.db")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    delivery.client.close()
    assert list((tmp_path / "new" / "spool").iterdir()) == []


def test_a_directory_that_cannot_be_written_is_refused(deliver_to: DeliverTo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"spool_dir is .*can be written"):
        deliver_to("http://127.0.0.1:9", spool_dir=tmp_path / "file" / "below")


# --- other processes


def test_the_events_of_a_killed_process_are_sent_by_the_next(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path
) -> None:
    left = dead_process(tmp_path) + dead_process(tmp_path)
    delivery = deliver_to(posthog.url, spool_dir=tmp_path)
    assert delivery.send([]) is True
    assert sorted(arrived(posthog)) == sorted(left)
    assert delivery.stats.accepted == 6
    assert len(list(tmp_path.glob("*.db"))) == 1


def test_the_events_of_a_process_that_lives_are_its_own(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path
) -> None:
    with LocalPostHog(faults=["503"]) as down:
        one = deliver_to(down.url, spool_dir=tmp_path)
        one.send(encoded(3))
        other = deliver_to(posthog.url, spool_dir=tmp_path)
        assert other.send(encoded(2)) is True
        assert len(posthog.events()) == 2
        assert one.client.stats().spooled == 3
        clear(one, down)


def test_a_file_that_cannot_be_emptied_is_taken_over_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = dead_process(tmp_path)
    spool, ledger = make(tmp_path)
    opened = spool_files.opened
    monkeypatch.setattr(spool_files, "opened", lambda path: read_only(opened(path)))
    for _ in range(3):
        spool._adopt_at = 0.0
        spool.adopt()
    assert [item.event.uuid for item in spool.oldest(10, 10**9)] == left
    assert ledger.stats().accepted == 3
    assert list(tmp_path.glob("*.corrupt")) == []


def read_only(database: sqlite3.Connection) -> sqlite3.Connection:
    database.execute("PRAGMA query_only = ON")
    return database


def test_a_broken_file_is_set_aside_and_the_rest_goes_on(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = dead_process(tmp_path)
    (tmp_path / f"otel-posthog-{0:032x}.db").write_bytes(b"no database" * 1000)
    delivery = deliver_to(posthog.url, spool_dir=tmp_path)
    delivery.send([])
    assert sorted(arrived(posthog)) == sorted(left)
    assert (tmp_path / f"otel-posthog-{0:032x}.corrupt").exists()
    assert "broken" in caplog.text


def test_a_file_that_breaks_in_use_costs_only_what_is_in_it(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path
) -> None:
    posthog.faults = [Fault.parse("503")]
    delivery = deliver_to(posthog.url, spool_dir=tmp_path)
    delivery.send(encoded(200))
    spool = delivery.client._spool
    assert spool is not None
    spool._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (path,) = tmp_path.glob("*.db")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    spool._connection().execute("PRAGMA cache_size = 0")
    spool._connection().execute("PRAGMA shrink_memory")
    clear(delivery, posthog)
    assert delivery.stats.dropped == {"spool_corrupt": 200}
    events = encoded(3)
    assert delivery.send(events) is True
    assert arrived(posthog) == uuids(events)


def test_a_file_of_no_bytes_and_one_without_a_table_are_taken_away(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path
) -> None:
    empty = tmp_path / f"otel-posthog-{0:032x}.db"
    empty.touch()
    os.utime(empty, (0, 0))  # a new one may be another process's that is just beginning
    new = sqlite3.connect(tmp_path / f"otel-posthog-{1:032x}.db")
    new.execute("PRAGMA user_version = 1").connection.close()
    assert deliver_to(posthog.url, spool_dir=tmp_path).send(encoded()) is True
    assert len(list(tmp_path.glob("*.db"))) == 1


def database_of_another_program(path: Path) -> bytes:
    """A database with a table that is called as ours is; its bytes."""
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE events (id INTEGER, what TEXT)")
    other.execute("INSERT INTO events VALUES (1, 'x')")
    other.commit()
    other.close()
    return path.read_bytes()


def test_files_of_others_are_left_as_they_are(posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path) -> None:
    theirs = {"app.db": database_of_another_program(tmp_path / "app.db"), "Thumbs.db": b"no database" * 100}
    theirs |= {"otel-posthog-notes.db": b"", f"{0:032x}.db": b""}
    for name, content in theirs.items():
        (tmp_path / name).write_bytes(content)
    delivery = deliver_to(posthog.url, spool_dir=tmp_path)
    assert delivery.send(encoded(2)) is True
    delivery.client.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == theirs


def test_a_foreign_database_with_a_name_of_ours_keeps_its_rows(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path
) -> None:
    path = tmp_path / f"otel-posthog-{0:032x}.db"
    database_of_another_program(path)
    assert deliver_to(posthog.url, spool_dir=tmp_path).send(encoded(2)) is True
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM events").fetchall() == [(1, "x")]


def test_many_processes_on_one_directory_lose_nothing_and_send_once(posthog: LocalPostHog, tmp_path: Path) -> None:
    code = f"""
import sys
from otel_posthog import Settings
from otel_posthog.delivery import CaptureClient, Ledger
from tests.support.captured import encoded
settings = Settings.load({{}}, api_key="phc_key", host={posthog.url!r}, spool_dir={str(tmp_path)!r}, timeout=20)
client = CaptureClient(settings, Ledger())
for _ in range(20):
    assert client.send(encoded(5))
client.close()
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(posthog.events()) == 400
    assert {event["deliveries"] for event in posthog.events()} == {1}
    assert list(tmp_path.glob("*.db")) == []


def test_a_forked_child_has_a_file_of_its_own(posthog: LocalPostHog, tmp_path: Path) -> None:
    code = f"""
import os, sys
from otel_posthog import PostHogSpanExporter
from tests.support.captured import encoded
exporter = PostHogSpanExporter("phc_key", {posthog.url!r}, spool_dir={str(tmp_path)!r})
client = exporter._client
client._resume_at = float("inf")  # all of it stays on disk
assert not client.send(encoded(3))
child = os.fork()
client._resume_at = 0.0
if child == 0:
    assert client.stats().spooled == 0
    ok = client.send(encoded(2))
    client.close()
    os._exit(not ok)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert client.send(encoded(1))
client.close()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
    assert len(posthog.events()) == 6
    assert {event["deliveries"] for event in posthog.events()} == {1}


# --- the bounds


def test_at_the_bound_the_oldest_go(tmp_path: Path) -> None:
    spool, ledger = make(tmp_path, max_spool_bytes=1024 * 1024)
    events = [encoded_of_size(300_000) for _ in range(5)]
    for event in events:
        assert spool.add([event]) == []
    assert [item.event.uuid for item in spool.oldest(10, 10**9)] == uuids(events[2:])
    assert ledger.stats().dropped == {"spool_full": 2}


def test_at_the_bound_the_newest_stay_out_if_that_is_wanted(tmp_path: Path) -> None:
    spool, ledger = make(tmp_path, max_spool_bytes=1024 * 1024, when_full="drop_newest")
    events = [encoded_of_size(300_000) for _ in range(5)]
    spool.add(events)
    assert [item.event.uuid for item in spool.oldest(10, 10**9)] == uuids(events[:3])
    assert ledger.stats().dropped == {"spool_full": 2}


def test_events_that_are_too_old_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, ledger = make(tmp_path, max_spool_age=60)
    old, new = encoded(2), encoded(1)
    spool.add(old)
    now = time.time()
    monkeypatch.setattr(spool_module.time, "time", lambda: now + 61)
    spool.add(new)
    assert [item.event.uuid for item in spool.oldest(10, 10**9)] == uuids(new)
    assert ledger.stats().dropped == {"spool_age": 2}


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, _ = make(tmp_path, max_spool_age=60)
    spool.add(encoded(2))
    monkeypatch.setattr(spool_module.time, "time", lambda: 0.0)
    spool.add(encoded(1))
    assert len(spool.oldest(10, 10**9)) == 3


MADE: list[Spool] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def make(directory: Path, **options: Any) -> tuple[Spool, Ledger]:
    ledger = Ledger()
    MADE.append(Spool(Settings.load({}, api_key=KEY, spool_dir=directory, **options), ledger))
    return MADE[-1], ledger


class SpoolModel(RuleBasedStateMachine):
    """The spool against a list: first in, first out, within its bytes, over closing, crashes and reopening."""

    directory: Path

    def __init__(self) -> None:
        super().__init__()
        self.model: list[Encoded] = []
        self.number = 0
        self.here = self.directory / str(len(list(self.directory.iterdir())))
        self.spool, self.ledger = make(self.here, max_spool_bytes=1024 * 1024)

    @rule(sizes=st.lists(st.sampled_from([300, 50_000, 400_000]), max_size=4))
    def add(self, sizes: list[int]) -> None:
        events = [encoded_of_size(size) for size in sizes]
        assert self.spool.add(events) == []
        self.model += events
        while sum(len(event.body) for event in self.model) > 1024 * 1024:
            self.model.pop(0)

    @rule(count=st.integers(1, 5), size=st.sampled_from([1, 100_000, 10**9]), answered=st.sets(st.integers(0, 4)))
    def send(self, count: int, size: int, answered: set[int]) -> None:
        stored = self.spool.oldest(count, size)
        assert uuids([item.event for item in stored]) == uuids(self.model[: len(stored)])
        assert [item.event.body for item in stored] == [event.body for event in self.model[: len(stored)]]
        gone = [item for place, item in enumerate(stored) if place in answered]
        self.spool.remove(gone)
        self.model = [event for event in self.model if event.uuid not in {item.event.uuid for item in gone}]

    @precondition(lambda self: self.model)
    @rule()
    def crash(self) -> None:
        database = self.spool._database
        assert database is not None
        database.close()  # the lock goes, as with the process; nothing else is done
        self.spool, self.ledger = make(self.here, max_spool_bytes=1024 * 1024)
        self.spool.adopt()

    @invariant()
    def counts(self) -> None:
        assert self.spool.count == len(self.model)
        assert self.spool.size == sum(len(event.body) for event in self.model) <= 1024 * 1024

    def teardown(self) -> None:
        self.spool.close()


@pytest.fixture
def model(tmp_path: Path) -> Iterator[type[SpoolModel]]:
    SpoolModel.directory = tmp_path
    yield SpoolModel
    del SpoolModel.directory


def test_the_spool_is_a_queue(model: type[SpoolModel]) -> None:
    machine = model.TestCase()
    machine.settings = hypothesis_settings(max_examples=40, stateful_step_count=15)
    machine.runTest()


# --- rejected events


def test_rejected_events_are_kept_with_their_reason(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path
) -> None:
    bad = nameless()
    deliver_to(posthog.url, rejected_dir=tmp_path / "rejected").send([*encoded(2), bad])
    (path,) = (tmp_path / "rejected").iterdir()
    (line,) = path.read_bytes().splitlines()
    kept = orjson.loads(line)
    assert (kept["reason"], kept["event"]) == ("invalid", orjson.loads(bad.body))
    assert path.stat().st_mode & 0o077 == 0


def test_rejected_events_are_bounded(posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path) -> None:
    posthog.faults = [Fault.parse("403")]
    delivery = deliver_to(posthog.url, rejected_dir=tmp_path, max_spool_bytes=1024 * 1024)
    for _ in range(5):
        delivery.send([encoded_of_size(400_000)])
    (path,) = tmp_path.iterdir()
    assert len(path.read_bytes().splitlines()) == 2
    assert delivery.stats.dropped == {"http_403": 5}


def test_a_rejected_dir_that_cannot_be_written_is_warned_of(
    posthog: LocalPostHog, deliver_to: DeliverTo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    posthog.faults = [Fault.parse("403")]
    (tmp_path / "file").write_text("")
    deliver_to(posthog.url, rejected_dir=tmp_path / "file" / "below").send(encoded())
    assert "rejected events could not be kept: NotADirectoryError" in caplog.text
