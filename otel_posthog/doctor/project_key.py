"""Whether a project has the key: capture itself accepts unknown keys with 200 and drops the events later."""

from __future__ import annotations

from collections.abc import Iterator

from otel_posthog._checks import masked
from otel_posthog.doctor._http import Client
from otel_posthog.doctor._report import Line, Setup

# The cloud's regions, which do not know each other's keys.
REGIONS = {"https://us.i.posthog.com": "US", "https://eu.i.posthog.com": "EU"}


def check_key(setup: Setup) -> Iterator[Line]:
    """Ask for the project's public configuration (free), then for feature flags (billed), then the other region."""
    settings = setup.settings
    if settings is None:
        return
    client, key = Client(settings), settings.api_key
    known = _is_known(client, settings.host, key)
    if known:
        yield Line("key", "ok", f"A project has the key {masked(key)}.")
    elif known is None:
        yield Line("key", "warning", f"{settings.host} does not say whether a project has the key {masked(key)}.")
    else:
        others = [host for host in REGIONS if host != settings.host] if settings.host in REGIONS else []
        for other in others:
            if _is_known(client, other, key):
                text = f"The key {masked(key)} belongs to a project in the {REGIONS[other]} region."
                yield Line("key", "fault", text, f"export POSTHOG_HOST={other}")
                return
        text = f"No project has the key {masked(key)}: PostHog accepts the events and drops them."
        yield Line("key", "fault", text, "copy the project API key from the project's settings")


def _is_known(client: Client, host: str, key: str) -> bool | None:
    """``None`` if nothing answers the question. A 404 may be the proxy's, so only flags say no."""
    answer = client.get(f"{host}/array/{key}/config")
    if answer.status == 200 and isinstance(answer.document, dict):
        return True
    for path in ("/flags?v=2", "/decide?v=3"):
        answer = client.post(host + path, {"api_key": key, "distinct_id": "otel-posthog-doctor"})
        if answer.status == 200 and isinstance(answer.document, dict):
            return True
        if answer.status == 401 and not answer.is_web_page:
            return False
    return None
