"""Writes the tables that are generated from the code: ``python -m docs.generate``. A test holds them against it."""

from __future__ import annotations

from pathlib import Path

from docs.redaction import redaction_table
from docs.support import support_table
from otel_posthog.events.properties import properties_table
from otel_posthog.settings import options_table

ROOT = Path(__file__).parents[1]
TABLES = {
    ROOT / "docs" / "options.md": ("options", options_table),
    ROOT / "docs" / "privacy.md": ("redaction", redaction_table),
    ROOT / "docs" / "properties.md": ("properties", properties_table),
    ROOT / "docs" / "support.md": ("support", support_table),
}


def with_table(text: str, name: str, table: str) -> str:
    """The document with its table between the markers ``<!-- name -->`` and ``<!-- end -->`` replaced."""
    start = f"<!-- {name} -->"
    before, found, rest = text.partition(start)
    if not found or "<!-- end -->" not in rest:
        raise ValueError(f"no markers for {name}")
    return before + start + "\n" + table + "\n<!-- end -->" + rest.partition("<!-- end -->")[2]


def main() -> None:
    """Rewrite all tables in place."""
    for path, (name, table) in TABLES.items():
        path.write_text(with_table(path.read_text(), name, table()))


if __name__ == "__main__":
    main()
