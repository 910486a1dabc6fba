"""`otel-posthog replay`: send recorded telemetry, such as what the Collector's file exporter has written."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import orjson

from otel_posthog.bridge import _replay
from otel_posthog.bridge._files import UnreadableError
from otel_posthog.bridge._intake import Intake
from otel_posthog.bridge._project import Project, Window
from otel_posthog.bridge._summary import Summary
from otel_posthog.bridge.commands import options
from otel_posthog.settings import Settings

_MIB = 1024 * 1024
_HELD = 128 * _MIB
# The rest of a trace is looked for so far ahead in the file.
_WINDOW = Window(30.0, 64 * _MIB, complete=True)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--dry-run", is_flag=True, help="Send nothing; summarise what would be sent.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="The most spans a second. Default: no limit.")
@click.option(
    "--historical/--live", default=True, show_default=True,
    help="Whether PostHog takes the events for a backfill (historical_migration).",
)  # fmt: skip
@click.option("--restart", is_flag=True, help="Begin at the start of files that were replayed partially.")
@options.verbose
def replay(
    paths: tuple[str, ...], dry_run: bool, rate: float | None, historical: bool, restart: bool, verbose: bool
) -> None:
    """Send the spans, log records or events in files to PostHog; "-" is standard input.

    OTLP JSON lines, OTLP protobuf (a request, or the Collector's length-delimited dump) and the events of
    `otel-posthog local export`, compressed by gzip or zstd or not. A replay that was stopped goes on where it was;
    since uuids are derived from span ids, sending something twice changes nothing.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    if dry_run:
        _dry_run(paths)
        return
    settings = options.load_settings(historical_migration=historical, retry_for=86_400.0)
    settings = options.with_room(settings, _HELD)
    project = Project(settings, _WINDOW, options.observer_of(verbose))
    intake = Intake([project], max_body_bytes=256 * _MIB, max_held_bytes=_HELD, answer_within=None)
    intake.start()
    state = _State(settings)
    totals = _replay.Totals()
    try:
        _send({path: 0 if restart else state.done(path) for path in paths}, intake, project, state, totals, rate)
    except KeyboardInterrupt:
        click.echo("\nStopped; the same command goes on from here.", err=True)
    finally:
        intake.close(settings.timeout)
    stats = project.stats()
    dropped = sum(stats.dropped.values())
    click.echo(f"{totals.records} records, {project.counts.spans} spans, {stats.delivered} events delivered, "
               f"{dropped} dropped, {totals.invalid} invalid")  # fmt: skip
    for reason, count in [*stats.dropped.items(), *totals.reasons.items()]:
        click.echo(f"  {count} {reason}")
    if dropped or totals.invalid:
        raise SystemExit(1)


def _send(
    files: Mapping[str, int],
    intake: Intake,
    project: Project,
    state: _State,
    totals: _replay.Totals,
    rate: float | None,
) -> None:
    for path, done in files.items():
        if done:
            click.echo(f"{path}: from record {done}", err=True)
    positions: dict[str, int] = {}
    try:
        size = sum(os.path.getsize(path) for path in files if path != "-")
        with click.progressbar(length=max(1, size), file=sys.stderr, hidden=not size) as bar:
            for progress in _replay.replay(files, intake, project, totals, rate):
                state.save(progress.path, progress.records)
                bar.update(max(0, progress.position - positions.get(progress.path, 0)))
                positions[progress.path] = progress.position
    except (UnreadableError, OSError) as error:
        raise click.ClickException(str(error)) from None


def _dry_run(paths: Sequence[str]) -> None:
    settings = options.load_settings(**({} if os.environ.get("POSTHOG_API_KEY") else {"api_key": "phc_dry_run"}))
    summary = Summary(settings)
    try:
        summary.add_files(paths)
    except (UnreadableError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(summary.lines()))


class _State:
    """How many records of each file have arrived, by file and project."""

    def __init__(self, settings: Settings) -> None:
        self._target = f"{settings.host} {settings.api_key}"
        self._folder = Path(click.get_app_dir("otel-posthog")) / "replay"

    def done(self, path: str) -> int:
        """0 if the file is another one by now."""
        if path == "-":
            return 0
        try:
            found = orjson.loads(self._file(path).read_bytes())
            return int(found["records"]) if found["inode"] == os.stat(path).st_ino else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def save(self, path: str, records: int) -> None:
        """Note it."""
        if path == "-":
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._file(path).with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps({"records": records, "inode": os.stat(path).st_ino}))
        temporary.replace(self._file(path))

    def _file(self, path: str) -> Path:
        name = hashlib.sha256(f"{self._target} {os.path.abspath(path)}".encode()).hexdigest()[:24]
        return self._folder / f"{name}.json"
