"""Runs an app under observation and says what became of its spans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from otel_posthog.doctor._report import Line, Setup
from otel_posthog.doctor.configuration import check_variables
from otel_posthog.doctor.findings import CHECKS, Report
from otel_posthog.doctor.observer import VARIABLE

_LONGEST_COMMAND = 100  # characters
_INJECTED = Path(__file__).parent / "inject"


def observe(setup: Setup, command: Sequence[str]) -> Iterator[Line]:
    """Run the command to its end and report. Its standard output goes to standard error, which is not the report."""
    if setup.error:
        yield Line("settings", "warning", f"From the environment alone: {setup.error}")
    yield from (line for line in check_variables(setup) if line.status != "info")
    with tempfile.TemporaryDirectory() as directory:
        try:
            status = _run(setup, command, directory)
        except OSError as error:
            yield Line("app", "fault", f"{command[0]} cannot be run: {error.strerror}.", "check the command after --")
            return
        reports = [json.loads(path.read_text()) for path in sorted(Path(directory).glob("*.json"))]
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    yield Line("app", "fault" if status > 0 else "ok", f"{_shortened(command)} {how}.")
    if not reports:
        text = "Nothing was observed: the command ran no Python that has otel-posthog installed."
        yield Line("app", "fault", text, f"use this interpreter: {sys.executable}")
        return
    together = merged(reports)
    for check in CHECKS:
        yield from check(setup, together)


def _shortened(command: Sequence[str]) -> str:
    text = " ".join(" ".join(command).split())
    return text if len(text) <= _LONGEST_COMMAND else text[:_LONGEST_COMMAND] + "…"


def _run(setup: Setup, command: Sequence[str], directory: str) -> int:
    path = os.pathsep.join(filter(None, (str(_INJECTED), setup.environ.get("PYTHONPATH"))))
    environment = {**setup.environ, "PYTHONPATH": path, VARIABLE: directory}
    process = subprocess.Popen(list(command), env=environment, stdout=sys.stderr)  # noqa: S603  # the user's command
    # Ctrl-C reaches the app as well: it ends, and then there is a report.
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    terminated = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, interrupted)
        signal.signal(signal.SIGTERM, terminated)


def merged(reports: Sequence[Report]) -> Report:
    """The sum of the reports of all processes."""
    together: Report = {"processes": len(reports), "killed": sum(not report["is_final"] for report in reports)}
    together["foreign_provider"] = None
    for name in (
        "started",
        "ended",
        "events",
        "other_libraries",
        "requests",
        "messages",
        "calls",
        "with_content",
        "users",
    ):
        together[name] = sum((Counter(report[name]) for report in reports), Counter[str]())
    for name in ("with_user", "repeated", "otlp_requests", "without_event"):
        together[name] = sum(report[name] for report in reports)
    for name in ("providers", "stats"):
        together[name] = [item for report in reports for item in report[name]]
    for name in ("clients", "active"):
        together[name] = sorted({item for report in reports for item in report[name]})
    together["ai"] = Counter[tuple[str, str]]()
    for report in reports:
        for scope, readers in report["ai"].items():
            together["ai"].update({(scope, reader): count for reader, count in readers.items()})
    unseen = [
        r["global_provider"] for r in reports if r["providers"] and not any(p["is_global"] for p in r["providers"])
    ]
    together["foreign_provider"] = next(iter(unseen), None)
    return together
