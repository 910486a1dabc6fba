"""Failures: from the span's status, its exception events and ``error.*`` attributes.

Sources: OpenTelemetry "Recording errors" and "Exceptions" conventions; HTTP statuses as provider SDKs put them into
their messages (openai, anthropic, google-genai, pydantic-ai; see the tests for each form).
"""

from __future__ import annotations

import re

from otel_posthog._model import Failure
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, ConversionError, to_str
from otel_posthog.conventions._reprs import parse_literal

# "Error code: 429 - …" (openai, anthropic), "status_code: 429," (pydantic-ai), "HTTP 429", "429 RESOURCE_EXHAUSTED."
# (google-genai), "'code': 429" (Google bodies), "Error: 429 Rate limit reached" (openai and anthropic for JavaScript).
_STATUS_IN_TEXT = re.compile(
    r"(?:error code|status[ _]?code|http(?:/\d(?:\.\d)?)?(?: status| error)?|status|'code')\W{0,4}([45]\d\d)\b"
    r"|^\s*([45]\d\d) [A-Z_]{4,}"
    r"|\A(?:\w*Error: )?([45]\d\d) (?=[A-Z{\"])",
    re.IGNORECASE | re.MULTILINE,
)
_SCANNED = 2_000  # characters; the status comes first, and a message can quote a whole prompt

# Exception classes that the SDKs define for one status (openai and anthropic _exceptions.py; errors
# of the Bedrock Runtime API reference).
_STATUS_OF_CLASS = {
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "ConflictError": 409,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "OverloadedError": 529,
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}

# The same classes in the message of an error that wraps another: "litellm.RateLimitError: …".
_CLASS_IN_TEXT = re.compile(rf"\b({'|'.join(_STATUS_OF_CLASS)}): ")
_NAMED_WITHIN = 200  # characters

_STATUS_NAMES = ("http.response.status_code", "http.status_code", "error.code", "gen_ai.error.code")


def http_status(value: object) -> int | None:
    """An HTTP status from a number or its digits."""
    if isinstance(value, str) and len(value.strip()) == 3 and value.strip().isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599 else None


def status_in(message: str | None) -> int | None:
    """The HTTP status in an error message, if there is one."""
    found = _STATUS_IN_TEXT.search(message[:_SCANNED]) if message else None
    return int(next(filter(None, found.groups()))) if found else None


def _status_of_named_class(message: str | None) -> int | None:
    found = _CLASS_IN_TEXT.search(message[:_NAMED_WITHIN]) if message else None
    return _STATUS_OF_CLASS[found.group(1)] if found else None


def _status_in_stack_trace(span: SpanView) -> int | None:
    """The HTTP status of the last of the errors that led to an error without one (BeeAI wraps LiteLLM's)."""
    for event in reversed(span.events):
        trace = event.attributes.get("exception.stacktrace")
        if isinstance(trace, str):
            found = _ERROR_CODE.findall(trace[-_TRACED:])
            return int(found[-1]) if found else None
    return None


_ERROR_CODE = re.compile(r"\bError code: ([45]\d\d)\b")
_TRACED = 20_000  # characters


def _message_text(message: str | None) -> str | None:
    """The text of a message that is a ``repr`` (OpenAI Agents): ``{'message': …, 'data': {'error': …}}``."""
    if message is None or not message.startswith("{'message': "):
        return message
    try:
        written = parse_literal(message)
    except ConversionError:
        return message
    data = written.get("data") if isinstance(written, dict) else None
    texts = [written["message"], data.get("error")] if isinstance(data, dict) else []
    return ": ".join(part for part in texts if isinstance(part, str)) or message


def failure_of(span: SpanView, attributes: Attributes, status: int | None) -> Failure | None:
    """The failure of a span, ``None`` if it did not fail.

    A span failed if its status is ERROR or it carries ``error.type``; an exception event alone may have been handled.
    """
    error_type = attributes.take(to_str, "error.type")
    message = attributes.take(to_str, "error.message", "gen_ai.error.message")
    if span.status_code != "ERROR" and error_type is None:
        return None
    failure = Failure(status=status)
    for event in reversed(span.events):
        if event.name == "exception":
            raw_type, raw_message = (event.attributes.get(f"exception.{k}") for k in ("type", "message"))
            failure.type = raw_type if isinstance(raw_type, str) and raw_type else None
            failure.message = raw_message if isinstance(raw_message, str) and raw_message else None
            if failure.status is None:
                failure.status = next(
                    filter(None, (http_status(event.attributes.get(name)) for name in _STATUS_NAMES)), None
                )
            break
    if error_type and error_type.startswith("<class '"):  # the repr of the class
        error_type = error_type[len("<class '") :].partition("'")[0]
    digits = http_status(error_type) or http_status(failure.type)
    if http_status(failure.type):
        failure.type = None  # Genkit writes the status as the type
    if error_type and error_type != "_OTHER" and http_status(error_type) is None:
        failure.type = error_type
    failure.message = _message_text(failure.message or message or span.status_message or None)
    if failure.status is None or failure.status < 400:
        failure.status = (
            digits
            or status_in(failure.message)
            or status_in(span.status_message)
            or _STATUS_OF_CLASS.get((failure.type or "").rpartition(".")[2])
            or _status_of_named_class(failure.message)
            or _status_in_stack_trace(span)
        )
    return failure
