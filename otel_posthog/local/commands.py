"""`otel-posthog local`: run the local PostHog, list its traces, draw one of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from otel_posthog.local.faults import Fault
from otel_posthog.local.server import LocalPostHog
from otel_posthog.local.store import Store
from otel_posthog.local.views import event_line, event_table, trace_table, trace_tree

_HOST = "127.0.0.1"
_PORT = 8010


def _faults(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[Fault]:
    try:
        return [Fault.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from None


def _default_database() -> str:
    """What `local --database` said, so that the option may stand before the subcommand too."""
    context = click.get_current_context(silent=True)
    if context is not None and context.parent is not None:
        given = context.parent.params.get("database")
        if isinstance(given, str):
            return given
    return str(Path(click.get_app_dir("otel-posthog")) / "local.db")


_database = click.option(
    "--database",
    type=click.Path(dir_okay=False),
    default=_default_database,
    show_default="a file in the user's application folder",
    help="SQLite file for events and requests.",
)


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
    """Run a PostHog on this machine that prints every event it is sent."""
    if context.invoked_subcommand is None:
        _serve(host, port, database, faults)


@local.command("list")
@_database
@click.option("--events", "as_events", is_flag=True, help="List events instead of traces.")
def list_traces(database: str, as_events: bool) -> None:
    """List the traces received, oldest first."""
    store = _open(database)
    if as_events:
        _print(event_table(store.events()))
        return
    _print(trace_table({trace_id: store.trace(trace_id) for trace_id in store.trace_ids()}))


@local.command("show")
@click.argument("trace_id")
@_database
def show_trace(trace_id: str, database: str) -> None:
    """Draw the tree of one trace. TRACE_ID may be the beginning of an id."""
    store = _open(database)
    found = store.trace_ids(trace_id)
    if trace_id in found:  # an id may be the beginning of another one
        found = [trace_id]
    if not found:
        raise click.ClickException(f"no trace starts with {trace_id!r}; see: otel-posthog local list")
    if len(found) > 1:
        some = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        raise click.ClickException(f"{len(found)} traces start with {trace_id!r}: {some}")
    _print(trace_tree(found[0], store.trace(found[0])))


def _serve(host: str, port: int, database: str, faults: Sequence[Fault]) -> None:
    console = Console(highlight=False)
    stop = threading.Event()
    posthog = LocalPostHog(
        port,
        database,
        faults,
        host=host,
        on_event=lambda event: console.print(event_line(event), soft_wrap=True),
    )
    try:
        posthog.start()
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
        stop.wait()
    except KeyboardInterrupt:
        pass
    finally:
        posthog.stop()


def _open(database: str) -> Store:
    if not Path(database).is_file():
        raise click.ClickException(f"no events yet: {database} does not exist")
    return Store(database)


def _print(what: object) -> None:
    Console(highlight=False).print(what)
