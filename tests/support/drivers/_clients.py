"""OpenAI's and Anthropic's clients under one instrumentation after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.support.llm import drive
from tests.support.llm.steps import Record, SpanIds

Driver = Callable[[str, "Iterable[str] | None", "SpanIds | None"], list[Record]]

_OPENAI = (
    "plain", "stream", "tool_ask", "tool_result", "cached", "reasoning", "err429", "err401", "stream_tool", "image",
    "json", "unicode", "refusal", "async",
)  # fmt: skip
_ANTHROPIC = (
    "plain", "stream", "stream_helper", "tool_ask", "tool_result", "cache_write", "cached", "reasoning", "err529",
    "err401", "stream_tool", "image", "unicode", "async",
)  # fmt: skip
_RESPONSES = ("plain", "stream", "tool_ask", "tool_result", "cached", "reasoning", "err429", "json")


def openai_client(begin: Callable[[], None] = lambda: None) -> Driver:
    """Chat completions, responses and embeddings after ``begin`` has set up the library."""

    def driver(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
        begin()
        calls = drive.drive_openai_chat(base_url, _OPENAI, finished)
        calls += drive.drive_openai_responses(base_url, _RESPONSES, finished)
        calls += drive.drive_openai_embeddings(base_url, None, finished)
        return [{**call, "i": i} for i, call in enumerate(calls)]

    return driver


def anthropic_client(begin: Callable[[], None] = lambda: None, without: Iterable[str] = ()) -> Driver:
    """The messages API after ``begin`` has set up the library; ``without`` are steps that it breaks."""
    chosen = [name for name in _ANTHROPIC if name not in without]

    def driver(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
        begin()
        return drive.drive_anthropic(base_url, chosen, finished)

    return driver
