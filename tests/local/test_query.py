"""The questions beside capture that the local PostHog answers."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from otel_posthog.local import LocalPostHog

UUID = "0193f7a8-0000-5000-8000-000000000000"
QUERY = f"SELECT event, timestamp FROM events WHERE uuid = '{UUID}' AND timestamp > now() - INTERVAL 15 MINUTE LIMIT 1"  # noqa: S608


def ask(posthog: LocalPostHog, query: str = QUERY, key: str = "phx_1", project: str = "1") -> tuple[int, Any]:
    answer = requests.post(
        f"{posthog.url}/api/projects/{project}/query/",
        json={"query": {"kind": "HogQLQuery", "query": query}},
        headers={"Authorization": f"Bearer {key}", "Connection": "close"},
        timeout=10,
    )
    return answer.status_code, answer.json()


def test_an_event_is_found_by_its_uuid(posthog: LocalPostHog) -> None:
    assert ask(posthog) == (200, {"columns": ["event", "timestamp"], "results": []})
    event = {"event": "$ai_span", "distinct_id": "a", "uuid": UUID, "timestamp": "2026-01-01T00:00:00Z"}
    event["properties"] = {}  # type: ignore[assignment]
    document = {"api_key": "phc_test", "batch": [event]}
    requests.post(posthog.url + "/batch/", json=document, headers={"Connection": "close"}, timeout=10)
    assert ask(posthog) == (
        200,
        {"columns": ["event", "timestamp"], "results": [["$ai_span", "2026-01-01T00:00:00Z"]]},
    )


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"query": "SELECT 1"}, 400, "invalid_input"),
        ({"key": "phc_test"}, 401, "authentication_failed"),
        ({"project": "2"}, 404, "not_found"),
    ],
)
def test_other_questions_are_refused(options: dict[str, str], status: int, code: str, posthog: LocalPostHog) -> None:
    answer = ask(posthog, **options)
    assert (answer[0], answer[1]["code"]) == (status, code)


def test_whether_a_key_exists() -> None:
    close = {"Connection": "close"}
    with LocalPostHog(api_keys=["phc_known"]) as posthog:
        configs = [
            requests.get(f"{posthog.url}/array/{key}/config", headers=close, timeout=10).status_code
            for key in ("phc_known", "phc_other")
        ]
        flags = [
            requests.post(f"{posthog.url}/flags?v=2", json=document, headers=close, timeout=10).status_code
            for document in (
                {"api_key": "phc_known", "distinct_id": "a"},
                {"api_key": "phc_other", "distinct_id": "a"},
                {"api_key": "phc_known"},
            )
        ]
    assert configs == [200, 404]
    assert flags == [200, 401, 400]
