"""What differs between two generations: facts, parameters, prompt and answer."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from otel_posthog.local.conversation import conversation_of
from otel_posthog.local.store import StoredEvent
from otel_posthog.local.transcript import input_text, output_text

_LONGEST = 4000  # lines on each side
_CONTEXT = 3  # unchanged lines around a change
_PARAMETERS = ("$ai_temperature", "$ai_max_tokens", "$ai_stream", "$ai_model_parameters", "$ai_stop_reason",
               "$ai_http_status", "$ai_base_url", "$ai_prompt_name", "$ai_prompt_version")  # fmt: skip

Side = Literal["same", "old", "new", "gap"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``parameters`` are (name, first, second); a diff is a list of (side, line)."""

    parameters: list[tuple[str, str, str]]
    input: list[tuple[Side, str]]
    output: list[tuple[Side, str]]


def compare(first: StoredEvent, second: StoredEvent) -> Comparison:
    left, right = (conversation_of(event["properties"]) for event in (first, second))
    return Comparison(
        list(_parameters(first["properties"], second["properties"])),
        diff(input_text(left), input_text(right)),
        diff(output_text(left), output_text(right)),
    )


def diff(old: str, new: str) -> list[tuple[Side, str]]:
    """Line by line, with long unchanged stretches left out; empty if nothing differs."""
    before, after = old.splitlines()[:_LONGEST], new.splitlines()[:_LONGEST]
    if before == after:
        return []
    lines: list[tuple[Side, str]] = []
    for group in difflib.SequenceMatcher(None, before, after).get_grouped_opcodes(_CONTEXT):
        if lines:
            lines.append(("gap", "…"))
        for tag, start, end, new_start, new_end in group:
            if tag == "equal":
                lines += [("same", line) for line in before[start:end]]
                continue
            lines += [("old", line) for line in before[start:end]]
            lines += [("new", line) for line in after[new_start:new_end]]
    return lines


def _parameters(first: dict[str, Any], second: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    left, right = _flat(first), _flat(second)
    for name in dict.fromkeys([*left, *right]):
        yield name, left.get(name, ""), right.get(name, "")


def _flat(properties: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PARAMETERS:
        value = properties.get(name)
        inner = value if isinstance(value, dict) else {name.removeprefix("$ai_"): value}
        found.update((str(key), _short(item)) for key, item in inner.items() if item is not None)
    return found


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:200]
