"""What every convention shares: failure, place, user, session, and properties that the app states itself."""

from __future__ import annotations

from typing import Any

from otel_posthog._distinct_ids import usable
from otel_posthog._model import Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, to_id, to_int, to_str, to_structure
from otel_posthog.conventions._failures import failure_of, http_status
from otel_posthog.conventions._providers import FRAMEWORKS, maker_of, provider_of

# PostHog's OTLP ingestion reads the first three (posthog.md section 3); enduser.id is OpenTelemetry's older name.
USER_ATTRIBUTES = (
    "posthog.distinct_id",
    "ai.telemetry.metadata.posthog_distinct_id",
    "ai.settings.context.posthog_distinct_id",
    "user.id",
    "enduser.id",
)
SESSION_ATTRIBUTES = (
    "$ai_session_id",
    "posthog.session_id",
    "ai.telemetry.metadata.$ai_session_id",
    "ai.settings.context.$ai_session_id",
    "session.id",
    "anthropic.session.id",
    "gen_ai.conversation.id",
)

# Provider by instrumentation scope, for spans whose provider attribute was evicted by attribute limits.
_SCOPE_PROVIDERS = (
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("google_genai", "gemini"),
    ("google_generativeai", "gemini"),
    ("vertexai", "vertex_ai"),
    ("bedrock", "bedrock"),
    ("mistral", "mistral"),
    ("cohere", "cohere"),
    ("groq", "groq"),
    ("ollama", "ollama"),
)


def complete(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    """Fill in what is the same in all conventions, then hand over what nobody claimed."""
    _state(operation, attributes)
    operation.finish_reasons = [_finish_reason(reason) for reason in operation.finish_reasons if reason]
    for message in operation.output or ():
        if message.finish_reason:
            message.finish_reason = _finish_reason(message.finish_reason)
    if operation.http_status is None:
        operation.http_status = attributes.take(
            lambda v: http_status(v) or to_int("?"), "http.response.status_code", "http.status_code"
        )
    failure = failure_of(span, attributes, operation.http_status)
    if operation.failure is None:
        operation.failure = failure
    if operation.failure is not None and operation.failure.status:
        operation.http_status = operation.failure.status
    _place(operation, attributes)
    if operation.provider is None and operation.is_call:
        model = operation.response_model or operation.request_model
        operation.provider = _provider_by_scope(span.scope_name) or maker_of(model)
    users = [usable(attributes.take(to_id, name)) for name in USER_ATTRIBUTES]
    operation.user = next(filter(None, users), usable(operation.user))
    sessions = [attributes.take(to_id, name) for name in SESSION_ATTRIBUTES]
    operation.session = next(filter(None, sessions), operation.session)
    operation.unmapped.update(attributes.left)


def _finish_reason(written: str) -> str:
    """Members of enums are written with the name of their class: FinishReason.STOP."""
    _, found, name = written.rpartition("FinishReason.")
    return name.lower() if found else written


def set_provider(operation: Operation, attributes: Attributes, raw: str | None, name: str) -> None:
    """The provider in PostHog's vocabulary; a different raw value stays under its own name."""
    if raw is not None and raw.lower() in FRAMEWORKS:
        operation.framework = operation.framework or raw.lower()
        return
    if raw is None or operation.provider is not None:
        return
    operation.provider = provider_of(raw)
    if operation.provider != raw:
        attributes.left[name] = raw


def _provider_by_scope(scope: str) -> str | None:
    if not scope.startswith(("opentelemetry.instrumentation.", "openinference.instrumentation.", "openlit.")):
        return None
    return next((provider for part, provider in _SCOPE_PROVIDERS if part in scope), None)


def _place(operation: Operation, attributes: Attributes) -> None:
    """Base and request URL. ``server.address`` alone has no scheme: it is stated only where the port settles it."""
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


def _state(operation: Operation, attributes: Attributes) -> None:
    """``$…`` and ``posthog.…`` attributes: the app names the PostHog property itself, and that wins."""
    for name in [name for name in attributes if name.startswith(("$", "posthog."))]:
        if name in USER_ATTRIBUTES or name in SESSION_ATTRIBUTES:
            continue
        value: Any = attributes.left.pop(name)
        key = name.removeprefix("posthog.").removeprefix("properties.")
        if key in ("groups", "$groups"):
            decoded = parse_json(value)
            if isinstance(decoded, dict):
                operation.groups = decoded
        elif key == "$set" or key.startswith("$"):
            operation.stated[key] = parse_json(value)
        elif key:
            operation.stated[key] = value


def merge_metadata(operation: Operation, value: Any) -> None:
    """Metadata given as a JSON object, added to what is known already."""
    decoded = to_structure(value)
    if isinstance(decoded, dict):
        operation.metadata.update({str(k): v for k, v in decoded.items()})
