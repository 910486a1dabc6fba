"""The few questions that `otel-posthog doctor` asks beside capture, answered as PostHog does.

Whether a key exists: ``/array/KEY/config``, ``/flags``, ``/decide``. Whether an event arrived: the query API with a
personal key (any that starts with ``phx_``), for the one query by uuid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from otel_posthog.local.store import Store

Answer = tuple[int, object]  # status and JSON document, or plain text


def answer(
    method: str, path: str, headers: Mapping[str, str], body: bytes, store: Store, api_keys: frozenset[str] | None
) -> Answer | None:
    """The answer to a request, ``None`` if it is none of these. Header names in lower case."""
    for route, (verb, handler) in _ROUTES.items():
        match = route.fullmatch(path)
        if match and method == verb:
            if path.startswith("/api/") and not headers.get("authorization", "").startswith("Bearer phx_"):
                return _error(401, "authentication_error", "authentication_failed", "Invalid personal API key.")
            return handler(match.groupdict(), body, store, api_keys)
    return None


def _config(found: Mapping[str, str], body: bytes, store: Store, api_keys: frozenset[str] | None) -> Answer:
    return (200, {"token": found["key"]}) if _is_known(found["key"], api_keys) else (404, "not found")


def _flags(found: Mapping[str, str], body: bytes, store: Store, api_keys: frozenset[str] | None) -> Answer:
    document = _document(body)
    if not _is_known(str(document.get("api_key")), api_keys):
        return 401, "The provided API key is invalid or has expired."
    return (200, {"flags": {}}) if document.get("distinct_id") else (400, "distinct_id is missing")


def _project(found: Mapping[str, str], body: bytes, store: Store, api_keys: frozenset[str] | None) -> Answer:
    if found["id"] != "1":
        return _error(404, "invalid_request", "not_found", "Project not found.")
    key = min(api_keys) if api_keys else None
    return 200, {"id": 1, "name": "local", "api_token": key}


def _query(found: Mapping[str, str], body: bytes, store: Store, api_keys: frozenset[str] | None) -> Answer:
    if found["id"] != "1":
        return _error(404, "invalid_request", "not_found", "Project not found.")
    query = _document(body).get("query")
    text = query.get("query") if isinstance(query, dict) else None
    match = _BY_UUID.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return _error(400, "validation_error", "invalid_input", "The local PostHog answers queries by uuid only.")
    rows = [[e["event"], e["timestamp"]] for e in store.events() if e["uuid"] == match["uuid"]]
    return 200, {"columns": ["event", "timestamp"], "results": rows[:1]}


_BY_UUID = re.compile(
    r"SELECT event, timestamp FROM events WHERE uuid = '(?P<uuid>[0-9a-f-]{36})' "
    r"AND timestamp > now\(\) - INTERVAL \d+ MINUTE LIMIT 1"
)
_Handler = Callable[[Mapping[str, str], bytes, Store, "frozenset[str] | None"], Answer]
_ROUTES: dict[re.Pattern[str], tuple[str, _Handler]] = {
    re.compile(r"/array/(?P<key>[^/]+)/config"): ("GET", _config),
    re.compile(r"/(flags|decide)/?"): ("POST", _flags),
    re.compile(r"/api/projects/(?P<id>\w+)/"): ("GET", _project),
    re.compile(r"/api/projects/(?P<id>\w+)/query/"): ("POST", _query),
}


def _is_known(key: str, api_keys: frozenset[str] | None) -> bool:
    return key.startswith("phc_") if api_keys is None else key in api_keys


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _error(status: int, kind: str, code: str, detail: str) -> Answer:
    return status, {"type": kind, "code": code, "detail": detail, "attr": None}
