"""The `otel-posthog` command: its subcommands come with extras, or it says what to install."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from otel_posthog._version import __version__

if TYPE_CHECKING:
    import click

_EXTRA = frozenset({"click", "rich", "starlette", "uvicorn", "h11"})


def main() -> None:
    """Entry point of the console script."""
    try:
        command = build()
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        print('This command needs the extra: pip install "otel-posthog[local]"', file=sys.stderr)
        raise SystemExit(1) from None
    command(prog_name="otel-posthog")


def build() -> click.Group:
    """The command with everything under it. ``ModuleNotFoundError`` where an extra is missing."""
    import click

    from otel_posthog.local.commands import local

    group = click.Group("otel-posthog", help="OpenTelemetry GenAI spans to PostHog.")
    group.add_command(local)
    return click.version_option(__version__)(group)


if __name__ == "__main__":
    main()
