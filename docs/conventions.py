"""The map of conventions: who reads what, worked out from the readers and the recordings."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from datetime import datetime, timezone

from otel_posthog._spans import view_of
from otel_posthog.conventions import READERS, Reader, reader_of
from tests.support import recordings


def conventions_table() -> str:
    """A row for each reader in the order in which they are asked, in Markdown."""
    owned: dict[str, set[str]] = defaultdict(set)
    for name in recordings.NAMES:
        for reader in _owners(name):
            owned[reader].add(name)
    rows = ["| reader | what it reads | source | recordings |", "| --- | --- | --- | --- |"]
    return "\n".join(rows + [_row(reader, owned[reader.name]) for reader in READERS])


def libraries_table() -> str:
    """A row for each recording: what it holds, when it was made, who wrote its spans, who reads them."""
    rows = ["| recording | made | scopes of its spans | readers |", "| --- | --- | --- | --- |"]
    for name in recordings.NAMES:
        recording = recordings.load(name)
        scopes = sorted({span["scope"]["name"] for span in recording["spans"]})
        made = max(span["end_time_unix_nano"] for span in recording["spans"])
        rows.append(f"| {name} | {_date(made)} | {_coded(scopes)} | {', '.join(_owners(name)) or '–'} |")
    return "\n".join(rows)


def _owners(name: str) -> list[str]:
    views = [view_of(span) for span in recordings.spans(name)]
    found = [reader_of(view) for view in views]
    return [reader.name for reader in READERS if reader in found]


def _row(reader: Reader, names: set[str]) -> str:
    text = " ".join((inspect.getmodule(reader.parse).__doc__ or "").split())  # type: ignore[union-attr]
    about, _, source = text.replace("|", "\\|").partition("Sources: " if "Sources: " in text else "Source: ")
    shown = re.sub(r"``([^`]*)``", r"`\1`", about.strip())
    return (
        f"| {reader.name} | {shown} | {re.sub('``', '`', source.strip()) or '–'} | {', '.join(sorted(names)) or '–'} |"
    )


def _coded(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names if name)


def _date(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, tz=timezone.utc).date().isoformat()
