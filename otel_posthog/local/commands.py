"""`otel-posthog local`: run the local PostHog, and look at what it has received from a terminal."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.markup import escape

from otel_posthog.local import catalogue
from otel_posthog.local.catalogue import Filter
from otel_posthog.local.explanation import explanation_lines, explanation_of
from otel_posthog.local.faults import Fault
from otel_posthog.local.index import refresh
from otel_posthog.local.server import LocalPostHog
from otel_posthog.local.store import Store, StoredEvent, StoreError
from otel_posthog.local.views import (
    event_line,
    messages_text,
    properties_text,
    trace_table,
    trace_tree,
)

_HOST = "127.0.0.1"
_PORT = 8010
_LOOK_EVERY = 0.5  # seconds between two looks at what came
_EXPORTED = ("event", "distinct_id", "uuid", "timestamp", "properties")


def _faults(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[Fault]:
    try:
        return [Fault.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from None


def _default_database() -> str:
    """The value of `local --database`, so that the option may stand before the subcommand too."""
    context = click.get_current_context(silent=True)
    if context is not None and context.parent is not None:
        found = context.parent.params.get("database")
        if isinstance(found, str):
            return found
    return str(Path(click.get_app_dir("otel-posthog")) / "local.db")


_database = click.option(
    "--database",
    type=click.Path(dir_okay=False),
    default=_default_database,
    show_default="a file in the user's application folder",
    help="SQLite file for events and requests.",
)


_project = click.option("--project", metavar="KEY", help="Only this project: its key or the beginning of it.")


@click.group(invoke_without_command=True)
@click.option("--host", default=_HOST, show_default=True, help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True)
@_database
@click.option(
    "--fail",
    "faults",
    multiple=True,
    callback=_faults,
    metavar="FAULT",
    help="Play a fault, such as 503:times=2, latency=0.5:rate=0.2, reset, 404:path=/i/v0/ai/batch/. Repeatable.",
)
@click.pass_context
def local(context: click.Context, host: str, port: int, database: str, faults: list[Fault]) -> None:
    """Run a PostHog on this machine: a web page, and a line in the terminal for every event it is sent."""
    if context.invoked_subcommand is None:
        _serve(host, port, database, faults)


@local.command("list")
@_database
@_project
@click.option("--events", "as_events", is_flag=True, help="List all events instead of traces.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="The newest N traces; 0 for all.")
def list_traces(database: str, project: str | None, as_events: bool, limit: int) -> None:
    """List the traces received, the newest last; those of several projects one project after the other."""
    store = _open(database)
    key = _find_project(store, project)
    console = _console()
    if as_events:
        for _, event in store.events_after(0, key):
            console.print(event_line(event), no_wrap=True, overflow="ellipsis")
        return
    rows = catalogue.traces(store, Filter(project=key or ""), limit=limit)[::-1]
    several = key is None and len(catalogue.projects(store)) > 1
    for name in sorted({row.project for row in rows}) if several else [None]:
        if name is not None:
            console.print(f"[bold]project {escape(name) or 'without a key'}[/]", soft_wrap=True)
        console.print(trace_table([row for row in rows if name in (None, row.project)], console.width))
    total = catalogue.counts(store).traces
    if key is None and total > len(rows):
        console.print(f"[dim]the newest {len(rows)} of {total} traces; --limit 0 lists all[/]")


@local.command("show")
@click.argument("trace_id", default="latest")
@_database
@_project
@click.option("--messages", is_flag=True, help="The conversations, as text.")
@click.option("--properties", is_flag=True, help="All properties of each event.")
@click.option("--why", is_flag=True, help="Which attribute became which property, and what was dropped.")
@click.option("--json", "as_json", is_flag=True, help="The events as JSON, one a line.")
def show_trace(
    trace_id: str, database: str, project: str | None, messages: bool, properties: bool, why: bool, as_json: bool
) -> None:
    """Draw the tree of one trace. TRACE_ID is `latest`, an id, or the beginning of one."""
    store = _open(database)
    found, key = _find_trace(store, trace_id, project)
    events = store.trace(found, key)
    if as_json:
        _write_lines(events)
        return
    console = _console()
    console.print(trace_tree(found, events))
    if messages:
        console.print(messages_text(events), soft_wrap=True)
    if properties:
        console.print(properties_text(events), soft_wrap=True)
    for event, raw in store.explained_trace(found, key) if why else []:
        click.echo(f"event {event['uuid']}")
        for line in explanation_lines(event["event"], explanation_of(raw, event["properties"])):
            click.echo(line)


@local.command("tail")
@_database
@click.option("--last", type=click.IntRange(0), default=10, show_default=True, help="Events to begin with.")
def tail(database: str, last: int) -> None:
    """Print events as they arrive, from a database that a server writes."""
    store = _open(database)
    console = _console()
    seen = max(store.last_seq() - last, 0)
    try:
        while True:
            for seq, event in store.events_after(seen):
                console.print(event_line(event), soft_wrap=True)
                seen = seq
            threading.Event().wait(_LOOK_EVERY)
    except KeyboardInterrupt:
        pass


@local.command("clear")
@_database
def clear(database: str) -> None:
    """Delete everything received."""
    number = _open(database).clear()
    click.echo(f"{number} event{'' if number == 1 else 's'} deleted")


@local.command("export")
@_database
@_project
@click.option("--trace", "trace_id", help="Only this trace: `latest`, an id, or the beginning of one.")
def export(database: str, project: str | None, trace_id: str | None) -> None:
    """Write the events as JSON lines, in the form in which they were captured."""
    store = _open(database)
    if trace_id is not None:
        _write_lines(store.trace(*_find_trace(store, trace_id, project)))
        return
    key = _find_project(store, project)
    keys = catalogue.projects(store)
    if key is None and len(keys) > 1:
        click.echo(f"events of {len(keys)} projects: {', '.join(keys)}; --project exports one of them", err=True)
    _write_lines(event for _, event in store.events_after(0, key))


def _find_project(store: Store, start: str | None) -> str | None:
    """The key that starts like this; ``None`` for ``None``."""
    if start is None:
        return None
    keys = [key for key in catalogue.projects(store) if key.startswith(start)]
    if len(keys) != 1 and start not in keys:
        known = ", ".join(catalogue.projects(store)) or "none yet"
        raise click.ClickException(f"{len(keys) or 'no'} project keys start with {start!r}; known keys: {known}")
    return start if start in keys else keys[0]


def _find_trace(store: Store, trace_id: str, project: str | None) -> tuple[str, str]:
    """Id and project of a trace."""
    key = _find_project(store, project)
    if trace_id == "latest":
        newest = catalogue.traces(store, Filter(project=key or ""), limit=1)
        if not newest:
            raise click.ClickException("no trace has arrived yet")
        return newest[0].trace_id, newest[0].project
    found = catalogue.traces_starting_with(store, trace_id, key)
    exact = [row for row in found if row[0] == trace_id]  # an id may be the beginning of another one
    found = exact or found
    if not found:
        raise click.ClickException(f"no trace starts with {trace_id!r}; see: otel-posthog local list")
    ids = list(dict.fromkeys(row[0] for row in found))
    if len(ids) > 1:
        some = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
        raise click.ClickException(f"{len(ids)} traces start with {trace_id!r}: {some}")
    if len(found) > 1:
        keys = ", ".join(row[1] for row in found)
        raise click.ClickException(f"{len(found)} projects have a trace {ids[0]}: choose one with --project: {keys}")
    return found[0]


def _write_lines(events: Sequence[StoredEvent] | Iterator[StoredEvent]) -> None:
    for event in events:
        line = orjson.dumps({key: event[key] for key in _EXPORTED})  # type: ignore[literal-required]
        # JSON leaves these control characters as they are; terminals obey some.
        click.echo(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", line.decode()))


def _serve(host: str, port: int, database: str, faults: Sequence[Fault]) -> None:
    console = Console(highlight=False)
    stop = threading.Event()
    try:
        posthog = LocalPostHog(
            port,
            database,
            faults,
            host=host,
            explain=True,
            on_event=lambda event: console.print(event_line(event), soft_wrap=True),
        )
        posthog.start()
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(
            f"cannot listen on {host} port {port}: {reason}; choose another with --port"
        ) from None
    # A terminated server closes its port and database like an interrupted one.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    console.print(f"Local PostHog on [bold]{posthog.url}[/]   POSTHOG_HOST={posthog.url}")
    console.print(f"[dim]events in {escape(database)}; any phc_… key; Ctrl-C stops[/]")
    for fault in faults:
        console.print(f"[yellow]playing fault {fault.kind}[/]")
    try:
        # The index is kept up to date here, so that a page never has to catch up.
        while not stop.wait(_LOOK_EVERY):
            refresh(posthog.store)
    except KeyboardInterrupt:
        pass
    finally:
        posthog.stop()


def _open(database: str) -> Store:
    if not Path(database).is_file():
        raise click.ClickException(f"no events yet: {database} does not exist")
    try:
        store = Store(database)
        refresh(store)
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    return store


def _console() -> Console:
    return Console(highlight=False)
