"""Version 1 of capture (`/i/v1/analytics/events`, …): every event has its own result.

Body: ``{"created_at", "batch": [{event, uuid, distinct_id, timestamp, session_id?, window_id?,
options?, properties?}]}``. Types and uuids are checked for the batch, values for each event.
Source: rust/capture/src/v1 in PostHog's repository (context.rs, analytics/{types,process}.rs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog.local._rules import (
    DISTINCT_ID_LIMIT,
    NAME_LIMIT,
    REFUSED_DISTINCT_IDS,
    Event,
    RefusalError,
    canonical_uuid,
    encode,
    event_size,
    is_ai,
    is_rfc3339,
    key_is_known,
)

Result = dict[str, str]  # {"result": ok|warning|drop|retry, "details"?: tag}

_REQUIRED_HEADERS = (
    "posthog-sdk-info",
    "posthog-attempt",
    "posthog-request-id",
    "posthog-request-timestamp",
    "content-type",
    "user-agent",
)

# Field of an event -> (type, may be absent or null).
_EVENT_FIELDS: dict[str, tuple[type, bool]] = {
    "event": (str, False),
    "uuid": (str, False),
    "distinct_id": (str, False),
    "timestamp": (str, False),
    "session_id": (str, True),
    "window_id": (str, True),
    "options": (dict, True),
}

# Option -> (type, property that the server writes it to).
_OPTIONS: dict[str, tuple[type, str]] = {
    "cookieless_mode": (bool, "$cookieless_mode"),
    "disable_skew_correction": (bool, "$ignore_sent_at"),
    "process_person_profile": (bool, "$process_person_profile"),
    "product_tour_id": (str, "$product_tour_id"),
}


def authenticate(headers: Mapping[str, str], api_keys: frozenset[str] | None) -> str:
    """Check the headers (names in lower case) in the server's order, key first; the request's key."""
    authorization = headers.get("authorization")
    if authorization is None:
        raise RefusalError(401, "missing_authorization", "request has no Authorization header")
    missing = [name for name in _REQUIRED_HEADERS if name not in headers]
    if missing:
        names = ", ".join(missing)
        raise RefusalError(400, "missing_required_headers", f"request is missing headers: {names}")
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise _bad_header("Authorization must use Bearer scheme")
    if not key_is_known(key.strip(), api_keys):
        raise RefusalError(401, "invalid_api_token", "The provided API token is not valid.")
    content_type = headers["content-type"]
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise RefusalError(415, "unsupported_content_type", f"unsupported content type: {content_type}")
    if canonical_uuid(headers["posthog-request-id"]) is None:
        raise _bad_header("PostHog-Request-Id is not a valid UUID")
    attempt = headers["posthog-attempt"]
    if not (attempt.isascii() and attempt.isdigit() and int(attempt) >= 1):
        raise _bad_header(f"PostHog-Attempt must be a positive integer: {attempt}")
    if not is_rfc3339(headers["posthog-request-timestamp"]):
        raise _bad_header("PostHog-Request-Timestamp is not valid RFC 3339")
    return key.strip()


def events_of(document: object) -> list[dict[str, Any]]:
    """The raw events, after checking the envelope and the types of all their fields."""
    if not isinstance(document, dict) or not isinstance(document.get("created_at"), str):
        raise _unparsable("created_at must be a string")
    if not isinstance(document.get("historical_migration", False), bool):
        raise _unparsable("historical_migration must be a boolean")
    batch = document.get("batch")
    if not isinstance(batch, list):
        raise _unparsable("batch must be a list")
    for event in batch:
        _check_types(event)
    if not batch:
        raise RefusalError(400, "empty_batch", "request batch is empty")
    if not is_rfc3339(document["created_at"]):
        raise RefusalError(400, "invalid_batch", "created_at is not valid RFC 3339")
    return batch


def read(
    events: list[dict[str, Any]], headers: Mapping[str, str], *, ai_lane: bool, event_limit: int
) -> tuple[list[Event], dict[str, Result]]:
    """The accepted events, and the result of every event by its uuid. ``event_limit`` in bytes."""
    added = _sender(headers.get("posthog-sdk-info", ""))
    accepted: list[Event] = []
    results: dict[str, Result] = {}
    for raw in events:
        uuid = canonical_uuid(raw["uuid"].strip())
        if uuid is None:
            raise RefusalError(400, "invalid_event_uuid", f"event uuid is not a UUID: {raw['uuid']!r}")
        if uuid in results:
            raise RefusalError(400, "duplicate_event_uuid", f"duplicate event uuid: {uuid}")
        reason = _drop_reason(raw, ai_lane)
        encoded = b"" if reason else encode(raw.get("properties", {}))
        if reason is None and event_size(raw, encoded) > event_limit:
            reason = "ai_event_too_big" if ai_lane else "event_too_big"
        if reason is not None:
            results[uuid] = {"result": "drop", "details": reason}
            continue
        results[uuid] = {"result": "ok"}
        properties = {**raw.get("properties", {}), **_own_fields(raw), **added}
        accepted.append(
            Event(
                raw["event"],
                raw["distinct_id"].strip(),
                uuid,
                raw["timestamp"],
                properties,
                encode(properties),
            )
        )
    return accepted, results


def _check_types(event: object) -> None:
    if not isinstance(event, dict):
        raise _unparsable("an event must be an object")
    for name, (kind, optional) in _EVENT_FIELDS.items():
        value = event.get(name)
        if not (isinstance(value, kind) or (optional and value is None)):
            raise _unparsable(f"{name} must be of type {kind.__name__}")
    options = event.get("options") or {}
    for name, (kind, _) in _OPTIONS.items():
        value = options.get(name)
        if value is not None and not isinstance(value, kind):
            raise _unparsable(f"options.{name} must be of type {kind.__name__}")


def _drop_reason(event: dict[str, Any], ai_lane: bool) -> str | None:
    name, distinct_id = event["event"], event["distinct_id"].strip()
    checks = (
        (not name, "missing_event_name"),
        (len(name) > NAME_LIMIT, "event_name_too_long"),
        (not distinct_id, "missing_distinct_id"),
        (len(distinct_id) > DISTINCT_ID_LIMIT, "distinct_id_too_large"),
        (distinct_id.lower() in REFUSED_DISTINCT_IDS, "malformed_distinct_id"),
        (not is_rfc3339(event["timestamp"]), "invalid_event_timestamp"),
        (not isinstance(event.get("properties", {}), dict), "malformed_event_properties"),
        (ai_lane and not is_ai(name), "misrouted_event"),
    )
    return next((reason for broken, reason in checks if broken), None)


def _own_fields(event: dict[str, Any]) -> dict[str, Any]:
    """The fields beside ``properties`` that the server writes into them."""
    fields = {"$session_id": event.get("session_id"), "$window_id": event.get("window_id")}
    options = event.get("options") or {}
    fields.update((to, options.get(name)) for name, (_, to) in _OPTIONS.items())
    return {name: value for name, value in fields.items() if value is not None}


def _sender(sdk_info: str) -> dict[str, str]:
    library, _, version = (part.strip() for part in sdk_info.rpartition("/"))
    return {"$lib": library, "$lib_version": version} if library and version else {}


def _bad_header(detail: str) -> RefusalError:
    return RefusalError(400, "invalid_header_value", f"invalid header value: {detail}")


def _unparsable(detail: str) -> RefusalError:
    return RefusalError(400, "request_parsing_error", f"Failed to parse request body: {detail}.")
