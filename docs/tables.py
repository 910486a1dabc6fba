"""The tables of ``docs/options.md`` and ``docs/properties.md``."""

from __future__ import annotations

import json
from dataclasses import MISSING

from otel_posthog.events.properties import CALL, COMMON, COMPUTED, EVALUATION, SET_BY_APP, STATE, Property
from otel_posthog.settings import PREFIX, options, variables_of


def properties_table() -> str:
    """A row for each property, in Markdown."""
    groups: tuple[tuple[str, tuple[Property, ...]], ...] = (
        ("all", COMMON),
        ("generation, embedding", CALL),
        ("span, trace", STATE),
        ("all that have it", COMPUTED),
        ("evaluation, feedback, metric", EVALUATION),
        ("any", SET_BY_APP),
    )
    rows = ["| property | events | where it comes from |", "| --- | --- | --- |"]
    rows += [f"| `{row.name}` | {events} | {row.source} |" for events, table in groups for row in table]
    return "\n".join(rows)


def options_table() -> str:
    """A row for each option, in Markdown."""
    rows = ["| argument | environment variable | default | what it does |", "| --- | --- | --- | --- |"]
    for option in options():
        variables = " or ".join(f"`{name}`" for name in variables_of(option) if not name.startswith(PREFIX))
        default = option.default if option.default is not MISSING else {}
        shown = "" if default in (None, "", ()) else f"`{json.dumps(default)}`"
        rows.append(f"| `{option.name}` | {variables} | {shown} | {option.metadata['help']} |")
    return "\n".join(rows)
