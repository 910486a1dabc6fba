"""What the calls of an agent and the agent's span take from each other."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.trace import StatusCode

from tests.support.events import events_of
from tests.support.made import START, made_span

AGENT_ID, TOOL_ID, CALL_ID = "00000000000000a1", "00000000000000b2", "00000000000000c3"
TOOLS = [{"type": "function", "name": "find_pear", "parameters": {"type": "object"}}]
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Which pear?"}]}]),
}
AGENT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "gardener",
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Which pear?"}]}]),
    "gen_ai.tool.definitions": json.dumps(TOOLS),
}


def call_of(*spans: Any) -> dict[str, Any]:
    events = events_of(spans)
    return next(e["properties"] for e in events if e["properties"]["$ai_span_id"] == CALL_ID)


def test_a_call_takes_the_system_prompt_and_the_tools_of_its_agent() -> None:
    agent = made_span("invoke_agent gardener", AGENT, span_id=AGENT_ID, duration=2)
    call = call_of(made_span(attributes=CALL, span_id=CALL_ID, parent_id=AGENT_ID), agent)
    assert call["$ai_input"][0] == {"role": "system", "content": "Be brief."}
    assert [tool["function"]["name"] for tool in call["$ai_tools"]] == ["find_pear"]


def test_a_call_made_by_a_tool_takes_nothing_from_the_agent_around_the_tool() -> None:
    agent = made_span("invoke_agent gardener", AGENT, span_id=AGENT_ID, duration=3)
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_pear"}
    call = call_of(
        made_span(attributes=CALL, span_id=CALL_ID, parent_id=TOOL_ID),
        made_span("execute_tool find_pear", tool, span_id=TOOL_ID, parent_id=AGENT_ID, duration=2),
        agent,
    )
    assert call["$ai_input"] == [{"role": "user", "content": "Which pear?"}]
    assert "$ai_tools" not in call


def test_a_call_of_another_library_takes_nothing_from_the_agent() -> None:
    agent = made_span("invoke_agent gardener", AGENT, span_id=AGENT_ID, scope="agents", duration=2)
    assert "$ai_tools" not in call_of(made_span(attributes=CALL, span_id=CALL_ID, parent_id=AGENT_ID), agent)


def test_an_empty_call_around_a_call_is_no_second_call() -> None:
    outer = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "chat_generator"}
    events = events_of(
        [
            made_span(attributes=CALL, span_id=CALL_ID, parent_id=AGENT_ID, scope="inner"),
            made_span("chat chat_generator", outer, span_id=AGENT_ID, duration=2),
        ]
    )
    assert [event["properties"]["$ai_model"] for event in events if event["event"] == "$ai_generation"] == ["gpt-4o"]


def test_the_json_answer_of_an_agent_that_stands_for_its_calls_stays_a_text() -> None:
    attributes = {
        "traceloop.span.kind": "agent",
        "gen_ai.system": "agno",
        "gen_ai.request.model": "gpt-4o",
        "traceloop.entity.input": "Who?",
        "traceloop.entity.output": '{"name": "Ada"}',
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
    }
    (event,) = events_of([made_span("gardener.agent", attributes)])
    assert event["event"] == "$ai_generation"
    assert event["properties"]["$ai_provider"] == "openai"
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "Who?"}]
    assert event["properties"]["$ai_output_choices"] == [{"role": "assistant", "content": '{"name": "Ada"}'}]


def test_an_agent_with_tokens_is_not_counted_beside_its_call() -> None:
    agent = made_span(
        "invoke_agent gardener",
        {**AGENT, "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4},
        span_id=AGENT_ID,
        duration=2,
    )
    events = events_of([made_span(attributes=CALL, span_id=CALL_ID, parent_id=AGENT_ID, start=START + 1), agent])
    assert sorted(event["event"] for event in events) == ["$ai_generation", "$ai_trace"]


def test_the_http_status_of_a_wrapped_error_is_in_the_stack_trace() -> None:
    trace = "openai.RateLimitError: Error code: 429 - Slow down\n\nThe above…\n\nframework.ChatError: Chat error\n"
    raised = {"exception.type": "framework.ChatError", "exception.message": "Chat error", "exception.stacktrace": trace}
    (event,) = events_of([made_span(attributes=CALL, events=[("exception", raised)], status=StatusCode.ERROR)])
    assert event["properties"]["$ai_http_status"] == 429
