"""Writes the tables that are generated from the code: ``python -m docs.generate``. A test holds them against it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.conventions import conventions_table, libraries_table
from docs.redaction import redaction_table
from docs.support import support_table
from docs.tables import options_table, properties_table

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# File, name of the table in it, what makes the table.
TABLES: tuple[tuple[Path, str, Callable[[], str]], ...] = (
    (DOCS / "conventions.md", "conventions", conventions_table),
    (DOCS / "conventions.md", "libraries", libraries_table),
    (DOCS / "options.md", "options", options_table),
    (DOCS / "privacy.md", "redaction", redaction_table),
    (DOCS / "properties.md", "properties", properties_table),
    (DOCS / "support.md", "support", support_table),
)


def with_table(text: str, name: str, table: str) -> str:
    """The document with its table between the markers ``<!-- name -->`` and ``<!-- end -->`` replaced."""
    start = f"<!-- {name} -->"
    before, found, rest = text.partition(start)
    if not found or "<!-- end -->" not in rest:
        raise ValueError(f"no markers for {name}")
    return before + start + "\n" + table + "\n<!-- end -->" + rest.partition("<!-- end -->")[2]


def main() -> None:
    """Rewrite all tables in place."""
    for path, name, table in TABLES:
        path.write_text(with_table(path.read_text(), name, table()))


if __name__ == "__main__":
    main()
