"""With content off nothing that was said leaves the process, in any convention, in any event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from otel_posthog.events.properties import without_content
from tests.support import recordings
from tests.support.events import events_of
from tests.support.made import made_span

OFF = {"capture_content": False}
WITHOUT_CONTENT = {"anthropic-native", "google-adk", "mistralai-native_1.12"}  # recorded without it


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
    without = json.dumps(events_of(spans, logs, **OFF), ensure_ascii=False)
    assert [text for text in said if text in without] == []


@pytest.mark.parametrize("name", recordings.NAMES)
def test_what_is_no_content_stays(name: str) -> None:
    spans, logs = recordings.spans(name), recordings.logs_by_span(name)
    kept = ("$ai_model", "$ai_provider", "$ai_input_tokens", "$ai_output_tokens", "$ai_latency", "$ai_total_cost_usd",
            "$ai_tools_called", "$ai_is_error", "$ai_http_status", "$ai_error_type", "$ai_stop_reason")  # fmt: skip
    for whole, bare in zip(events_of(spans, logs), events_of(spans, logs, **OFF), strict=True):
        assert (whole["event"], whole["uuid"], whole["distinct_id"]) == (
            bare["event"],
            bare["uuid"],
            bare["distinct_id"],
        )
        for property in kept:
            assert whole["properties"].get(property) == bare["properties"].get(property)


def properties_of(attributes: dict[str, Any], **span: Any) -> dict[str, Any]:
    chat = {"gen_ai.operation.name": "chat", **attributes}
    (event,) = events_of([made_span(attributes=chat, **span)], **OFF)
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


def test_parameters_are_words_that_providers_list() -> None:
    given = {"reasoning_effort": "low", "tool_choice": "auto", "response_format": "json_object"}
    said = {"reasoning_effort": "think of secret", "tool_choice": "secret", "stop_sequences": ("secret",)}
    for parameters, shown in ((given, given), (said, None)):
        attributes = {f"gen_ai.request.{name}": value for name, value in parameters.items()}
        assert properties_of(attributes).get("$ai_model_parameters") == shown


@pytest.mark.parametrize(
    "attributes",
    [
        {"langfuse.observation.type": "generation", "langfuse.trace.tags": ("secret",)},
        {"error.type": "bad prompt: secret"},
        {"gen_ai.prompt.version": "the secret one"},
        {"gen_ai.tool.definitions": '["a secret tool"]'},
        {"gen_ai.response.finish_reasons": ("the secret",)},
        *({name: "secret"} for name in ("$ai_output", "$ai_instructions", "$ai_error_message", "$ai_trace_name",
                                        "$ai_span_name", "posthog.question")),
    ],
    ids=lambda attributes: next(reversed(attributes)),
)  # fmt: skip
def test_texts_that_may_be_content_stay(attributes: dict[str, Any]) -> None:
    assert "secret" not in json.dumps(properties_of(attributes))


def test_what_the_app_states_goes_if_it_is_no_text() -> None:
    properties = properties_of({"posthog.plan": "secret", "posthog.seats": 4, "$ai_request_count": 2})
    assert (properties["seats"], properties["$ai_request_count"]) == (4, 2)
    assert "plan" not in properties


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("chat gpt-4o", "chat gpt-4o"),
        ("ask: why is it so", "ask:"),
        ("chat about it all", "chat"),
        ("x" * 99, "x" * 60),
    ],
)
def test_span_names_that_are_sentences_are_cut(name: str, shown: str) -> None:
    assert properties_of({}, name=name)["$ai_span_name"] == shown


def test_labels_of_evaluations_are_short() -> None:
    for label, shown in (("relevant", "relevant"), ("it said " * 9, None)):
        properties = without_content("$ai_evaluation_result", label)
        assert properties == shown
    assert without_content("$ai_evaluation_reasoning", "secret") is None
    assert without_content("$ai_feedback_text", "nice") == "nice"


# --- every attribute of every recording

MARK = "zebras crossed at noon"
MOST = 40  # attributes of a recording
# Where a text of any form is sent on purpose: names, ids and addresses.
SENT = frozenset(
    ("$ai_model", "$ai_provider", "$ai_session_id", "$ai_response_id", "$ai_tools_called", "$ai_span_name",
     "$ai_base_url", "$ai_request_url", "$ai_prompt_name", "$groups", "$ai_evaluation_name", "$ai_tools")
)  # fmt: skip


def marked(name: str) -> Iterator[tuple[str, list[ReadableSpan]]]:
    """The spans that have an attribute, with the mark as its value."""
    spans: dict[str, list[dict[str, Any]]] = {}
    for span in recordings.load(name)["spans"]:
        for attribute, value in span["attributes"].items():
            if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)):
                spans.setdefault(attribute, []).append(span)
    for attribute in sorted(spans)[:MOST]:
        (span, *_) = spans[attribute]
        value = MARK if isinstance(span["attributes"][attribute], str) else [MARK]
        yield attribute, [recordings.span_of(span | {"attributes": span["attributes"] | {attribute: value}})]


@pytest.mark.parametrize("name", recordings.NAMES)
def test_no_attribute_takes_a_text_out(name: str) -> None:
    logs, leaks = recordings.logs_by_span(name), []
    for attribute, spans in marked(name):
        for event in events_of(spans, logs, **OFF):
            found = {key for key, value in event["properties"].items() if MARK in json.dumps(value)} - SENT
            leaks += [(attribute, key) for key in found]
    assert leaks == []
