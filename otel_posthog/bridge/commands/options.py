"""Options that the bridge's subcommands share."""

from __future__ import annotations

import gc
from dataclasses import replace

import click

from otel_posthog.bridge._project import Observer, Window
from otel_posthog.bridge._verbose import observer
from otel_posthog.settings import ConfigurationError, Settings

_MIB = 1024 * 1024

trace_window = click.option(
    "--trace-window", "window_seconds", type=click.FloatRange(0, 3600), default=2.0, show_default=True,
    help="Seconds that a trace waits for parents and log records that have not come.",
)  # fmt: skip
window_size = click.option(
    "--trace-window-mib", "window_mib", type=click.IntRange(1), default=64, show_default=True,
    help="MiB that waiting traces may hold; beyond it the oldest goes first.",
)  # fmt: skip
verbose = click.option("--verbose", is_flag=True, help="Write a line for each span: what became of it.")


def load_settings(**options: object) -> Settings:
    """Settings from the environment; a mistake there ends the command with one sentence."""
    try:
        return Settings.load(**options)  # type: ignore[arg-type]
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None


def tune_garbage_collection() -> None:
    """Look for cycles less often: spans by the hundred are alive at once, which reference counts free, and walking over
    them again and again took a fifth of the bridge's time. The process is the command's own."""
    gc.freeze()
    gc.set_threshold(50_000)


def with_room(settings: Settings, held_bytes: int) -> Settings:
    """Settings whose queue never drops what the intake lets in: the bound is ``held_bytes`` of requests, and half of
    ``max_memory_bytes`` is the queue's."""
    return replace(
        settings,
        max_queue_size=10_000_000,
        max_memory_bytes=max(settings.max_memory_bytes, 4 * held_bytes),
    )


def window_of(seconds: float, mib: int) -> Window:
    """The trace window of the two options."""
    return Window(seconds, mib * _MIB)


def observer_of(verbose: bool) -> Observer | None:
    """What ``--verbose`` asks for."""
    return observer(click.echo) if verbose else None
