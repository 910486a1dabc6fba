"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

import otel_posthog
from otel_posthog import Operation, conventions

PACKAGE = Path(otel_posthog.__file__).parent

# Which modules a module may import from; a file of a package counts as the package. Imports go down only.
_VALUES = {"_version", "_distinct_ids", "_model", "_spans", "_context"}
_SETTINGS = {"_checks", "_environment", "_options", "settings"}
_MAPPING = {*_VALUES, *_SETTINGS, "conventions", "_trace", "stages", "events", "_memory"}
_HELD = {"_sizes", "_log_store", "_traces"}
_PROCESS = {*_MAPPING, *_HELD, "delivery", "_explain", "_hints", "_pipeline", "_collector", "_runtime"}
ALLOWED: dict[str, set[str]] = {
    "_version": set(),
    "_distinct_ids": set(),
    "_model": set(),
    "_spans": set(),
    "_context": set(),
    "_signals": set(),
    "_checks": _SETTINGS,
    "_environment": _SETTINGS,
    "_options": _SETTINGS,
    "settings": _SETTINGS,
    "conventions": _VALUES,
    "_trace": {*_VALUES, "conventions"},
    "stages": {*_VALUES, "conventions", "_trace"},
    "events": {*_VALUES, "conventions", "_trace"},
    "delivery": {"_version", *_SETTINGS},
    "_memory": {*_VALUES, "_trace", "stages"},
    "_explain": {*_VALUES, "_trace", "delivery", "events"},
    "_hints": {"_memory"},
    "_pipeline": {*_MAPPING, "delivery", "_explain"},
    "_sizes": set(),
    "_log_store": {"_sizes", "_spans"},
    "_traces": {*_MAPPING, "_sizes"},
    "_collector": _PROCESS - {"_runtime"},
    "_runtime": _PROCESS,
    "logs": {"_spans", "_trace", "conventions"},
    "metrics": {"_version", "delivery", *_SETTINGS},
    "exporter": {"_runtime", "conventions", "delivery", "logs", "metrics", *_SETTINGS},
    "processor": {"conventions", "delivery", "exporter", *_SETTINGS},
    "_evaluations": {"logs"},
    "_startup": {"_version", *_SETTINGS},
    "_configure": {"_signals", "_startup", "conventions", "delivery", "exporter", "logs", "processor", *_SETTINGS},
    "_serverless": {"_configure"},
    "local": {"_version"},
    # Runs the exporter on one span, and looks at what an app does with all of it.
    "doctor": {
        "_version",
        "_spans",
        "_configure",
        "conventions",
        "delivery",
        "events",
        "exporter",
        "processor",
        *_SETTINGS,
    },
    "bridge": {*_PROCESS, "local"} - {*_HELD, "_collector", "_runtime", "_hints"},
    "cli": {"_version", "bridge", "local", "doctor"},
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
    # `local`, `doctor` and `bridge` read events that were made.
    # Attributes that apps set by their PostHog name are read in conventions: those are no properties we write.
    read = {"$ai_", "$ai_session_id", "$ai_model", "$ai_output_tokens", "$ai_output_choices"}
    read |= {"ai.telemetry.metadata.$ai_session_id", "ai.settings.context.$ai_session_id"}
    if room_of(path) not in ("events", "local", "doctor", "bridge"):
        found = set(re.findall(r'"([^"\s]*\$ai_[a-z_]*)"', path.read_text()))
        assert found - (read if room_of(path) == "conventions" else set()) == set()


def test_every_reader_is_in_the_registry() -> None:
    files = {path.stem for path in (PACKAGE / "conventions").glob("*.py") if not path.stem.startswith("_")}
    assert {reader.name for reader in conventions.READERS} == files - {"evaluations"}  # log records, not spans


@pytest.mark.parametrize("path", sorted((PACKAGE / "conventions").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_no_reader_grows_past_its_table(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 320


_FIELDS = {field.name for field in fields(Operation)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_operation_is_written_by_its_reader_only(path: Path) -> None:
    if room_of(path) == "conventions":
        return
    written = [
        f"line {node.lineno}: {ast.unparse(target)}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and target.attr in _FIELDS and "operation" in ast.unparse(target.value)
    ]
    assert written == []


def test_the_public_names_are_these() -> None:
    assert otel_posthog.__all__ == [
        "Attributes",
        "ConfigurationError",
        "Cost",
        "EventView",
        "Failure",
        "Handle",
        "Message",
        "Operation",
        "PostHogLogRecordProcessor",
        "PostHogSpanExporter",
        "PostHogSpanProcessor",
        "Reader",
        "Settings",
        "SpanView",
        "Stats",
        "Tool",
        "ToolCall",
        "ToolResult",
        "Usage",
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
