"""`otel-posthog serve`: receive OTLP over HTTP and gRPC."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace

import click

from otel_posthog.bridge._intake import Intake
from otel_posthog.bridge._journal import RequestJournal
from otel_posthog.bridge._metrics import Metrics
from otel_posthog.bridge._project import Project
from otel_posthog.bridge._server import BridgeServer, Companion, Keys, build_app
from otel_posthog.bridge.commands import options
from otel_posthog.settings import Settings

_MIB = 1024 * 1024
_KEY_VARIABLES = ("OTEL_EXPORTER_POSTHOG_API_KEY", "POSTHOG_API_KEY")
_LONGEST_WINDOW = 3.0  # seconds that a sender may wait for an answer because of the window


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), default=4318, show_default=True, help="Of OTLP/HTTP.")
@click.option("--grpc-port", type=click.IntRange(1, 65535), help='Of OTLP/gRPC; needs "otel-posthog[bridge-grpc]".')
@click.option(
    "--allow-key", "keys", multiple=True, envvar="POSTHOG_BRIDGE_KEYS", metavar="phc_…",
    help="A further project that requests may choose with Authorization: Bearer. Repeatable.",
)  # fmt: skip
@options.trace_window
@options.window_size
@click.option("--max-body-mib", type=click.IntRange(1, 1024), default=20, show_default=True,
              help="MiB of a request's body, decompressed.")  # fmt: skip
@click.option(
    "--max-memory-mib", type=click.IntRange(1), default=64, show_default=True,
    help="MiB of requests that are neither delivered nor on disk; beyond it senders are asked to wait.",
)  # fmt: skip
@options.verbose
def serve(
    host: str,
    port: int,
    grpc_port: int | None,
    keys: tuple[str, ...],
    window_seconds: float,
    window_mib: int,
    max_body_mib: int,
    max_memory_mib: int,
    verbose: bool,
) -> None:
    """Receive OTLP on /v1/traces and /v1/logs and send AI spans to PostHog.

    The exporter's options are read from the environment: POSTHOG_API_KEY, POSTHOG_HOST, POSTHOG_SPOOL_DIR, ….
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    projects, default = _projects(keys, max_memory_mib * _MIB)
    first = default or projects[0]
    if window_seconds > _LONGEST_WINDOW and not first.spool_dir:
        raise click.UsageError(
            f"--trace-window {window_seconds:g} needs POSTHOG_SPOOL_DIR: without a spool senders wait as long as that "
            f"for their answer, and give up. Without one the most is {_LONGEST_WINDOW:g}."
        )
    window = options.window_of(window_seconds, window_mib)
    observe = options.observer_of(verbose)
    by_key = {settings.api_key: Project(settings, window, observe) for settings in projects}
    intake = Intake(
        by_key.values(),
        max_body_bytes=max_body_mib * _MIB,
        max_held_bytes=max_memory_mib * _MIB,
        journal=RequestJournal(first.spool_dir) if first.spool_dir else None,
    )
    allowed = Keys(by_key[default.api_key] if default is not None else None, by_key)
    companion = None if grpc_port is None else _grpc_server(intake, allowed, f"{host}:{grpc_port}")
    server = BridgeServer(build_app(intake, allowed, Metrics(intake)), intake, host, port, companion=companion)
    # uvicorn raises the signal again once it has stopped; by then there is still something to deliver.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    options.tune_garbage_collection()
    intake.start()
    click.echo(f"OTLP/HTTP on http://{host}:{port}, to {first.host}")
    server.run()
    if not intake.close(first.timeout):
        raise click.ClickException("some events were not delivered")


def _projects(keys: tuple[str, ...], held_bytes: int) -> tuple[list[Settings], Settings | None]:
    """The settings of all projects, and of those the default's: that of ``POSTHOG_API_KEY``."""
    names = list(dict.fromkeys(key for text in keys for key in text.replace(",", " ").split()))
    has_default = any(os.environ.get(name, "").strip() for name in _KEY_VARIABLES)
    loaded = options.load_settings(**({} if has_default or not names else {"api_key": names[0]}))
    loaded = options.with_room(loaded, held_bytes)
    others = [replace(loaded, api_key=key) for key in names if key != loaded.api_key]
    return [loaded, *others], loaded if has_default else None


def _grpc_server(intake: Intake, keys: Keys, address: str) -> Companion:
    try:
        from otel_posthog.bridge._grpc import GrpcServer
    except ModuleNotFoundError as error:
        if error.name != "grpc":
            raise
        raise click.ClickException('--grpc-port needs an extra: pip install "otel-posthog[bridge-grpc]"') from None
    return GrpcServer(intake, keys, address)
