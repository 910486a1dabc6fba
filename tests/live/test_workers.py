"""Workers: processes that a server or a queue makes. Each sends its own events, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import requests

from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from tests.support.ports import free_port
from tests.support.processes import run_python

SETUP = """
import os, sys
import otel_posthog
from opentelemetry import trace

def call(by):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "app.by": by}
    trace.get_tracer("app").start_span("chat", attributes=attributes).end()
"""


def sent_by(posthog: LocalPostHog) -> Counter[str]:
    """Events by who has made them; each must have come once."""
    assert {event["deliveries"] for event in posthog.events()} == {1}
    return Counter(str(event["properties"]["app.by"]) for event in posthog.events())


def run(posthog: LocalPostHog, code: str) -> None:
    done = run_python(SETUP + code, {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_children_of_a_pool_by_fork(posthog: LocalPostHog) -> None:
    run(posthog, """
import multiprocessing
posthog = otel_posthog.configure()
call("parent")

def work(number):
    call(f"child {number}")
    assert otel_posthog.flush(10_000)

with multiprocessing.get_context("fork").Pool(3) as pool:
    pool.map(work, range(12), chunksize=1)
call("parent")
""")  # fmt: skip
    assert sent_by(posthog) == {"parent": 2, **{f"child {number}": 1 for number in range(12)}}


def test_a_child_that_just_ends_sends_what_it_has(posthog: LocalPostHog) -> None:
    run(posthog, """
import multiprocessing
posthog = otel_posthog.configure()

def work():
    call("child")

process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
assert process.exitcode == 0
""")  # fmt: skip
    assert sent_by(posthog) == {"child": 1}


def test_children_by_spawn_configure_themselves(posthog: LocalPostHog, tmp_path: Path) -> None:
    (tmp_path / "spawned.py").write_text(SETUP + """
import multiprocessing

def work(number):
    posthog = otel_posthog.configure()
    call(f"child {number}")
    assert posthog.shutdown()

if __name__ == "__main__":
    posthog = otel_posthog.configure()
    call("parent")
    processes = [multiprocessing.get_context("spawn").Process(target=work, args=(n,)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
""")  # fmt: skip
    environ = os.environ | {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url}
    subprocess.run([sys.executable, str(tmp_path / "spawned.py")], env=environ, check=True, timeout=60)
    assert sent_by(posthog) == {"parent": 1, "child 0": 1, "child 1": 1}


def test_a_worker_that_serves_many_tasks_and_ends_without_atexit(posthog: LocalPostHog) -> None:
    """As in Celery's prefork pool: the parent configures, its children work."""
    run(posthog, """
posthog = otel_posthog.configure()
for _ in range(50):
    call("parent")  # the sender is at work while the children are forked
children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        for task in range(25):
            call(f"child {number}")
        assert posthog.flush(10_000)
        os._exit(0)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
""")  # fmt: skip
    assert sent_by(posthog) == {"parent": 50, **{f"child {number}": 25 for number in range(4)}}


def test_a_fork_in_the_middle_of_a_request_to_posthog(posthog: LocalPostHog) -> None:
    posthog.faults = [Fault.parse("latency=0.5")]
    run(posthog, """
import threading, time
posthog = otel_posthog.configure()
call("parent")
threading.Thread(target=posthog.flush).start()
time.sleep(0.1)
pid = os.fork()
call("child" if pid == 0 else "parent")
assert posthog.flush(10_000)
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
""")  # fmt: skip
    assert sent_by(posthog) == {"parent": 2, "child": 1}


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_gunicorn(posthog: LocalPostHog, tmp_path: Path, options: tuple[str, ...]) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "served.py").write_text(SETUP + """
posthog = otel_posthog.configure()
call("import")

def application(environ, start_response):
    call(f"worker {os.getpid()}")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
""")  # fmt: skip
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers", "3", "--bind", f"127.0.0.1:{port}", *options, "served"]
    environ = os.environ | {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url}
    server = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL)
    try:
        answers = Counter(_get(f"http://127.0.0.1:{port}/") for _ in range(60))
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    sent = sent_by(posthog)
    assert sent.pop("import") == (1 if options else 3)
    assert sent == {f"worker {pid}": count for pid, count in answers.items()}


def _get(url: str) -> str:
    for _ in range(200):
        try:
            return requests.get(url, timeout=10).text
        except requests.ConnectionError:  # it is still starting
            time.sleep(0.05)
    raise AssertionError("the server did not start")
