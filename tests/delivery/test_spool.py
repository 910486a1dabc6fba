"""The spool: what is put is on disk until PostHog has answered, over failures, crashes and several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otel_posthog import ConfigurationError, Settings
from otel_posthog.delivery import EncodedEvent, Ledger
from otel_posthog.delivery.outbox import Item, Report
from otel_posthog.delivery.spool import SpoolOutbox
from otel_posthog.local import LocalPostHog
from tests.support.captured import (
    CONTENT,
    KEY,
    FakeClock,
    Post,
    always,
    encoded,
    encoded_of_size,
    first,
    nameless,
    ok,
    status,
    uuids,
)

MakePost = Callable[..., Post]

MIB = 1024 * 1024
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes, users and signals of POSIX")


def journals(directory: Path) -> list[Path]:
    return sorted(directory.rglob("events-*.jsonl"))


def killed_process(
    directory: Path, events: int = 3, host: str = "https://posthog.example", script: str = ""
) -> list[str]:
    """A process that puts events and is killed; their uuids."""
    code = f"""
import os, signal
from tests.support.captured import *
one = make_post(always(status(503)), host={host!r}, spool_dir={str(directory)!r})
events = encoded({events})
one.delivery.put(events)
print(*uuids(events), flush=True)
{script}
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return ended.stdout.split()


# --- as much as without one, as soon


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("failures", [1, 2, 5])
def test_passing_failures_are_retried_as_without_a_spool(
    post: MakePost, tmp_path: Path, spool: bool, failures: int
) -> None:
    one = post(first(failures, status(503)), spool_dir=tmp_path / "spool" if spool else None)
    assert one.send(encoded(5), timeout=40) is True
    assert one.clock.now <= 1000 + sum(min(30, 0.5 * 2**n) for n in range(failures))


def test_a_shutdown_delivers_first_and_leaves_the_rest_on_disk(post: MakePost, tmp_path: Path) -> None:
    events = encoded(60)
    one = post(first(2, status(503)), spool_dir=tmp_path)
    one.delivery.put(events[:30])
    assert one.delivery.shutdown(5) is True
    assert (one.stats.delivered, one.stats.spooled) == (30, 0)
    other = post(always(status(503)), spool_dir=tmp_path)
    other.delivery.put(events[30:])
    assert other.delivery.shutdown(5) is False
    assert (other.stats.pending, other.stats.spooled, other.stats.dropped) == (30, 30, {})
    third = post(spool_dir=tmp_path)
    assert third.delivery.flush(5) is True
    assert third.transport.taken == uuids(events[30:])
    assert third.stats.accepted == 30


def test_what_waits_on_disk_is_counted(post: MakePost, tmp_path: Path) -> None:
    events = encoded(5)
    one = post(always(status(503)), spool_dir=tmp_path)
    one.delivery.put(events)
    assert (one.stats.spooled, one.stats.spool_bytes) == (5, sum(len(event.body) for event in events))
    one.transport.answer = ok
    one.delivery.flush(5)
    assert (one.stats.spooled, one.stats.spool_bytes) == (0, 0)


def test_a_receipt_says_whether_its_events_are_on_disk(
    post: MakePost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = post(spool_dir=tmp_path)
    assert one.delivery.put(encoded(1)).is_stored is True
    full_disk(monkeypatch)
    assert one.delivery.put(encoded(1)).is_stored is False
    one.delivery.flush(5)


def test_nothing_is_given_up_after_retry_for(post: MakePost, tmp_path: Path) -> None:
    one = post(always(status(503)), spool_dir=tmp_path, retry_for=10, max_retries=2)
    one.delivery.put(encoded(5)).wait(600)
    assert (one.stats.pending, one.stats.dropped) == (5, {})


def test_a_refused_event_leaves_the_disk_too(post: MakePost, tmp_path: Path) -> None:
    bad = nameless()
    one = post(lambda sent: status(400) if bad.uuid in sent.uuids else ok(sent), spool_dir=tmp_path)
    assert one.send([*encoded(2), bad, *encoded(2)]) is False
    assert (one.stats.delivered, one.stats.dropped, one.stats.spooled) == (4, {"invalid": 1}, 0)


def test_an_empty_spool_leaves_nothing_behind(post: MakePost, tmp_path: Path) -> None:
    one = post(spool_dir=tmp_path / "new" / "spool")
    one.send(encoded(3))
    one.delivery.shutdown(1)
    assert list((tmp_path / "new" / "spool").iterdir()) == []


def test_journals_do_not_grow_without_end(post: MakePost, tmp_path: Path) -> None:
    one = post(spool_dir=tmp_path)
    for _ in range(40):
        assert one.send([encoded_of_size(MIB)]) is True
    assert sum(path.stat().st_size for path in journals(tmp_path)) < 6 * MIB


# --- whose it is


@pytest.mark.parametrize(
    "other",
    [
        {"api_key": "phc_other"},
        {"host": "https://other.example"},
        {"capture_content": False},
        {"redact": "email"},
        {"deny_attributes": "http.*"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_events_of_another_key_host_or_content_policy_are_left_alone(
    post: MakePost, tmp_path: Path, other: dict[str, Any]
) -> None:
    events = encoded(3)
    left = post(always(status(503)), spool_dir=tmp_path)
    left.delivery.put(events)
    left.delivery.shutdown(1)
    stranger = post(spool_dir=tmp_path, **other)
    assert stranger.send(encoded(1)) is True
    assert stranger.delivery.shutdown(5) is True
    assert not set(uuids(events)) & set(stranger.transport.taken)
    heir = post(spool_dir=tmp_path)
    assert heir.delivery.flush(5) is True
    assert heir.transport.taken == uuids(events)


def test_the_names_of_files_show_neither_key_nor_host(post: MakePost, tmp_path: Path) -> None:
    post(spool_dir=tmp_path)
    names = " ".join(str(path) for path in tmp_path.rglob("*"))
    assert KEY not in names
    assert "posthog.example" not in names


@POSIX
@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777], ids=oct)
def test_only_the_owner_may_read_what_is_written(post: MakePost, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        one = post(always(status(402)), spool_dir=tmp_path / "a" / "spool", rejected_dir=tmp_path / "b" / "rejected")
        one.delivery.put(encoded(3))
        modes = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
        one.delivery.flush(5)
        modes |= {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    finally:
        os.umask(before)
    assert len(modes) == 7
    assert {mode for path, mode in modes.items() if path.suffix == ".jsonl"} == {0o600}
    assert {mode for path, mode in modes.items() if not path.suffix} == {0o700}


@POSIX
def test_files_are_in_a_private_directory_even_below_one_that_others_may_read(post: MakePost, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    post(spool_dir=tmp_path)
    (path,) = journals(tmp_path)
    assert path.parent.stat().st_mode & 0o777 == 0o700


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777], ids=oct)
def test_a_directory_that_others_can_write_to_is_refused(post: MakePost, tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"^spool_dir is .*other users can write to it.*\.$"):
        post(spool_dir=tmp_path)
    tmp_path.chmod(0o700)


@POSIX
def test_a_link_is_refused(post: MakePost, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigurationError, match=r"^spool_dir is .*it is a link.*\.$"):
        post(spool_dir=tmp_path / "link")


def test_a_directory_that_cannot_be_made_is_refused(post: MakePost, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"^spool_dir is .*directory"):
        post(spool_dir=tmp_path / "file" / "below")


def test_files_of_others_are_left_as_they_are(post: MakePost, tmp_path: Path) -> None:
    first_one = post(spool_dir=tmp_path)
    (directory,) = (path for path in tmp_path.iterdir() if path.is_dir())
    theirs = {
        "app.db": b"SQLite format 3\0",
        "notes.jsonl": b"{}",
        f"events-{0:013d}-{0:032x}.jsonl": b"another program's\n",
    }
    for name, content in theirs.items():
        (directory / name).write_bytes(content)
    (directory / f"events-{1:013d}-{1:032x}.jsonl").symlink_to(directory / "notes.jsonl")
    one = post(spool_dir=tmp_path)
    assert one.send(encoded(2)) is True
    one.delivery.shutdown(1)
    first_one.delivery.shutdown(1)
    assert {path.name: path.read_bytes() for path in directory.iterdir() if not path.is_symlink()} == theirs


# --- other processes


@POSIX
def test_a_killed_process_loses_nothing_that_was_put(post: MakePost, tmp_path: Path) -> None:
    left = killed_process(tmp_path, 700) + killed_process(tmp_path, 5)
    one = post(spool_dir=tmp_path)
    assert one.delivery.flush(10) is True
    assert sorted(one.transport.taken) == sorted(left)
    assert one.stats.accepted == 705
    assert len(journals(tmp_path)) == 1


@POSIX
def test_what_was_answered_before_the_kill_is_not_sent_again(post: MakePost, tmp_path: Path) -> None:
    script = """
one.transport.answer = ok
one.delivery.flush(9)
more = encoded(2)
one.delivery.put(more)
print(*uuids(more), flush=True)
"""
    left = killed_process(tmp_path, 3, script=script)
    one = post(spool_dir=tmp_path)
    one.delivery.flush(10)
    assert one.transport.taken == left[3:]


@POSIX
def test_a_process_that_is_killed_later_is_found_within_a_minute(post: MakePost, tmp_path: Path) -> None:
    one = post(spool_dir=tmp_path)
    left = killed_process(tmp_path)
    one.clock.sleep(31)
    assert one.delivery.flush(5) is True
    assert one.transport.taken == left


def test_the_events_of_a_delivery_that_lives_are_its_own(post: MakePost, tmp_path: Path) -> None:
    one = post(always(status(503)), spool_dir=tmp_path)
    one.delivery.put(encoded(3))
    other = post(spool_dir=tmp_path)
    assert other.send(encoded(2)) is True
    assert (len(other.transport.taken), one.stats.spooled) == (2, 3)


@POSIX
def test_the_events_of_a_process_that_lives_are_its_own(post: MakePost, tmp_path: Path) -> None:
    code = f"""
from tests.support.captured import *
one = make_post(always(status(503)), spool_dir={str(tmp_path)!r})
one.delivery.put(encoded(3))
print("ready", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        one = post(spool_dir=tmp_path)
        one.send(encoded(2))
        process.communicate("\n")
    assert len(one.transport.taken) == 2
    one.clock.sleep(31)
    one.delivery.flush(1)
    assert len(one.transport.taken) == 5


@POSIX
def test_a_forked_child_neither_holds_nor_releases_its_parents_spool(post: MakePost, tmp_path: Path) -> None:
    code = f"""
import os, time
from tests.support.captured import *
parent = make_post(always(status(503)), spool_dir={str(tmp_path)!r})
parent.delivery.put(encoded(3))
if os.fork() == 0:
    child = make_post(spool_dir={str(tmp_path)!r})
    child.delivery.put(encoded(2))
    assert child.delivery.flush(5)
    assert len(child.transport.taken) == 2, child.transport.taken  # the parent lives
    if os.fork() == 0:
        time.sleep(60)  # keeps what it has inherited open
        os._exit(0)
    os._exit(0)
assert os.wait()[1] == 0
assert len(parent.stats.dropped) == 0 and parent.stats.spooled == 3
os._exit(0)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, stdout=subprocess.DEVNULL).returncode == 0
    heir = post(spool_dir=tmp_path)
    assert heir.delivery.flush(5) is True
    assert len(heir.transport.taken) == 3


def test_many_processes_on_one_directory_lose_nothing_and_send_once(posthog: LocalPostHog, tmp_path: Path) -> None:
    code = f"""
from otel_posthog import Settings
from otel_posthog.delivery import Ledger
from tests.support.captured import CountedDelivery, encoded
settings = Settings.load({{}}, api_key="phc_key", host={posthog.url!r}, spool_dir={str(tmp_path)!r})
delivery = CountedDelivery(settings, Ledger())
for _ in range(20):
    delivery.put(encoded(5))
assert delivery.shutdown(20)
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(posthog.events()) == 400
    assert {event["deliveries"] for event in posthog.events()} == {1}
    assert journals(tmp_path) == []


# --- a disk that fails, files that are broken


def test_a_full_disk_sends_from_memory(post: MakePost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = post(spool_dir=tmp_path)
    full_disk(monkeypatch)
    events = encoded(3)
    one.delivery.put(events)
    assert one.stats.spooled == 0
    assert one.delivery.flush(5) is True
    assert one.transport.taken == uuids(events)


def test_a_full_disk_bounds_memory(post: MakePost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = post(spool_dir=tmp_path, max_queue_size=2)
    full_disk(monkeypatch)
    one.delivery.put(encoded(3))
    assert one.stats.dropped == {"queue_full": 1}
    one.delivery.flush(5)
    one.delivery.put(encoded(2))
    assert one.stats.dropped == {"queue_full": 1}


def test_what_the_disk_did_not_take_is_written_at_shutdown_if_it_does_then(
    post: MakePost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = post(always(status(503)), spool_dir=tmp_path)
    with monkeypatch.context() as disk:
        full_disk(disk)
        one.delivery.put(encoded(3))
    one.delivery.shutdown(1)
    assert (one.stats.spooled, one.stats.dropped) == (3, {})


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("otel_posthog.delivery.journal._write", write)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda line: line.replace(b"content", b"c0ntent"), id="a bit"),
        pytest.param(lambda line: line[: len(line) // 2] + b"\n", id="cut"),
        pytest.param(lambda line: os.urandom(50).replace(b"\n", b"") + b"\n", id="garbage"),
        pytest.param(lambda line: b"\0" * len(line) + b"\n", id="zeroes"),
    ],
)
def test_a_broken_line_costs_its_own_event(
    post: MakePost, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    left = post(always(status(503)), spool_dir=tmp_path)
    events = encoded(5)
    left.delivery.put(events)
    left.delivery.shutdown(1)
    (path,) = journals(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = damage(lines[3])
    path.write_bytes(b"".join(lines))
    one = post(spool_dir=tmp_path)
    one.delivery.flush(5)
    assert one.transport.taken == [event.uuid for event in events if event is not events[2]]
    assert one.stats.dropped == {"spool_corrupt": 1}
    assert CONTENT not in caplog.text


def test_a_line_that_breaks_in_use_costs_its_own_event(post: MakePost, tmp_path: Path) -> None:
    one = post(spool_dir=tmp_path)
    events = encoded(5)
    one.delivery.put(events)
    (path,) = journals(tmp_path)
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(content.index(events[2].body))
        file.write(b"broken")
    one.delivery.flush(5)
    assert one.transport.taken == [event.uuid for event in events if event is not events[2]]
    assert one.stats.dropped == {"spool_corrupt": 1}


def test_a_directory_that_is_removed_in_use_costs_nothing(post: MakePost, tmp_path: Path) -> None:
    one = post(spool_dir=tmp_path)
    (path,) = journals(tmp_path)
    path.unlink()
    path.parent.rmdir()
    assert one.send(encoded(3)) is True


def test_a_file_of_no_bytes_is_taken_away(post: MakePost, tmp_path: Path) -> None:
    one = post(spool_dir=tmp_path)
    (path,) = journals(tmp_path)
    (path.parent / f"events-{0:013d}-{0:032x}.jsonl").touch()
    one.send(encoded())
    assert journals(tmp_path) == [path]


# --- the bounds


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", slice(2, 5)), ("drop_newest", slice(0, 3))])
def test_the_spool_is_bounded_in_bytes(post: MakePost, tmp_path: Path, policy: str, kept: slice) -> None:
    one = post(spool_dir=tmp_path, max_spool_bytes=MIB, when_full=policy)
    events = [encoded_of_size(300_000) for _ in range(5)]
    for event in events:
        one.delivery.put([event])
    assert one.stats.dropped == {"spool_full": 2}
    one.delivery.flush(5)
    assert one.transport.taken == uuids(events[kept])


def test_the_queue_does_not_bound_what_is_on_disk(post: MakePost, tmp_path: Path) -> None:
    one = post(always(status(503)), spool_dir=tmp_path, max_queue_size=2, max_memory_bytes=1024)
    one.delivery.put(encoded(100))
    assert one.stats.spooled == 100


def test_events_that_are_too_old_are_dropped(post: MakePost, tmp_path: Path) -> None:
    one = post(always(status(503, Retry_After="100")), spool_dir=tmp_path, max_spool_age=60, max_batch_events=1)
    one.delivery.put(encoded(2)).wait(1)
    one.clock.sleep(61)
    one.delivery.put(encoded(1)).wait(1)
    assert one.stats.dropped == {"spool_age": 1}  # the other one is being tried


def test_events_of_an_earlier_process_are_too_old_by_the_time_they_were_put(post: MakePost, tmp_path: Path) -> None:
    clock = FakeClock()
    left = post(always(status(503)), spool_dir=tmp_path, clock=clock)
    left.delivery.put(encoded(2))
    left.delivery.shutdown(1)
    later = FakeClock()
    later.unix = clock.unix + 61
    one = post(spool_dir=tmp_path, clock=later, max_spool_age=60)
    one.delivery.flush(5)
    assert one.stats.dropped == {"spool_age": 2}


@pytest.mark.parametrize(("put", "recovered"), [(0.0, 1.8e9), (1.8e9, 0.0), (1.8e9, 1.7e9)])
def test_a_clock_that_was_or_is_not_set_costs_nothing(
    post: MakePost, tmp_path: Path, put: float, recovered: float
) -> None:
    clock = FakeClock()
    clock.unix = put
    left = post(always(status(503)), spool_dir=tmp_path, clock=clock, max_spool_age=60)
    left.delivery.put(encoded(2))
    clock.unix = recovered
    left.delivery.put(encoded(2))
    left.delivery.shutdown(1)
    later = FakeClock()
    later.unix = recovered
    one = post(spool_dir=tmp_path, clock=later, max_spool_age=60)
    assert one.delivery.flush(5) is True
    assert one.stats.delivered == 4


# --- against a model


def item(event: EncodedEvent, now: float) -> Item:
    return Item(event.name, event.uuid, len(event.body), event, Report(1), now)


class SpoolModel(RuleBasedStateMachine):
    """The spool against a list: first in, first out, within its bytes, over closing, crashes and reopening."""

    directory: Path

    def __init__(self) -> None:
        super().__init__()
        self.model: list[EncodedEvent] = []
        self.here = self.directory / str(len(list(self.directory.iterdir())))
        self.clock = FakeClock()
        self.spool = self.opened()

    def opened(self) -> SpoolOutbox:
        settings = Settings.load({}, api_key=KEY, spool_dir=self.here, max_spool_bytes=MIB)
        spool = SpoolOutbox(settings, Ledger(), self.clock)
        recovered, dropped = spool.upkeep(self.clock.monotonic())
        assert [found.uuid for found in recovered] == uuids(self.model)
        assert dropped == []
        return spool

    @rule(sizes=st.lists(st.sampled_from([300, 50_000, 400_000]), max_size=4))
    def put(self, sizes: list[int]) -> None:
        events = [encoded_of_size(size) for size in sizes]
        self.spool.put([item(event, self.clock.monotonic()) for event in events])
        self.model += events
        while sum(len(event.body) for event in self.model) > MIB:
            self.model.pop(0)

    @rule(count=st.integers(1, 5), size=st.sampled_from([1, 100_000, 10**9]))
    def send(self, count: int, size: int) -> None:
        batch = self.spool.next_batch(count, size)
        sent, self.model = self.model[: len(batch)], self.model[len(batch) :]
        assert [self.spool.read(found) for found in batch] == sent
        self.spool.ack(batch)

    @precondition(lambda self: self.model)
    @rule()
    def crash_or_close(self) -> None:
        assert self.spool.close([]) == []
        self.clock.sleep(1)
        self.spool = self.opened()

    @invariant()
    def counts(self) -> None:
        assert self.spool.waiting == len(self.model)
        assert self.spool.stored == (len(self.model), sum(len(event.body) for event in self.model))

    def teardown(self) -> None:
        self.spool.close([])


@pytest.fixture
def model(tmp_path: Path) -> Iterator[type[SpoolModel]]:
    SpoolModel.directory = tmp_path
    yield SpoolModel
    del SpoolModel.directory


def test_the_spool_is_a_queue(model: type[SpoolModel]) -> None:
    machine = model.TestCase()
    machine.settings = hypothesis_settings(max_examples=40, stateful_step_count=15)
    machine.runTest()


def test_files_of_an_earlier_version_are_left_and_warned_of(
    post: MakePost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = tmp_path / f"otel-posthog-{'a' * 32}.db"
    old.write_bytes(b"SQLite format 3\0")
    post(spool_dir=tmp_path)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"{tmp_path}/otel-posthog-*.db (1) are a spool of an earlier version, and not read by this one"
    ]
    assert old.read_bytes() == b"SQLite format 3\0"


# --- rejected events


def test_rejected_events_are_kept_with_their_reason(post: MakePost, tmp_path: Path) -> None:
    bad = nameless()
    one = post(lambda sent: status(400) if bad.uuid in sent.uuids else ok(sent), rejected_dir=tmp_path / "rejected")
    one.send([*encoded(2), bad])
    (path,) = (tmp_path / "rejected").iterdir()
    (line,) = path.read_bytes().splitlines()
    kept = orjson.loads(line)
    assert (kept["reason"], kept["event"]) == ("invalid", orjson.loads(bad.body))


def test_rejected_events_are_bounded(post: MakePost, tmp_path: Path) -> None:
    one = post(always(status(402)), rejected_dir=tmp_path, max_spool_bytes=MIB)
    for _ in range(5):
        one.send([encoded_of_size(400_000)])
    (path,) = tmp_path.iterdir()
    assert len(path.read_bytes().splitlines()) == 2
    assert one.stats.dropped == {"http_402": 5}


@POSIX
def test_a_rejected_dir_that_others_can_write_to_is_not_written(
    post: MakePost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o777)
    post(always(status(402)), rejected_dir=tmp_path).send(encoded())
    assert list(tmp_path.iterdir()) == []
    assert "rejected events could not be kept" in caplog.text
    tmp_path.chmod(0o700)


def test_a_rejected_dir_that_cannot_be_written_is_logged(
    post: MakePost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    post(always(status(402)), rejected_dir=tmp_path / "file" / "below").send(encoded())
    assert "rejected events could not be kept" in caplog.text
