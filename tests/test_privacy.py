"""With content off nothing that was said leaves the process, in any convention, in any event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from otel_posthog.events import Shape
from tests.support import recordings
from tests.support.made import made_span
from tests.support.mapping import events_of

OFF = Shape(content=False)
WITHOUT_CONTENT = {"google-adk", "mistralai-native_1.12"}  # recorded without it


def said_in(name: str) -> set[str]:
    """Every text of a recording's calls: what was asked, told, answered, called and thought."""
    found: set[str] = set()
    for call in recordings.load(name)["calls"]:
        user = call.get("user") or []
        found |= {user} if isinstance(user, str) else set(user)
        found |= {call.get(key) or "" for key in ("system", "answer", "thinking")}
        found |= set(call.get("tool_results_sent") or ()) | set(call.get("answers_other") or ())
        found |= {text for _, text in call.get("history") or ()}
        for _, arguments in call.get("tool_calls_answered") or ():
            found |= {str(value) for value in arguments.values()}
    ids = {"user-8812", "celsius"}  # an id and a unit, which are elsewhere too
    return {text for text in found if len(text) > 3} - ids


@pytest.mark.parametrize("name", recordings.NAMES)
def test_nothing_that_was_said_leaves(name: str) -> None:
    said = said_in(name)
    spans, logs = recordings.spans(name), recordings.logs_by_span(name)
    if name not in WITHOUT_CONTENT:
        with_content = json.dumps(events_of(spans, logs), ensure_ascii=False)
        assert any(text in with_content for text in said)
    without = json.dumps(events_of(spans, logs, OFF), ensure_ascii=False)
    assert [text for text in said if text in without] == []


@pytest.mark.parametrize("name", recordings.NAMES)
def test_what_is_no_content_stays(name: str) -> None:
    spans, logs = recordings.spans(name), recordings.logs_by_span(name)
    kept = ("$ai_model", "$ai_provider", "$ai_input_tokens", "$ai_output_tokens", "$ai_latency", "$ai_total_cost_usd",
            "$ai_tools_called", "$ai_is_error", "$ai_http_status", "$ai_error_type", "$ai_stop_reason")  # fmt: skip
    for whole, bare in zip(events_of(spans, logs), events_of(spans, logs, OFF), strict=True):
        assert (whole["event"], whole["uuid"], whole["distinct_id"]) == (
            bare["event"],
            bare["uuid"],
            bare["distinct_id"],
        )
        for property in kept:
            assert whole["properties"].get(property) == bare["properties"].get(property)


def properties_of(attributes: dict[str, Any], **span: Any) -> dict[str, Any]:
    chat = {"gen_ai.operation.name": "chat", **attributes}
    (event,) = events_of([made_span(attributes=chat, **span)], shape=OFF)
    properties: dict[str, Any] = event["properties"]
    return properties


def test_an_error_is_its_type_alone() -> None:
    said = ("exception", {"exception.type": "ValueError", "exception.message": "bad prompt: secret"})
    properties = properties_of({}, status=StatusCode.ERROR, description="bad prompt: secret", events=[said])
    assert properties["$ai_error"] == "ValueError"
    assert "secret" not in json.dumps(properties)


def test_tools_are_their_names_alone() -> None:
    tools = '[{"name": "search", "description": "secret", "parameters": {"type": "object"}}]'
    properties = properties_of({"gen_ai.tool.definitions": tools})
    assert properties["$ai_tools"] == [{"type": "function", "function": {"name": "search"}}]


def test_content_that_the_app_states_itself_stays_too() -> None:
    properties = properties_of({"$ai_input": "secret", "posthog.$ai_output_state": "secret", "$ai_model": "m"})
    assert "secret" not in json.dumps(properties)
    assert properties["$ai_model"] == "m"


def test_unknown_texts_stay_and_numbers_go() -> None:
    properties = properties_of({"acme.note": "secret", "acme.score": 7, "acme.list": ("secret",)})
    assert "secret" not in json.dumps(properties)
    assert properties["acme.score"] == 7


def test_parameters_are_their_numbers_and_names() -> None:
    schema = '{"type": "json_schema", "json_schema": {"name": "secret"}}'
    given = {"gen_ai.request.response_format": schema, "gen_ai.request.temperature": 0.5}
    assert properties_of(given)["$ai_model_parameters"] == {"temperature": 0.5}
