"""Redaction, media and denied attributes: what is taken out before an event leaves the process."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from otel_posthog import PostHogSpanExporter
from otel_posthog._model import Failure, Kind, Media, Message, Operation, Other, Text, Tool, ToolCall, ToolResult
from otel_posthog._spans import EventView, view_of
from otel_posthog._trace import NOBODY, EvaluationRecord, Place
from otel_posthog.conventions._parts import parts_of
from otel_posthog.delivery import encode
from otel_posthog.events import EventOptions, build_event
from otel_posthog.events.evaluations import build_evaluation
from otel_posthog.events.media import may_hold_media
from otel_posthog.events.privacy import Privacy
from otel_posthog.local import LocalPostHog
from tests.support.events import events_of
from tests.support.made import SPAN_ID, made_span
from tests.support.spans import CHAT

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40).decode()


def said(*parts: dict[str, Any], role: str = "user") -> str:
    return json.dumps([{"role": role, "parts": list(parts)}])


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def sent(posthog: LocalPostHog, attributes: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The properties of the event of one call."""
    exporter = PostHogSpanExporter("phc_test", posthog.url, **options)
    exporter.export([made_span(attributes=CHAT | attributes)])
    exporter.shutdown()
    (event,) = posthog.events()
    return dict(event["properties"])


# --- ready-made patterns


@pytest.mark.parametrize(
    ("pattern", "before", "after"),
    [
        ("email", "write to ada.l+x@mail.example.org, please", "write to [email], please"),
        ("email", "decorate with @app.get and ship a@b", "decorate with @app.get and ship a@b"),
        ("phone", "call +49 30 1234567 now", "call [phone] now"),
        ("phone", "call (415) 555-0134", "call [phone]"),
        ("phone", "in 1984 or 2026-11-24, 192.168.0.1, v1.2.3", "in 1984 or 2026-11-24, 192.168.0.1, v1.2.3"),
        ("card", "pay with 4111 1111 1111 1111.", "pay with [card]."),
        ("card", "order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
        ("key", "my key is sk-proj-abcdefghijklmnop1234", "my key is [key]"),
        ("key", "Authorization: Bearer abcdefghijklmnop.qrst", "Authorization: Bearer [key]"),
        ("key", "AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("key", "task-force and risk-averse people", "task-force and risk-averse people"),
    ],
)
def test_patterns(posthog: LocalPostHog, pattern: str, before: str, after: str) -> None:
    properties = sent(posthog, {"gen_ai.input.messages": said(text(before))}, redact=pattern)
    assert properties["$ai_input"][0]["content"] == after


def test_a_pattern_reaches_every_place_of_content(posthog: LocalPostHog) -> None:
    mail = "ada@example.com"
    attributes = {
        "gen_ai.system_instructions": json.dumps([text(mail)]),
        "gen_ai.input.messages": said(
            text(mail), {"type": "tool_call_response", "id": "1", "response": {"deep": [{"mail": mail}]}}
        ),
        "gen_ai.output.messages": said(
            {"type": "tool_call", "id": "1", "name": "send", "arguments": {"to": mail}},
            {"type": "reasoning", "content": mail},
            role="assistant",
        ),
        "gen_ai.tool.definitions": json.dumps([{"type": "function", "name": "send", "description": mail}]),
        "app.note": mail,
        "app.notes": [mail, "x"],
    }
    properties = sent(posthog, attributes, redact="email")
    assert mail not in json.dumps(properties)
    assert json.dumps(properties).count("[email]") >= 7


def test_callables_come_after_each_other_and_are_told_where(posthog: LocalPostHog) -> None:
    places: set[str] = set()

    def own(given: str, where: str) -> str:
        places.add(where)
        return given.upper()

    properties = sent(
        posthog, {"gen_ai.input.messages": said(text("to a@b.example")), "app.note": "x"}, redact=["email", own]
    )
    assert properties["$ai_input"][0]["content"] == "TO [EMAIL]"
    assert {"input", "output", "app.note"} <= places


@pytest.mark.parametrize("broken", [lambda given, where: 1 / 0, lambda given, where: None])
def test_a_callable_that_fails_costs_the_content_and_not_the_event(
    posthog: LocalPostHog, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    properties = sent(posthog, {}, redact=broken)
    assert properties["$ai_input"][0]["content"] == "[removed: redaction failed]"
    assert properties["$ai_input_tokens"] == 12
    assert [message for message in caplog.messages if message.startswith("redact failed: ")]


# --- media

IMAGES = {
    "semantic conventions, blob": {"type": "blob", "mime_type": "image/png", "modality": "image", "content": PNG},
    "OpenAI, data URL": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    "Anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    "Gemini": {"inline_data": {"mime_type": "image/png", "data": PNG}},
    "OpenAI, audio": {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
    "OpenAI, file": {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}},
    "in a text": {"type": "text", "content": f"see ![it](data:image/png;base64,{PNG}) there"},
}


@pytest.mark.parametrize("name", IMAGES)
def test_media_are_replaced_by_type_size_and_hash(posthog: LocalPostHog, name: str) -> None:
    properties = sent(posthog, {"gen_ai.input.messages": said(text("what is this?"), IMAGES[name])})
    shown = json.dumps(properties["$ai_input"])
    assert PNG[100:200] not in shown
    assert "10,248 bytes" in shown
    assert "sha256" in shown
    assert "what is this?" in shown


@pytest.mark.parametrize("name", IMAGES)
def test_media_may_be_kept_up_to_a_size(posthog: LocalPostHog, name: str) -> None:
    attributes = {"gen_ai.input.messages": said(IMAGES[name])}
    assert PNG in json.dumps(sent(posthog, attributes, keep_media=20_000)["$ai_input"])


def test_larger_media_than_are_kept_are_replaced(posthog: LocalPostHog) -> None:
    attributes = {"gen_ai.input.messages": said(IMAGES["OpenAI, data URL"])}
    assert PNG not in json.dumps(sent(posthog, attributes, keep_media=10_000))


def test_the_url_of_an_image_stays(posthog: LocalPostHog) -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/bird.png"}}
    assert "https://example.com/bird.png" in json.dumps(sent(posthog, {"gen_ai.input.messages": said(part)}))


def test_long_text_that_is_no_media_stays(posthog: LocalPostHog) -> None:
    prose = "the swallow flies over the land " * 200
    assert sent(posthog, {"gen_ai.input.messages": said(text(prose))})["$ai_input"][0]["content"] == prose


# --- attributes


def test_denied_attributes_are_not_read(posthog: LocalPostHog) -> None:
    attributes = {"gen_ai.system_instructions": json.dumps([text("secret")]), "app.a": "x", "http.route": "/chat"}
    properties = sent(posthog, attributes, deny_attributes=["gen_ai.system_instructions", "app.*"])
    assert "secret" not in json.dumps(properties)
    assert "app.a" not in properties
    assert properties["http.route"] == "/chat"


def test_only_allowed_attributes_pass(posthog: LocalPostHog) -> None:
    properties = sent(posthog, {"app.a": "x", "http.route": "/chat"}, allow_attributes="app.*")
    assert properties["app.a"] == "x"
    assert "http.route" not in properties
    assert properties["$ai_model"] == "gpt-5-mini"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.example/v1/models?key=AIzaSecret", "https://api.example/v1/models"),
        ("https://user:secret@api.example/v1", "https://api.example/v1"),
        ("https://api.example/a@b#secret", "https://api.example/a@b"),
    ],
)
def test_urls_lose_their_keys(posthog: LocalPostHog, url: str, shown: str) -> None:
    properties = sent(posthog, {"url.full": url, "gen_ai.openai.api_base": url})
    assert (properties["$ai_request_url"], properties["$ai_base_url"]) == (shown, shown)
    assert "ecret" not in json.dumps(properties)


def test_denied_keys_are_not_read_from_the_bodies_of_log_records() -> None:
    message = {"role": "user", "parts": [text("hi")]}
    body = {
        "gen_ai.input.messages": [message],
        "gen_ai.system_instructions": [text("secret")],
        "app.x": {"a": "secret"},
    }
    span = made_span(attributes={"gen_ai.operation.name": "chat"})
    logs = {SPAN_ID: [EventView("gen_ai.client.inference.operation.details", {}, body)]}
    (event,) = events_of([span], logs, deny_attributes=["gen_ai.system_instructions", "app.*"])
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "hi"}]
    assert "secret" not in json.dumps(event)


# --- every place with content

SECRET = "ada@example.com"


def cleaned(operation: Operation, **resource: str) -> dict[str, Any]:
    """The properties of the operation's event, redacted."""
    span = view_of(made_span(resource=resource))
    event = build_event(operation, span, NOBODY, Place(span.trace_id), EventOptions())
    return Privacy(["email"], 0).clean(event).properties


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("generation", {"tags": [SECRET]}),
        ("generation", {"parameters": {"stop": [SECRET], "metadata": {"a": {"b": SECRET}}}}),
        ("generation", {"input": [Message("user", [], name=SECRET)]}),
        ("generation", {"input": [Message("user", [Media("image", url=f"https://x.example/?of={SECRET}")])]}),
        ("generation", {"input": [Message("user", [Media("file", file_id="f", filename=f"{SECRET}.pdf")])]}),
        ("generation", {"input": [Message("user", [Other(SECRET.encode())])]}),
        ("generation", {"input": [Message("user", [Text(SECRET), Text(SECRET)])]}),
        ("generation", {"output": [Message("assistant", [ToolCall("f", {SECRET: 1})])]}),
        ("generation", {"output": [Message("tool", [ToolResult({"found": SECRET})])]}),
        ("generation", {"tools": [Tool("f", extra={"strict": SECRET})]}),
        ("tool", {"input_state": {"deep": [{SECRET: SECRET}]}}),
        ("generation", {"unmapped": {"a": SECRET.encode()}}),
        ("generation", {"name": f"ask {SECRET}"}),
        ("generation", {"prompt_name": SECRET}),
        ("generation", {"prompt_version": SECRET}),
        ("generation", {"failure": Failure(f"no {SECRET}", SECRET)}),
        ("generation", {"overrides": {"$ai_trace_name": SECRET, "plan": SECRET}}),
    ],
    ids=lambda given: given if isinstance(given, str) else next(iter(given)),
)
def test_every_place_of_content_is_cleaned(kind: Kind, values: dict[str, Any]) -> None:
    shown = repr(cleaned(Operation(kind, **values)))
    assert SECRET not in shown
    assert "[email]" in shown


def test_resource_attributes_are_cleaned() -> None:
    assert cleaned(Operation("generation"), **{"app.owner": SECRET})["app.owner"] == "[email]"


@pytest.mark.parametrize(
    ("attributes", "property_name"),
    [
        ({"gen_ai.evaluation.score.label": SECRET}, "$ai_evaluation_result"),
        ({"gen_ai.evaluation.explanation": SECRET}, "$ai_evaluation_reasoning"),
    ],
)
def test_evaluations_are_cleaned(attributes: dict[str, str], property_name: str) -> None:
    record = EvaluationRecord("1", "gen_ai.evaluation.result", attributes, "a" * 32, "", 1)
    event = build_evaluation(record, NOBODY, "uuid", EventOptions())
    assert Privacy(["email"], 0).clean(event).properties[property_name] == "[email]"


def test_persons_and_ids_are_stated_to_be_known() -> None:
    stated = {"$set": {"email": SECRET}, "$ai_session_id": SECRET}
    assert repr(cleaned(Operation("generation", overrides=stated))).count(SECRET) == 2


def test_the_structure_of_a_message_stays() -> None:
    def shout(given: str, where: str) -> str:
        return given.upper()

    parts = [Text("hi"), ToolCall("find", {"type": "text"}, "call_1")]
    operation = Operation("generation", output=[Message("assistant", parts, finish_reason="stop")])
    span = view_of(made_span())
    event = build_event(operation, span, NOBODY, Place(span.trace_id), EventOptions())
    assert Privacy([shout], 0).clean(event).properties["$ai_output_choices"] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "HI"},
                {"type": "function", "id": "call_1", "function": {"name": "find", "arguments": {"TYPE": "TEXT"}}},
            ],
            "finish_reason": "stop",
        }
    ]


def test_keys_that_become_the_same_lose_no_value() -> None:
    state = cleaned(Operation("tool", input_state={"a@b.example": 1, "c@d.example": 2}))["$ai_input_state"]
    assert list(state.values()) == [1, 2]


# --- media in odd shapes

RAW = base64.b64decode(PNG)
WRAPPED = base64.encodebytes(RAW).decode()
NUMBERS = {str(place): number for place, number in enumerate(RAW)}


def url(of: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": of}}


ODD = {
    "bytes": {"inline_data": {"mime_type": "image/png", "data": RAW}},
    "numbers": {"type": "image", "image": list(RAW)},
    "buffer": {"type": "image", "image": {"type": "Buffer", "data": list(RAW)}},
    "object": {"type": "file", "data": NUMBERS, "mediaType": "image/png"},
    "upper case": url(f"DATA:image/png;BASE64,{PNG}"),
    "parameters": url(f"data:image/png;name=my file (1).png;base64,{PNG}"),
    "line breaks": url(f"data:image/png;base64,{WRAPPED}"),
    "percent": url("data:image/png;base64," + quote(PNG, safe="")),
    "plain": url("data:image/png," + quote(RAW)),
    "in a text, upper case": text(f"see ![it](Data:image/png;Base64,{PNG}) there"),
    "in a text, with line breaks": text(f"see ![it](data:image/png;base64,{WRAPPED}) there"),
    "in a text, percent": text("see data:image/png;base64," + quote(PNG, safe="") + " there"),
    "in a text, plain": text("see data:image/png," + quote(RAW) + " there"),
    "wrapped in a text": text(f"see:\n{WRAPPED}\nthere"),
    "wrapped in JSON in a text": text(json.dumps({"see": WRAPPED})),
    "bytes alone": {"type": "odd", "of": RAW},
}


def sent_state(value: Any) -> Any:
    """What of a tool's result is sent."""
    return events_of([made_span(attributes={**TOOL, "gen_ai.tool.call.result": json.dumps(value)})])[0]["properties"][
        "$ai_output_state"
    ]


@pytest.mark.parametrize("name", ODD)
def test_media_in_odd_shapes_are_replaced(name: str) -> None:
    operation = Operation("generation", input=[Message("user", parts_of([ODD[name]]))])
    span = view_of(made_span())
    event = build_event(operation, span, NOBODY, Place(span.trace_id), EventOptions())
    assert may_hold_media(event.properties, encode(event).body)
    shown = repr(Privacy([], 0).clean(event).properties["$ai_input"])
    assert "10,248 bytes" in shown
    assert len(shown) < 1000


@pytest.mark.parametrize("length", [40, 900, 4000])
@pytest.mark.parametrize(
    "holder",
    [
        {"type": "image"},
        {"media_type": "image/png"},
        {"mimeType": "application/pdf"},
        {"type": "base64", "media_type": "text/plain"},
    ],
)
def test_media_of_any_length_in_what_a_tool_answered_are_replaced(holder: dict[str, Any], length: int) -> None:
    for field, data in (("data", PNG[:length]), ("bytes", PNG[:length]), ("data", list(RAW[:length]))):
        assert "sha256" in sent_state([{"source": {**holder, field: data}}])[0]["source"][field]


@pytest.mark.parametrize(
    "value",
    [
        {"type": "result", "data": "done"},
        {"type": "text", "data": "all is well here"},
        {"data": [1, 2, 3]},
        {"type": "scores", "data": [1, 2, 3]},
        {"mimeType": "text/plain", "data": "hello"},
        {"type": "result", "bytes": 12},
        ["the data: see table 1, image/png; and base64, too"],
    ],
)
def test_what_is_no_media_stays(value: Any) -> None:
    assert sent_state(value) == value
