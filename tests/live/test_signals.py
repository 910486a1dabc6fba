"""How processes end: what ended before SIGTERM, or in a child of multiprocessing, arrives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from otel_posthog.local import LocalPostHog
from tests.live.test_workers import SETUP, run, sent_by
from tests.support.ports import free_port


@contextmanager
def running(posthog: LocalPostHog, folder: Path, code: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A process with ``app.py`` in its folder; it has to be ended by the test."""
    (folder / "app.py").write_text(SETUP + code)
    environ = os.environ | {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url}
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def wait_for(url: str) -> None:
    for _ in range(200):
        try:
            requests.get(url, timeout=5).raise_for_status()
            return
        except requests.ConnectionError:  # it is still starting
            time.sleep(0.05)
    raise AssertionError("the server did not start")


SCRIPT = """
posthog = otel_posthog.configure()
call("script")
print("ready", flush=True)
import time
time.sleep(60)
"""


def test_a_script_that_gets_sigterm(posthog: LocalPostHog, tmp_path: Path) -> None:
    with running(posthog, tmp_path, SCRIPT, "app.py") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
    assert sent_by(posthog) == {"script": 1}


def test_a_handler_of_the_app_goes_on_working(posthog: LocalPostHog, tmp_path: Path) -> None:
    code = """
import signal
def end(number, frame):
    call("handler")
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
"""
    with running(posthog, tmp_path, code + SCRIPT, "app.py") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(20) == 7
    assert sent_by(posthog) == {"script": 1, "handler": 1}


def test_the_handler_can_be_switched_off(posthog: LocalPostHog) -> None:
    run(posthog, """
import signal
before = signal.getsignal(signal.SIGTERM)
otel_posthog.configure(handle_sigterm=False)
assert signal.getsignal(signal.SIGTERM) is before
""")  # fmt: skip


ASGI = """
posthog = otel_posthog.configure()
from fastapi import FastAPI
app = FastAPI()

@app.get("/")
def answer():
    call("request")
    return {}
"""


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_uvicorn(posthog: LocalPostHog, tmp_path: Path, options: tuple[str, ...]) -> None:
    pytest.importorskip("fastapi")
    port = free_port()
    command = ("-m", "uvicorn", "app:app", "--port", str(port), *options)
    with running(posthog, tmp_path, ASGI, *command) as process:
        for _ in range(5):
            wait_for(f"http://127.0.0.1:{port}/")
        process.terminate()
        process.wait(30)
    assert sent_by(posthog) == {"request": 5}


def test_a_pool_that_is_terminated(posthog: LocalPostHog) -> None:
    run(posthog, """
import multiprocessing
posthog = otel_posthog.configure()
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.map(call, ["child"] * 20, chunksize=1)
""")  # fmt: skip
    assert sent_by(posthog) == {"child": 20}


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_children_that_configure_themselves(posthog: LocalPostHog, tmp_path: Path, method: str) -> None:
    code = """
import multiprocessing

def work():
    otel_posthog.configure()
    call("child")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=work) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
"""
    with running(posthog, tmp_path, code, "app.py", method) as process:
        assert process.wait(60) == 0
    assert sent_by(posthog) == {"child": 3}
