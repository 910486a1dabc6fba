"""The `otel-posthog` command. Subcommands are imported when they are run; some need an extra."""

from __future__ import annotations

from importlib import import_module

import click

from otel_posthog._version import __version__

# Subcommand: module, its click command, the extra it needs, help.
COMMANDS: dict[str, tuple[str, str, str | None, str]] = {
    "consume": ("otel_posthog.bridge.commands.consume", "consume", "bridge,kafka", "Send spans from Kafka to PostHog."),
    "doctor": ("otel_posthog.doctor.command", "doctor", None, "Find out why nothing shows up in PostHog."),
    "explain": ("otel_posthog.bridge.commands.explain", "explain", "bridge", "Say what became of each span of a file."),
    "local": ("otel_posthog.local.commands", "local", "local", "Run a PostHog on this machine."),
    "replay": ("otel_posthog.bridge.commands.replay", "replay", "bridge", "Send recorded spans to PostHog."),
    "serve": ("otel_posthog.bridge.commands.serve", "serve", "bridge", "Receive OTLP and send it to PostHog."),
}


class _Commands(click.Group):
    """Lists the subcommands from the table, without importing any."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, command, extra, _ = COMMANDS[name]
        try:
            loaded: click.Command = getattr(import_module(module), command)
        except ModuleNotFoundError as error:
            if extra is None or (error.name or "").startswith("otel_posthog"):
                raise
            raise click.ClickException(f'"{name}" needs an extra: pip install "otel-posthog[{extra}]"') from None
        return loaded

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][3]) for name in self.list_commands(context)])


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="otel-posthog")
def commands() -> None:
    """OpenTelemetry GenAI spans to PostHog."""


def build() -> click.Group:
    """The command with everything under it."""
    return commands


def main() -> None:
    """Entry point of the console script."""
    commands(prog_name="otel-posthog")


if __name__ == "__main__":
    main()
