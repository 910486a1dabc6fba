"""Calls that several instrumentations recorded are counted once, in one batch and across batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog._memory import Memory
from otel_posthog._pipeline import Pipeline
from otel_posthog._spans import view_of
from otel_posthog._trace import Batch
from otel_posthog.delivery import encode
from otel_posthog.settings import Settings
from otel_posthog.stages.sampling import Sampler
from tests.support.events import events_of
from tests.support.made import START, made_span

FRAMEWORK, CLIENT = "opentelemetry.instrumentation.langchain", "opentelemetry.instrumentation.openai"
SECOND = 1_000_000_000  # nanoseconds
ONE, TWO, THREE, FOUR = (format(number, "032x") for number in range(1, 5))  # trace ids


def said(text: str) -> str:
    return f'[{{"role": "user", "parts": [{{"type": "text", "content": "{text}"}}]}}]'


def call(question: str = "Where do swallows winter?", model: str = "gpt-4o", tokens: tuple[int, int] = (12, 3)) -> Any:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.input.messages": said(question),
        "gen_ai.usage.input_tokens": tokens[0],
        "gen_ai.usage.output_tokens": tokens[1],
    }


def agent(**attributes: Any) -> dict[str, Any]:
    return {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner", **attributes}


COUNTED_AGENT = agent(
    **{"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3}
)


def outer(number: int, trace_id: str, attributes: dict[str, Any] | None = None, **more: Any) -> ReadableSpan:
    """A framework's record, which lasts 2 s."""
    more = {"scope": FRAMEWORK, "start": START, "duration": 2, **more}
    return made_span("outer", attributes or call(), span_id=format(number, "016x"), trace_id=trace_id, **more)


def inner(number: int, trace_id: str, attributes: dict[str, Any] | None = None, **more: Any) -> ReadableSpan:
    """A client's record, which lasts 1 s within the framework's."""
    more = {"scope": CLIENT, "start": START + SECOND // 2, "duration": 1, **more}
    return made_span("inner", attributes or call(), span_id=format(number, "016x"), trace_id=trace_id, **more)


Export = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def export() -> Export:
    """Exports batch after batch, with one memory, as an exporter does."""
    settings = Settings(api_key="phc_test")
    pipeline, memory = Pipeline(settings, encode), Memory(Sampler(1.0, sample_errors=False))

    def run(*spans: ReadableSpan) -> list[dict[str, Any]]:
        result = pipeline.run(Batch([view_of(span) for span in spans]), memory)
        assert result.drops == []
        return [orjson.loads(event.body) for event in result.events]

    return run


def names(events: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(event["event"] for event in events)


def tokens(events: Sequence[dict[str, Any]]) -> list[int]:
    return sorted(event["properties"].get("$ai_input_tokens", 0) for event in events)


# --- one batch


def test_two_identical_concurrent_calls_with_two_records_each_count_twice() -> None:
    events = events_of([outer(1, ONE), inner(2, TWO), outer(3, THREE), inner(4, FOUR)])
    assert names(events) == ["$ai_generation", "$ai_generation", "$ai_trace", "$ai_trace"]
    assert tokens(events) == [0, 0, 12, 12]


def test_two_identical_concurrent_calls_of_one_request_count_twice() -> None:
    records = [outer(2, ONE, parent_id=format(1, "016x")), outer(3, ONE, parent_id=format(1, "016x"))]
    events = events_of([outer(1, ONE, agent()), *records, inner(4, TWO), inner(5, THREE)])
    assert tokens(events) == [0, 0, 0, 12, 12]


def test_an_outer_record_in_another_trace_takes_the_call_into_its_trace_user_and_session() -> None:
    whose = {"user.id": "ada", "session.id": "s1"}
    events = {event["event"]: event for event in events_of([inner(2, TWO), outer(1, ONE, {**call(), **whose})])}
    counted = events["$ai_generation"]
    assert counted["properties"]["$ai_trace_id"] == ONE
    assert counted["properties"]["$ai_parent_id"] == format(1, "016x")
    assert (counted["distinct_id"], counted["properties"]["$ai_session_id"]) == ("ada", "s1")


def test_a_call_that_outlasts_its_neighbour_is_another_call() -> None:
    late = inner(2, TWO, start=START + SECOND, duration=5)
    assert tokens(events_of([outer(1, ONE), late])) == [12, 12]


def test_one_instrumentation_does_not_record_a_call_twice_side_by_side() -> None:
    assert tokens(events_of([outer(1, ONE), inner(2, TWO, scope=FRAMEWORK)])) == [12, 12]


def test_a_nested_call_with_other_words_model_and_tokens_is_another_call() -> None:
    other = call("Summarise: swallows", model="claude-3-5-haiku", tokens=(40, 9))
    events = events_of([outer(1, ONE), inner(2, ONE, other, parent_id=format(1, "016x"))])
    assert names(events) == ["$ai_generation", "$ai_generation"]
    assert tokens(events) == [12, 40]


def test_a_nested_record_with_the_same_words_and_numbers_is_the_same_call() -> None:
    events = events_of([outer(1, ONE), inner(2, ONE, parent_id=format(1, "016x"))])
    assert names(events) == ["$ai_generation", "$ai_trace"]
    assert tokens(events) == [0, 12]


def test_with_deduplicate_off_every_record_counts() -> None:
    assert tokens(events_of([outer(1, ONE), inner(2, TWO)], deduplicate=False)) == [12, 12]


# --- across batches


def test_an_outer_record_that_ends_after_its_call_was_exported_is_not_counted_again(export: Export) -> None:
    assert tokens(export(outer(9, FOUR, agent()), inner(2, TWO))) == [0, 12]
    events = export(outer(1, ONE))
    assert names(events) == ["$ai_trace"]
    assert tokens(events) == [0]


def test_an_inner_record_that_ends_after_its_outer_one_was_exported_is_not_counted_again(export: Export) -> None:
    assert tokens(export(outer(1, ONE))) == [12]
    assert tokens(export(inner(2, TWO))) == [0]


def test_each_exported_call_stands_for_one_later_record(export: Export) -> None:
    assert tokens(export(inner(2, TWO), inner(4, FOUR))) == [12, 12]
    assert tokens(export(outer(1, ONE), outer(3, THREE))) == [0, 0]


def test_a_later_call_with_other_words_is_counted(export: Export) -> None:
    export(inner(2, TWO))
    assert tokens(export(outer(1, ONE, call("And swifts?", tokens=(11, 4))))) == [11]


def test_a_later_call_of_another_user_is_counted(export: Export) -> None:
    export(inner(2, TWO, {**call(), "user.id": "grace"}))
    assert tokens(export(outer(1, ONE, {**call(), "user.id": "ada"}))) == [12]


# --- agents with usage of their own


def test_an_agent_with_usage_and_no_call_below_is_a_generation() -> None:
    (event,) = events_of([outer(1, ONE, COUNTED_AGENT)])
    assert (event["event"], event["properties"]["$ai_input_tokens"]) == ("$ai_generation", 12)


def test_an_agent_with_usage_and_a_call_below_is_no_generation() -> None:
    events = events_of([outer(1, ONE, COUNTED_AGENT), inner(2, ONE, parent_id=format(1, "016x"))])
    assert names(events) == ["$ai_generation", "$ai_trace"]


def test_an_agent_with_usage_whose_call_was_exported_before_is_no_generation(export: Export) -> None:
    assert names(export(inner(2, ONE, parent_id=format(1, "016x")))) == ["$ai_generation"]
    assert names(export(outer(1, ONE, COUNTED_AGENT))) == ["$ai_trace"]


def test_an_agent_without_token_counts_is_no_generation() -> None:
    assert names(events_of([outer(1, ONE, agent(**{"gen_ai.request.model": "gpt-4o"}))])) == ["$ai_trace"]
