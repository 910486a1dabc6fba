"""Version 0 of capture (`/batch/`, `/i/v0/e/`, …): one bad event refuses the request.

Accepts one event, a list of events, or ``{"api_key", "batch": [event, …], "sent_at"}``.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import orjson

from otel_posthog.local._rules import (
    DISTINCT_ID_LIMIT,
    Event,
    RefusalError,
    canonical_uuid,
    encode,
    event_size,
    is_ai,
    is_rfc3339,
    key_is_known,
)


def events_of(document: object) -> list[dict[str, Any]]:
    """The raw events of a request body, whichever of the three shapes it has."""
    batch: object = document
    if isinstance(document, dict):
        batch = document.get("batch", [document])
    if not isinstance(batch, list) or not all(isinstance(event, dict) for event in batch):
        raise RefusalError(400, "invalid_payload", "failed to parse request: events must be objects")
    if not batch:
        raise RefusalError(400, "empty_batch", "request holds no event")
    return batch


def authenticate(document: object, events: list[dict[str, Any]], api_keys: frozenset[str] | None) -> str:
    """The one key of the request: in the body, else in its events or their properties."""
    keys = {_key(document)} if isinstance(document, dict) and "batch" in document else set()
    keys.discard(None)
    if not keys:
        keys = {_key(event) for event in events}
    if keys == {None}:
        raise RefusalError(401, "no_token", "event submitted without an api_key")
    if len(keys) > 1:
        raise RefusalError(401, "multiple_tokens", "batch submitted with inconsistent api_key values")
    key = keys.pop()
    if key is None or not key_is_known(key, api_keys):
        raise RefusalError(401, "invalid_api_key", "API key is not valid")
    return key


def read(events: list[dict[str, Any]], *, ai_lane: bool, event_limit: int) -> list[Event]:
    """Check every event. ``event_limit`` in bytes; raises ``RefusalError`` at the first bad one."""
    if ai_lane and not all(is_ai(event.get("event")) for event in events):
        raise RefusalError(400, "misrouted_event", "only $ai_* events are accepted on this endpoint")
    return [_event(event, event_limit) for event in events]


def _event(raw: dict[str, Any], limit: int) -> Event:
    properties = raw.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        raise _invalid("properties must be an object")
    name = raw.get("event")
    if not isinstance(name, str) or not name:
        raise RefusalError(400, "missing_event_name", "event submitted with an empty event name")
    timestamp = raw.get("timestamp")
    if timestamp is None:
        timestamp = datetime.now(timezone.utc).isoformat()
    elif not is_rfc3339(timestamp):
        raise _invalid(f"timestamp of {name} is not RFC 3339: {timestamp!r}")
    uuid = str(uuid4()) if raw.get("uuid") in (None, "") else canonical_uuid(raw["uuid"])
    if uuid is None:
        raise _invalid(f"uuid of {name} is not a UUID: {raw['uuid']!r}")
    distinct_id = _distinct_id(raw, properties)
    encoded = encode(properties)
    size = event_size(raw, encoded)
    if size > limit:
        raise RefusalError(413, "event_too_big", f"maximum event size exceeded: {name} has {size} bytes of {limit}")
    return Event(name, distinct_id, uuid, timestamp, properties, encoded)


def _distinct_id(raw: dict[str, Any], properties: dict[str, Any]) -> str:
    value = raw.get("distinct_id")
    if value is None:
        value = properties.get("distinct_id")
    if value is None:
        raise RefusalError(400, "missing_distinct_id", "event submitted without a distinct_id")
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if not text:
        raise RefusalError(400, "empty_distinct_id", "event submitted with an empty distinct_id")
    return text[:DISTINCT_ID_LIMIT]


def _key(holder: dict[str, Any]) -> str | None:
    properties = holder.get("properties")
    in_properties = properties.get("token") if isinstance(properties, dict) else None
    for value in (holder.get("api_key"), holder.get("token"), in_properties):
        if isinstance(value, str) and value:
            return value
    return None


def _invalid(detail: str) -> RefusalError:
    return RefusalError(400, "invalid_payload", f"failed to parse request: {detail}")
