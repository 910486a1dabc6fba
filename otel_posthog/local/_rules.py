"""What both versions of capture share: limits, an accepted event, a refusal, value checks.

Limits and refused values: PostHog's `rust/capture` sources and API documentation, read in 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

BODY_LIMIT = 20 * 1024 * 1024  # bytes, after decompression
EVENT_LIMIT = 983_040  # bytes of one event as JSON, analytics endpoints
AI_EVENT_LIMIT = 8 * 1024 * 1024  # bytes of one event as JSON, AI endpoints
NAME_LIMIT = 200  # characters of a v1 event name
DISTINCT_ID_LIMIT = 200  # characters: v0 cuts the rest off, v1 drops the event

# v1 only, any case. Source: rust/capture/src/v1/analytics/constants.rs
REFUSED_DISTINCT_IDS = frozenset(
    {
        "0",
        "00000000-0000-0000-0000-000000000000",
        "[object object]",
        "anonymous",
        "anonymous-user",
        "backend",
        "distinct_id",
        "distinctid",
        "email",
        "false",
        "guest",
        "id",
        "nan",
        "none",
        "not_authenticated",
        "null",
        "system",
        "true",
        "undefined",
        "user",
    }
)

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|[+-](\d\d):(\d\d))")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")


class RefusalError(Exception):
    """The whole request is answered with an error: HTTP ``status``, a stable ``tag``, words."""

    def __init__(self, status: int, tag: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.tag = tag
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Event:
    """An accepted event. ``uuid`` is in canonical form, ``encoded`` is ``properties`` as JSON."""

    name: str
    distinct_id: str
    uuid: str
    timestamp: str
    properties: dict[str, Any]
    encoded: bytes

    @property
    def is_ai(self) -> bool:
        return is_ai(self.name)

    @property
    def trace_id(self) -> str | None:
        """The trace, as text: the server turns every id into a string."""
        value = self.properties.get("$ai_trace_id")
        return None if value is None else str(value)


def is_ai(name: object) -> bool:
    return isinstance(name, str) and name.startswith("$ai_")


def canonical_uuid(value: object) -> str | None:
    """The UUID in lower case with hyphens, ``None`` if the value is not one."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        return None
    return str(UUID(value))


def is_rfc3339(value: object) -> bool:
    """Whether the value is a date and time with an offset that exists in the calendar."""
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return False
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if int(match[7] or 0) > 23 or int(match[8] or 0) > 59 or second > 60:
        return False
    try:
        datetime(year, month, day, hour, minute, min(second, 59))  # 60 is a leap second
    except ValueError:
        return False
    return True


def encode(properties: dict[str, Any]) -> bytes:
    """The properties as compact JSON. Nesting too deep to write is refused, as the server does."""
    try:
        return orjson.dumps(properties)
    except orjson.JSONEncodeError as error:
        raise RefusalError(400, "request_parsing_error", f"failed to parse request: {error}") from None


def event_size(event: dict[str, Any], encoded_properties: bytes) -> int:
    """Bytes of the event as compact JSON, without encoding the (large) properties again."""
    rest = {key: value for key, value in event.items() if key != "properties"}
    return len(orjson.dumps(rest)) + len(',"properties":') + len(encoded_properties)


def key_is_known(key: str, api_keys: frozenset[str] | None) -> bool:
    """With configured keys only those; otherwise anything that looks like a project key."""
    return key.startswith("phc_") if api_keys is None else key in api_keys
