"""Errors: type, message and HTTP status from wherever an instrumentation put them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from tests.support.events import events_of
from tests.support.made import made_span

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


def properties_of(attributes: dict[str, Any] | None = None, **span: Any) -> dict[str, Any]:
    (event,) = events_of([made_span(attributes={**CHAT, **(attributes or {})}, **span)])
    properties: dict[str, Any] = event["properties"]
    return properties


def exception(type: str, message: str) -> tuple[str, dict[str, str]]:
    return ("exception", {"exception.type": type, "exception.message": message, "exception.stacktrace": "…"})


def test_the_latest_exception_tells_what_went_wrong() -> None:
    events = [exception("A", "first"), exception("openai.RateLimitError", "Error code: 429 - slow down")]
    properties = properties_of(status=StatusCode.ERROR, description="failed", events=events)
    assert properties["$ai_is_error"] is True
    assert properties["$ai_error"] == "openai.RateLimitError: Error code: 429 - slow down"
    assert properties["$ai_error_type"] == "openai.RateLimitError"
    assert properties["$ai_http_status"] == 429


def test_the_status_description_does_without_an_exception() -> None:
    properties = properties_of(status=StatusCode.ERROR, description="database is down")
    assert properties["$ai_error"] == "database is down"
    assert "$ai_http_status" not in properties


def test_error_type_alone_is_an_error() -> None:
    properties = properties_of({"error.type": "timeout"})
    assert properties["$ai_is_error"] is True
    assert properties["$ai_error"] == properties["$ai_error_type"] == "timeout"


def test_an_exception_that_was_handled_is_none() -> None:
    assert "$ai_is_error" not in properties_of(events=[exception("ValueError", "retried")])


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Error code: 429 - {'error': …}", 429),
        ("status_code: 429, model_name: gpt-4o-mini", 429),
        ("ModelHTTPError: status_code: 503, model_name: x", 503),
        ("429 RESOURCE_EXHAUSTED. {'error': {'code': 429}}", 429),
        ("HTTP 502 Bad Gateway", 502),
        ("Request failed with status code 401", 401),
        ("server said {'code': 400, 'message': 'no'}", 400),
        ("I counted 429 apples", None),
        ("took 500 ms", None),
        ("Error code: 4290", None),
    ],
)
def test_http_status_in_the_text(text: str, status: int | None) -> None:
    assert properties_of(status=StatusCode.ERROR, description=text).get("$ai_http_status") == status


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"http.response.status_code": 503}, 503),
        ({"http.status_code": "503"}, 503),
        ({"error.type": "429"}, 429),
        ({"error.type": "openai.AuthenticationError"}, 401),
        ({"error.type": "_OTHER"}, None),
        ({"http.response.status_code": 99999}, None),
        ({"http.response.status_code": "²²²"}, None),
        ({"http.response.status_code": "9" * 5000}, None),
    ],
)
def test_http_status_in_attributes(attributes: dict[str, Any], status: int | None) -> None:
    properties = properties_of(attributes, status=StatusCode.ERROR)
    assert properties.get("$ai_http_status") == status


def test_a_good_answer_has_its_status_too() -> None:
    properties = properties_of({"http.response.status_code": 200})
    assert properties["$ai_http_status"] == 200
    assert "$ai_is_error" not in properties


def test_the_class_that_an_error_wraps_tells_the_status() -> None:
    events = [exception("dspy.LMRateLimitError", "[gpt-4o] litellm.RateLimitError: RateLimitError: OpenAIException")]
    assert properties_of(status=StatusCode.ERROR, events=events)["$ai_http_status"] == 429
    quoted = [exception("ValueError", "x" * 300 + "RateLimitError: quoted far below")]
    assert "$ai_http_status" not in properties_of(status=StatusCode.ERROR, events=quoted)


def test_an_error_type_may_be_the_repr_of_the_class() -> None:
    properties = properties_of({"error.type": "<class 'kernel.ServiceError'>"}, status=StatusCode.ERROR)
    assert properties["$ai_error_type"] == "kernel.ServiceError"


def test_the_classes_of_bedrock_tell_the_status() -> None:
    assert properties_of({"error.type": "ThrottlingException"}, status=StatusCode.ERROR)["$ai_http_status"] == 429


def test_a_status_in_the_place_of_the_exceptions_type() -> None:
    properties = properties_of(status=StatusCode.ERROR, events=[exception("429", "no")])
    assert (properties["$ai_error"], properties["$ai_http_status"]) == ("no", 429)
    assert "$ai_error_type" not in properties


def test_a_description_that_is_a_repr_is_its_words() -> None:
    description = "{'message': 'Error in agent run', 'data': {'error': 'Error code: 429 - slow down'}}"
    properties = properties_of(status=StatusCode.ERROR, description=description)
    assert properties["$ai_error"] == "Error in agent run: Error code: 429 - slow down"
    assert properties["$ai_http_status"] == 429
