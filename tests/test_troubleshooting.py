"""docs/troubleshooting.md quotes messages: each must be one that the package has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import otel_posthog

PACKAGE = Path(otel_posthog.__file__).parent
TEXT = (PACKAGE.parent / "docs" / "troubleshooting.md").read_text()


def texts_of(path: Path) -> list[str]:
    """The strings of a module; in f-strings and log messages the values are cut out."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    found = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [part for text in found for part in text.split("%s")]


SOURCE = "\n".join(text for path in sorted(PACKAGE.rglob("*.py")) for text in texts_of(path))
QUOTED = re.findall(r"^(?:\| |- )(`[^|]*?)(?: \||: )", TEXT, re.MULTILINE)
MESSAGES = [message for cell in QUOTED for message in re.findall(r"`([^`]+)`", cell) if not message.startswith("--")]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_exists(message: str) -> None:
    fragments = [fragment.strip(" .:,") for fragment in message.split("…")]
    assert [fragment for fragment in fragments if fragment not in SOURCE] == []


def test_messages_are_found_in_the_page() -> None:
    assert len(MESSAGES) > 20
