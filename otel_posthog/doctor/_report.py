"""The lines of a report, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from otel_posthog.settings import Settings

Status = Literal["ok", "info", "warning", "fault"]

SYMBOLS: Mapping[Status, str] = {"ok": "✓", "info": "·", "warning": "!", "fault": "✗"}


@dataclass(frozen=True, slots=True)
class Line:
    """What a check found. ``fix`` says what to do, as a command where there is one."""

    check: str
    status: Status
    text: str
    fix: str | None = None

    def __str__(self) -> str:
        line = f"{SYMBOLS[self.status]} {self.text}"
        return f"{line}\n    → {self.fix}" if self.fix else line


@dataclass(frozen=True, slots=True)
class Setup:
    """What the checks look at.

    ``settings`` is ``None`` if they cannot be used, ``error`` then says why; ``warnings`` were logged while they were
    loaded. ``app_url`` is where PostHog's API is, if that is not known from the host; ``wait`` is how many seconds to
    wait for the event to show up. ``progress`` is called with what is going on.
    """

    environ: Mapping[str, str]
    settings: Settings | None = None
    error: str | None = None
    warnings: Sequence[str] = ()
    app_url: str | None = None
    wait: float = 120.0
    progress: Callable[[str], None] = lambda text: None


Check = Callable[[Setup], Iterable[Line]]


def as_json(lines: Sequence[Line]) -> str:
    """The report for programs: ``status`` is the worst of the lines."""
    order: list[Status] = ["fault", "warning", "ok"]
    found = {line.status for line in lines}
    worst = next((status for status in order if status in found), "ok")
    return json.dumps({"status": worst, "lines": [asdict(line) for line in lines]}, indent=2, ensure_ascii=False)


def exit_status(lines: Iterable[Line]) -> int:
    """1 if there is a fault, else 0: warnings do not fail a build."""
    return int(any(line.status == "fault" for line in lines))
