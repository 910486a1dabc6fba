"""How well the ready-made redactions do, measured on the labelled texts in ``tests/data/redaction``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_posthog.events.redaction import READY_MADE

DATA = Path(__file__).parents[1] / "tests" / "data" / "redaction"
# Interrupts the invented keys, so that scanners for secrets do not report the file.
BREAK = "¦"


@dataclass(frozen=True, slots=True)
class Score:
    """What a redaction did to the labelled texts; ``mistakes`` are pairs of a text and what became of it."""

    name: str
    values: int
    found: int
    others: int
    mistakes: tuple[tuple[str, str], ...]
    removed_wrongly: int

    @property
    def recall(self) -> float:
        """Of the values that should go, the share that went, whole and alone."""
        return self.found / self.values

    @property
    def precision(self) -> float:
        """Of what was taken out, the share that should go."""
        return self.found / (self.found + self.removed_wrongly)


def labelled(name: str) -> dict[str, Any]:
    """The texts: ``positives`` with the ``values`` to be taken out of each, and ``negatives``."""
    data: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text("utf-8").replace(BREAK, ""))
    return data


def score(name: str) -> Score:
    """Run a redaction over its labelled texts."""
    data, redact, shown = labelled(name), READY_MADE[name], f"[{name}]"
    values = found = wrong = 0
    mistakes = []
    for row in data["positives"]:
        expected = row["text"]
        for value in row["values"]:
            expected = expected.replace(value, shown)
        given = redact(row["text"])
        values += len(row["values"])
        if given == expected:
            found += len(row["values"])
        else:
            mistakes.append((row["text"], given))
    for text in data["negatives"]:
        given = redact(text)
        if given != text:
            wrong += given.count(shown)
            mistakes.append((text, given))
    return Score(name, values, found, len(data["negatives"]), tuple(mistakes), wrong)


def redaction_table() -> str:
    """The figures as a table in Markdown."""
    lines = ["| name | values | other texts | recall | precision |", "| --- | ---: | ---: | ---: | ---: |"]
    for name in READY_MADE:
        found = score(name)
        figures = f"{found.values} | {found.others} | {found.recall:.1%} | {found.precision:.1%}"
        lines.append(f"| `{name}` | {figures} |")
    return "\n".join(lines)
