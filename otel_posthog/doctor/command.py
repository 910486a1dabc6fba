"""`otel-posthog doctor`: runs the checks, or an app under observation, and prints the report."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from otel_posthog.doctor import configuration, instrumentations, network, project_key, sending
from otel_posthog.doctor._report import Check, Line, Setup, Status, as_json, exit_status

OFFLINE: tuple[Check, ...] = (
    configuration.check_versions,
    configuration.check_settings,
    configuration.check_variables,
    instrumentations.check_instrumentations,
)
# Each needs what the one before it found to be right, so the first fault ends them.
ONLINE: tuple[Check, ...] = (
    network.check_connection,
    network.check_endpoints,
    project_key.check_key,
    sending.check_sending,
)

_COLOURS: dict[Status, str] = {"ok": "green", "info": "bright_black", "warning": "yellow", "fault": "red"}


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--json", "json_", is_flag=True, help="Print the report as JSON.")
@click.option("--offline", is_flag=True, help="Check settings and packages only; send nothing.")
@click.option("--wait", default=120.0, show_default=True, metavar="SECONDS", help="Time to look for the event.")
@click.option("--app-url", metavar="URL", help="Where you open PostHog, if it is not the host that takes events.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def doctor(json_: bool, offline: bool, wait: float, app_url: str | None, command: tuple[str, ...]) -> None:
    """Find out why nothing shows up in PostHog.

    Checks settings, packages and the way to PostHog, and sends one event. With POSTHOG_PERSONAL_API_KEY and
    POSTHOG_PROJECT_ID it reads the event back.

    With a COMMAND, such as `otel-posthog doctor -- python app.py`, runs it and reports what became of its spans.

    Exits with 1 if there is a fault.
    """
    settings, error, warnings = configuration.load_settings(os.environ)
    setup = Setup(os.environ, settings, error, warnings, app_url and app_url.rstrip("/"), wait, _progress)
    if command:
        from otel_posthog.doctor import observation

        found = observation.observe(setup, command)
    else:
        found = run(setup, OFFLINE if offline else OFFLINE + ONLINE)
    lines: list[Line] = []
    for line in found:
        if not json_ and (not lines or lines[-1].check != line.check):
            click.echo(click.style(f"{line.check.capitalize()}", bold=True))
        lines.append(line)
        if not json_:
            symbol, _, rest = str(line).partition(" ")
            click.echo(f"{click.style(symbol, _COLOURS[line.status])} {rest}")
    click.echo(as_json(lines) if json_ else f"\n{summary(lines)}")
    sys.exit(exit_status(lines))


def run(setup: Setup, checks: tuple[Check, ...]) -> Iterator[Line]:
    """The lines of all checks; those that need the network end with the first fault."""
    for check in checks:
        is_fault = False
        for line in check(setup):
            is_fault = is_fault or line.status == "fault"
            yield line
        if is_fault and (check in ONLINE or (setup.settings is None and check is OFFLINE[-1])):
            return


def summary(lines: list[Line]) -> str:
    """The number of faults and warnings in words."""
    faults = sum(line.status == "fault" for line in lines)
    warnings = sum(line.status == "warning" for line in lines)
    if not faults and not warnings:
        return "No problem found."
    return f"{_count(faults, 'fault')}, {_count(warnings, 'warning')}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _progress(text: str) -> None:
    click.echo(click.style(f"  … {text}", dim=True), err=True)
