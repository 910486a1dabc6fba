"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import otel_posthog
from otel_posthog import conventions

PACKAGE = Path(otel_posthog.__file__).parent

# Which rooms a room may import from; a file is in the room of its folder, or its own.
ALLOWED: dict[str, set[str]] = {
    "_version": set(),
    "_checks": set(),
    "_environment": set(),
    "_options": set(),
    "settings": {"_checks", "_environment", "_options"},
    "_spans": set(),
    "_model": set(),
    "_distinct_ids": set(),
    "conventions": {"_spans", "_model", "_distinct_ids"},
    "events": {"_version", "_spans", "_model", "_distinct_ids"},
    "delivery": {"_version", "settings"},
    "_context": set(),
    "stages": {"_spans", "_model", "conventions", "_context", "_distinct_ids"},
    "logs": {"_spans", "conventions", "_context"},
    "sampling": set(),
    "evaluations": {"logs"},
    "mapper": {
        "settings",
        "_spans",
        "_model",
        "conventions",
        "events",
        "stages",
        "logs",
        "delivery",
        "_context",
        "sampling",
    },
    "live": {"_spans", "stages", "_context", "logs"},
    "batching": {"live"},
    "forking": set(),
    "metrics": {"_version", "settings", "delivery"},
    "exporter": {
        "settings",
        "_spans",
        "logs",
        "mapper",
        "stages",
        "delivery",
        "conventions",
        "_context",
        "events",
        "forking",
    },
    "processor": {
        "settings",
        "_spans",
        "exporter",
        "live",
        "batching",
        "stages",
        "delivery",
        "_context",
        "forking",
        "metrics",
    },
    "configure": {"settings", "exporter", "processor", "logs", "delivery", "conventions"},
    "serverless": {"configure"},
    "local": {"_version"},
    # Runs the exporter on one span, and looks at what an app does with all of it.
    "doctor": {
        "_version",
        "_checks",
        "_spans",
        "settings",
        "conventions",
        "delivery",
        "events",
        "exporter",
        "processor",
    },
    "cli": {"_version", "local", "doctor"},
}


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> set[str]:
    """The rooms of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "otel_posthog":
                names = [f"otel_posthog.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("otel_posthog.")}
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    assert imports_of(path) - {room} <= ALLOWED[room]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_property_names_stand_only_where_events_are_made(path: Path) -> None:
    # `local` and `doctor` read events that were made.
    # Attributes that apps set by their PostHog name are read in conventions: those are no properties we write.
    read = {"$ai_", "$ai_session_id", "$ai_model", "$ai_output_tokens", "$ai_output_choices"}
    read |= {"ai.telemetry.metadata.$ai_session_id", "ai.settings.context.$ai_session_id"}
    if room_of(path) not in ("events", "local", "doctor"):
        found = set(re.findall(r'"([^"\s]*\$ai_[a-z_]*)"', path.read_text()))
        assert found - (read if room_of(path) == "conventions" else set()) == set()


def test_every_reader_is_in_the_registry() -> None:
    files = {path.stem for path in (PACKAGE / "conventions").glob("*.py") if not path.stem.startswith("_")}
    assert {reader.name for reader in conventions.READERS} == files


@pytest.mark.parametrize("path", sorted((PACKAGE / "conventions").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_no_reader_grows_past_its_table(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 320


def test_the_public_names_are_these() -> None:
    assert sorted(otel_posthog.__all__) == [
        "ConfigurationError",
        "Handle",
        "PostHogLogRecordProcessor",
        "PostHogSpanExporter",
        "PostHogSpanProcessor",
        "Reader",
        "Settings",
        "Stats",
        "__version__",
        "configure",
        "context",
        "evaluation",
        "feedback",
        "flush",
        "flush_on_return",
        "metric",
    ]
    assert all(hasattr(otel_posthog, name) for name in otel_posthog.__all__)
