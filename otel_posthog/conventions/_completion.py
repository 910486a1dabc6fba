"""From what a reader parsed to the finished operation: what another convention adds, and what all conventions share."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from otel_posthog._distinct_ids import usable
from otel_posthog._model import Message, Operation, ToolCall, Usage
from otel_posthog._spans import SpanView
from otel_posthog.conventions import posthog
from otel_posthog.conventions._attributes import Attributes, to_id, to_int, to_str
from otel_posthog.conventions._failures import failure_of, http_status
from otel_posthog.conventions._identity import SESSION_ATTRIBUTES, USER_ATTRIBUTES
from otel_posthog.conventions._providers import GOOGLE, maker_of, model_name, provider_of_scope
from otel_posthog.conventions._usage import settled
from otel_posthog.conventions.semconv import model_in_name

_USAGE_FIELDS = tuple(field.name for field in fields(Usage) if field.default is None)
_PLAIN_FIELDS = tuple(field.name for field in fields(Operation) if field.default is None and field.name != "usage")


def filled(specific: Operation, generic: Operation) -> Operation:
    """The specific operation, with the fields that it leaves open from the generic one."""
    changes: dict[str, Any] = {
        name: value
        for name in _PLAIN_FIELDS
        if getattr(specific, name) is None and (value := getattr(generic, name)) is not None
    }
    if specific.kind == "other":
        changes["kind"] = generic.kind
    if not specific.input:
        changes["input"] = generic.input
    if not specific.output:
        changes["output"] = generic.output
    if not specific.finish_reasons:
        changes["finish_reasons"] = generic.finish_reasons
    if generic.parameters:
        changes["parameters"] = {**generic.parameters, **specific.parameters}
    if generic.truncated:
        changes["truncated"] = True
    changes["usage"] = _filled_usage(specific.usage, generic.usage)
    return replace(specific, **changes)


def _filled_usage(specific: Usage | None, generic: Usage | None) -> Usage | None:
    if specific is None or generic is None:
        return specific or generic
    changes: dict[str, Any] = {
        name: value
        for name in _USAGE_FIELDS
        if getattr(specific, name) is None and (value := getattr(generic, name)) is not None
    }
    if generic.by_modality:
        changes["by_modality"] = {**generic.by_modality, **specific.by_modality}
    return replace(specific, **changes) if changes else specific


def completed(operation: Operation, span: SpanView, attributes: Attributes) -> Operation:
    """The operation with what is the same in all conventions, and with the attributes that nobody took."""
    posthog.overrides(operation, attributes)
    if operation.kind == "generation" and operation.request_model is None and operation.response_model is None:
        operation.request_model = model_in_name(span.name)
    operation.request_model = model_name(operation.request_model)
    operation.response_model = model_name(operation.response_model)
    operation.finish_reasons = _finish_reasons(operation)
    operation.input, operation.output = _with_content(operation.input), _with_content(operation.output)
    if operation.http_status is None:
        operation.http_status = attributes.take(
            lambda v: http_status(v) or to_int("?"), "http.response.status_code", "http.status_code"
        )
    failure = failure_of(span, attributes, operation.http_status)
    if operation.failure is None:
        operation.failure = failure
    if operation.failure is not None and operation.failure.status:
        operation.http_status = operation.failure.status
    _read_urls(operation, attributes)
    if operation.provider is None and operation.is_call:
        operation.provider = provider_of_scope(span.scope_name) or maker_of(
            operation.response_model or operation.request_model
        )
    if operation.usage is not None:
        operation.usage = settled(operation.usage, operation.provider in GOOGLE)
        if operation.usage.web_searches is None and operation.output:
            operation.usage.web_searches = _web_searches(operation.output)
    users = [usable(attributes.take(to_id, name)) for name in USER_ATTRIBUTES]
    operation.user = next(filter(None, users), usable(operation.user))
    sessions = [attributes.take(to_id, name) for name in SESSION_ATTRIBUTES]
    operation.session = next(filter(None, sessions), operation.session)
    operation.unmapped.update(attributes.left)
    return operation


def _finish_reasons(operation: Operation) -> list[str]:
    for message in operation.output or ():
        if message.finish_reason:
            message.finish_reason = _finish_reason(message.finish_reason)
    reasons = [_finish_reason(reason) for reason in operation.finish_reasons if reason]
    return reasons or [message.finish_reason for message in operation.output or () if message.finish_reason]


def _with_content(messages: list[Message] | None) -> list[Message] | None:
    """The messages that say anything: without content capture some libraries write empty ones."""
    return [message for message in messages or () if message.parts or message.extra] or None


def _web_searches(output: list[Message]) -> int | None:
    """How often the provider searched the web: each of its calls has a price (OpenAI's responses, Anthropic)."""
    calls = [part for message in output for part in message.parts if isinstance(part, ToolCall)]
    return sum(call.server and call.name.startswith("web_search") for call in calls) or None


def _finish_reason(written: str) -> str:
    """Members of enums are written with the name of their class: FinishReason.STOP."""
    _, found, name = written.rpartition("FinishReason.")
    return name.lower() if found else written


def _read_urls(operation: Operation, attributes: Attributes) -> None:
    """Base and request URL. ``server.address`` has no scheme: it is assumed only where the port decides it."""
    url = attributes.take(to_str, "url.full", "http.url")
    if url is not None and url.endswith("#stream"):  # the Mistral SDK's name for a stream
        url = url.removesuffix("#stream")
        operation.streaming = True
    if operation.request_url is None:
        operation.request_url = url
    address = attributes.take(to_str, "server.address", "net.peer.name")
    port = attributes.take(to_int, "server.port", "net.peer.port")
    scheme = attributes.take(to_str, "url.scheme")
    if operation.base_url is not None or address is None:
        return
    if port is not None and address.endswith(f":{port}"):
        address = address.removesuffix(f":{port}")
    if "://" in address:
        operation.base_url = address
    elif port in (None, 80, 443):
        operation.base_url = f"{scheme or ('http' if port == 80 else 'https')}://{address}"
    else:
        operation.base_url = f"{scheme}://{address}:{port}" if scheme else f"{address}:{port}"
