"""Drivers of libraries that are recorded in an environment of their own, one module each.

A module's ``REQUIRES`` is what pip installs, its ``SOURCE`` says what is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.llm.drive_openai import CHAT_STEPS, EMBEDDING_STEPS, TOOLS
from tests.support.llm.steps import Step

SPANS = InMemorySpanExporter()
"""Where the recorder finds spans; a library with a tracer provider of its own exports to it too."""

_CHAT = {step.name: step for step in CHAT_STEPS}
_DROPPED = ("top_p", "seed", "stop", "frequency_penalty", "presence_penalty", "reasoning_effort")


def chat_steps(names: Iterable[str], api: str, **changes: Any) -> list[Step]:
    """The steps of these names with the parameters that every framework passes on."""
    return [plain(replace(_CHAT[name], api=api, **changes)) for name in names]


def plain(step: Step) -> Step:
    """The step without parameters that few frameworks know."""
    return replace(step, options={k: v for k, v in step.options.items() if k not in _DROPPED})


def embedding_step(api: str = "embeddings", **changes: Any) -> Step:
    """The call of the embeddings API."""
    return replace(EMBEDDING_STEPS[0], api=api, options={}, **changes)


def history(step: Step) -> Sequence[tuple[str, str]]:
    """Role and text of each turn, the system prompt first and the user's question last."""
    scenario = step.scenario
    system = [("system", scenario.system)] if scenario.system else []
    return [*system, *scenario.history, ("user", scenario.user)]


__all__ = ["SPANS", "TOOLS", "chat_steps", "embedding_step", "history", "plain"]
