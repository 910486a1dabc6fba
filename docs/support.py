"""The support matrix, worked out from the recordings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support import recordings
from tests.support.events import events_of
from tests.support.truth import Fact, facts_of

# Column and the facts that it is about.
COLUMNS = {
    "messages": {"user text", "system prompt", "answer"},
    "tools": {"tool call", "tool result", "tool definition"},
    "tokens": {"billed input", "output tokens"},
    "cache": {"cache_read_tokens", "cache_write_tokens"},
    "reasoning": {"reasoning_tokens"},
    "streaming": {"streaming"},
    "errors": {"is error", "error text", "http status"},
}
# Column and the properties that show it; no call's truth states these.
SHOWN = {"cost": ("$ai_total_cost_usd", "$ai_input_cost_usd"), "session": ("$ai_session_id", "$session_id")}


def support_table() -> str:
    """A row for each recording, in Markdown."""
    columns = [*COLUMNS, *SHOWN, "user"]
    rows = [
        f"| recording | versions | calls | {' | '.join(columns)} |",
        "| --- | --- | ---: |" + " --- |" * len(columns),
    ]
    return "\n".join(rows + [_row(name) for name in recordings.NAMES])


def _row(name: str) -> str:
    recording = recordings.load(name)
    facts = facts_of(recording)
    cells = [_cell(facts, names) for names in COLUMNS.values()]
    events = events_of(recordings.spans_in(recording), recordings.logs_in(recording))
    cells += ["yes" if any(key in e["properties"] for e in events for key in keys) else "–" for keys in SHOWN.values()]
    known = any(event["properties"].get("$process_person_profile") is not False for event in events)
    cells.append("yes" if known else "–")
    return f"| {name} | {_versions(recording)} | {len(recording['calls'])} | {' | '.join(cells)} |"


def _cell(facts: Iterable[Fact], names: set[str]) -> str:
    found = [bool(fact.right) for fact in facts if fact.name in names]
    if not found:
        return "–"
    return "yes" if all(found) else f"{sum(found)} of {len(found)}"


def _versions(recording: dict[str, Any]) -> str:
    version = recording["version"]
    versions = dict(version) if isinstance(version, dict) else {recording["instrumentation"]: version}
    client = recording.get("client") or {}
    if isinstance(client, dict) and client.get("package"):
        versions.setdefault(client["package"], client.get("version"))
    return ", ".join(f"{package} {number}" for package, number in versions.items())
