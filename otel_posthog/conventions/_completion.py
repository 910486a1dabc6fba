"""Completing a parsed operation: from the other convention on the span, and with what all conventions share."""

from __future__ import annotations

import re
from dataclasses import fields

from otel_posthog._model import Failure, Json, Message, Operation, ToolCall, Usage
from otel_posthog._spans import SpanView
from otel_posthog.conventions import posthog
from otel_posthog.conventions._attributes import Attributes, index_of, parse_json, to_int, to_str
from otel_posthog.conventions._failures import failure_of, http_status
from otel_posthog.conventions._identity import IDENTITY_NAMES, session_id, session_in, user_id, user_in
from otel_posthog.conventions._noise import is_noise
from otel_posthog.conventions._providers import GATEWAYS, GOOGLE, maker_of, model_name, provider_of_scope
from otel_posthog.conventions._usage import COUNTS, settled
from otel_posthog.conventions.semconv import model_in_name

_PLAIN_FIELDS = tuple(field.name for field in fields(Operation) if field.default is None and field.name != "usage")


def filled(specific: Operation, generic: Operation) -> Operation:
    """The specific operation, with missing fields filled in from the generic one."""
    for name in _PLAIN_FIELDS:
        if getattr(specific, name) is None:
            setattr(specific, name, getattr(generic, name))
    if specific.kind == "other":
        specific.kind = generic.kind
    specific.input = _fuller(specific.input, generic.input)
    specific.output = specific.output or generic.output
    specific.finish_reasons = specific.finish_reasons or generic.finish_reasons
    specific.parameters = {**generic.parameters, **specific.parameters}
    specific.truncated = specific.truncated or generic.truncated
    if specific.usage is None:
        specific.usage = generic.usage
    elif generic.usage is not None:
        _fill_usage(specific.usage, generic.usage)
    return specific


def _fuller(specific: list[Message] | None, generic: list[Message] | None) -> list[Message] | None:
    """The record of the input with more parts, with the system prompt of the other if it has none (Laminar)."""
    if not specific or not generic:
        return specific or generic
    fuller, other = (generic, specific) if _size(generic) > _size(specific) else (specific, generic)
    if any(message.role == "system" for message in fuller):
        return fuller
    return [*(message for message in other if message.role == "system"), *fuller]


def _size(messages: list[Message]) -> int:
    return sum(len(message.parts) for message in messages)


def _fill_usage(specific: Usage, generic: Usage) -> None:
    for name in COUNTS:
        if getattr(specific, name) is None:
            setattr(specific, name, getattr(generic, name))
    specific.by_modality = {**generic.by_modality, **specific.by_modality}


def completed(operation: Operation, span: SpanView, attributes: Attributes) -> Operation:
    """The operation with failure, URLs, identity and leftover attributes, which all conventions share."""
    posthog.overrides(operation, attributes)
    if operation.kind == "generation" and operation.request_model is None and operation.response_model is None:
        operation.request_model = model_in_name(span.name)
    operation.request_model = model_name(operation.request_model)
    operation.response_model = model_name(operation.response_model)
    operation.finish_reasons = _finish_reasons(operation)
    operation.input, operation.output = _with_content(operation.input), _with_content(operation.output)
    if _only_embeds(operation):
        operation.kind = "embedding"
    if operation.http_status is None:
        operation.http_status = attributes.take(
            lambda v: http_status(v) or to_int("?"), "http.response.status_code", "http.status_code"
        )
    failure = failure_of(span, attributes, operation.http_status)
    if operation.failure is None:
        operation.failure = failure
    if operation.failure is None and "error" in operation.finish_reasons and operation.output is None:
        operation.failure = Failure()  # Mastra 1.71 and the AI SDK: the step above has the error
    if operation.failure is not None and operation.failure.status:
        operation.http_status = operation.failure.status
    _read_urls(operation, attributes)
    if operation.provider is None and operation.is_call:
        operation.provider = provider_of_scope(span.scope_name)
    if (operation.provider is None and operation.is_call) or operation.provider in GATEWAYS:
        maker = maker_of(operation.response_model or operation.request_model)
        operation.provider = maker or operation.provider
    if operation.usage is not None:
        operation.usage = settled(operation.usage, operation.provider in GOOGLE)
        if operation.usage.web_searches is None and operation.output:
            operation.usage.web_searches = _web_searches(operation.output)
    identity = {name: attributes.left.pop(name) for name in attributes.left.keys() & IDENTITY_NAMES}
    operation.user = user_in(identity) or user_id(operation.user)
    operation.session = session_in(identity) or session_id(operation.session)
    _check_first_token(operation, span)
    if operation.streaming is None and operation.is_call:
        operation.streaming = _streams_by_method(attributes)
    operation.name = _name(operation, span)
    operation.unmapped.update(
        {name: parse_json(value) for name, value in attributes.left.items() if not is_noise(name, value)}
    )
    return operation


# States of a response, before its last one: Sentry 10.78 lists all that a stream went through.
_UNFINISHED = frozenset(("queued", "in_progress"))


def _only_embeds(operation: Operation) -> bool:
    """Whether a generation is an embedding: Langfuse for JavaScript wraps every call of the client as a generation."""
    if operation.kind != "generation" or operation.output is not None:
        return False
    model = operation.response_model or operation.request_model or ""
    return "embed" in model.lower() and not (operation.usage is not None and operation.usage.output)


def _finish_reasons(operation: Operation) -> list[str]:
    for message in operation.output or ():
        if message.finish_reason:
            message.finish_reason = _finish_reason(message.finish_reason)
    reasons = [_finish_reason(reason) for reason in operation.finish_reasons if reason and reason not in _UNFINISHED]
    return reasons or [message.finish_reason for message in operation.output or () if message.finish_reason]


def _with_content(messages: list[Message] | None) -> list[Message] | None:
    """The non-empty messages: without content capture some libraries write empty ones."""
    return [message for message in messages or () if message.parts or message.extra] or None


def _web_searches(output: list[Message]) -> int | None:
    """The number of web searches by the provider, each of which has a price (OpenAI responses, Anthropic). Models of
    chat completions that search show it by their citations only, and search once."""
    calls = [part for message in output for part in message.parts if isinstance(part, ToolCall)]
    searches = sum(call.server and call.name.startswith("web_search") for call in calls)
    return searches or (1 if any(_has_citations(message.extra.get("annotations")) for message in output) else None)


def _has_citations(annotations: Json) -> bool:
    return isinstance(annotations, list) and any(
        isinstance(annotation, dict) and annotation.get("type") == "url_citation" for annotation in annotations
    )


def _finish_reason(written: str) -> str:
    """The reason without the class name of an enum member (``FinishReason.STOP``)."""
    _, found, name = written.rpartition("FinishReason.")
    return name.lower() if found else written


def _check_first_token(operation: Operation, span: SpanView) -> None:
    """Drop a time to first token above the latency: it was measured in another unit or by another clock."""
    latency = operation.latency
    if latency is None:
        latency = (span.end_unix_nano - span.start_unix_nano) / 1e9
    if operation.time_to_first_token is not None and operation.time_to_first_token > latency:
        operation.time_to_first_token = None


# For some libraries only the method shows streaming: botocore writes rpc.method (ConverseStream), google-genai's
# instrumentation code.function.name (…generate_content_stream).
_METHODS = ("rpc.method", "code.function.name", "code.function")


def _streams_by_method(attributes: Attributes) -> bool | None:
    methods = [attributes.peek(name) for name in _METHODS]
    return True if any(isinstance(method, str) and "stream" in method.lower() for method in methods) else None


_UUID = re.compile(r"[ _.:/-]*\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b", re.IGNORECASE)


def _name(operation: Operation, span: SpanView) -> str | None:
    """The name without UUIDs, which would give each trace a name of its own."""
    name = operation.name or span.name
    short = _UUID.sub("", name) if len(name) >= 32 else name
    return short if short and short != name else operation.name


_URLS = index_of(
    ("url", to_str, ("url.full", "http.url")),
    ("address", to_str, ("server.address", "net.peer.name")),
    ("port", to_int, ("server.port", "net.peer.port")),
    ("scheme", to_str, ("url.scheme",)),
)


def _read_urls(operation: Operation, attributes: Attributes) -> None:
    """Base and request URL. ``server.address`` has no scheme, so one is inferred from the port."""
    found = attributes.take_all(_URLS)
    url, address, port = found.get("url"), found.get("address"), found.get("port")
    if url is not None and url.endswith("#stream"):  # the Mistral SDK's name for a stream
        url = url.removesuffix("#stream")
        operation.streaming = True
    if operation.request_url is None:
        operation.request_url = url
    if operation.base_url is not None:
        _split_request(operation, operation.base_url)
    if operation.base_url is not None or address is None:
        return
    if port is not None and address.endswith(f":{port}"):
        address = address.removesuffix(f":{port}")
    if "://" in address:
        operation.base_url = address
        return
    is_local = address.startswith(_LOCAL) or "." not in address
    scheme = found.get("scheme") or ("http" if port == 80 or (is_local and port != 443) else "https")
    operation.base_url = f"{scheme}://{address}" if port in (None, 80, 443) else f"{scheme}://{address}:{port}"


_LOCAL = ("localhost", "127.", "10.", "192.168.", "172.", "[::1]")

# What clients append to their base URL: OpenAI's base ends in /v1, Anthropic's does not.
_REQUEST_PATH = re.compile(
    r"(?:/v1/messages|/chat/completions|/completions|/responses|/embeddings|/models/[^/]+:\w+|/model/[^/]+/[\w-]+)/?$"
)


def _split_request(operation: Operation, url: str) -> None:
    """LiteLLM writes the URL of the request as the base of some providers."""
    path = _REQUEST_PATH.search(url)
    if path is not None:
        operation.base_url = url[: path.start()]
        operation.request_url = operation.request_url or url
