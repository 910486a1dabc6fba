"""Sends one event by the exporter itself and reads it back over PostHog's query API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import format_span_id, format_trace_id

from otel_posthog.doctor._http import Answer, Client, pause
from otel_posthog.doctor._report import Line, Setup
from otel_posthog.doctor.configuration import captured_messages
from otel_posthog.doctor.project_key import REGIONS
from otel_posthog.events.identity import event_uuid
from otel_posthog.exporter import PostHogSpanExporter
from otel_posthog.settings import Settings

# Where the cloud's API is. Self-hosted installations have one host for everything.
_APPS = {host: host.replace(".i.posthog.com", ".posthog.com") for host in REGIONS}
_DELAYS = (2.0, 5.0, 10.0)  # seconds between queries, then 15: the API allows 120 an hour
_LAST_DELAY = 15.0
_SENDING_TIME = 20.0  # seconds


def check_sending(setup: Setup) -> Iterator[Line]:
    """Send one generation, then look for it in the project."""
    settings = setup.settings
    if settings is None or settings.disabled:
        return
    with captured_messages() as messages:
        uuid, trace_id, is_delivered = send_one(settings)
    if not is_delivered:
        for message in messages or ["The event was not delivered."]:
            yield Line("sending", "fault", message)
        return
    yield Line("sending", "ok", f"PostHog accepted the event {uuid} of trace {trace_id}.")
    key, project = (setup.environ.get(name, "").strip() for name in ("POSTHOG_PERSONAL_API_KEY", "POSTHOG_PROJECT_ID"))
    if not key or not project:
        yield Line(
            "reading back",
            "warning",
            "Whether the event arrived in your project is not known: PostHog accepts events for unknown keys too.",
            "export POSTHOG_PERSONAL_API_KEY=phx_… (scopes query:read and project:read) POSTHOG_PROJECT_ID=…",
        )
        return
    reader = Reader(Client(settings), setup.app_url or _APPS.get(settings.host, settings.host), project, key)
    yield from reader.compare_project(settings.api_key)
    yield reader.wait_for(uuid, setup)


def send_one(settings: Settings) -> tuple[str, str, bool]:
    """The uuid and trace id of the event that was sent, and whether PostHog accepted it."""
    own = replace(settings, spool_dir=None, rejected_dir=None, sample_rate=1.0, timeout=_SENDING_TIME, max_retries=2)
    exporter = PostHogSpanExporter(settings=own)
    tracer = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False).get_tracer("otel_posthog.doctor")
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "otel-posthog",
        "gen_ai.request.model": "doctor",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 1,
    }
    span = tracer.start_span("otel-posthog doctor", attributes=attributes)
    span.end()
    exporter.export([span])  # type: ignore[list-item]  # the SDK's spans are ReadableSpans
    exporter.shutdown()
    context = span.get_span_context()
    trace_id = format_trace_id(context.trace_id)
    uuid = event_uuid(trace_id, format_span_id(context.span_id))
    return uuid, trace_id, exporter.stats().delivered > 0


class Reader:
    """PostHog's API with a personal key. ``app`` is its base URL."""

    def __init__(self, client: Client, app: str, project: str, key: str) -> None:
        self._client, self._app, self._project, self._key = client, app, project, key

    def compare_project(self, api_key: str) -> Iterator[Line]:
        """Whether the project that is read is the one that the events go to."""
        answer = self._client.get(f"{self._app}/api/projects/{self._project}/", self._key)
        document = answer.document
        if answer.status != 200 or not isinstance(document, Mapping):
            return  # a key without project:read can still query
        if document.get("api_token") not in (None, api_key):
            text = f"Events go to another project than {self._project} ({document.get('name', 'unnamed')})."
            fix = "use the project API key of that project, or set POSTHOG_PROJECT_ID to the one of your key"
            yield Line("reading back", "fault", text, fix)

    def wait_for(self, uuid: str, setup: Setup) -> Line:
        """Query until the event is there or ``setup.wait`` seconds are over."""
        started = monotonic()
        delays = iter(_DELAYS)
        while True:
            answer = self._query(uuid)
            rows = answer.document.get("results") if isinstance(answer.document, Mapping) else None
            seconds = monotonic() - started
            if answer.status == 200 and isinstance(rows, list):
                if rows:
                    return _found(rows[0][0], seconds)
            elif answer.status not in (429, 500, 502, 503, 504) and not answer.error:
                return _refused(answer, self._app, self._project)
            delay = next(delays, _LAST_DELAY)
            if answer.retry_after.isdecimal():
                delay = max(delay, float(answer.retry_after))
            if seconds + delay > setup.wait:
                text = f"Accepted, but not visible after {seconds:.0f} s: PostHog may take some minutes."
                return Line("reading back", "warning", text, f"look for the event {uuid} later")
            setup.progress(f"waiting for the event to show up in project {self._project}: {seconds:.0f} s")
            pause(delay)

    def _query(self, uuid: str) -> Answer:
        query = (
            "SELECT event, timestamp FROM events "  # noqa: S608  # the uuid is our own
            f"WHERE uuid = '{uuid}' AND timestamp > now() - INTERVAL 15 MINUTE LIMIT 1"
        )
        document = {"query": {"kind": "HogQLQuery", "query": query}, "refresh": "force_blocking"}
        return self._client.post(f"{self._app}/api/projects/{self._project}/query/", document, self._key)


def _found(event: str, seconds: float) -> Line:
    if event == "$ai_generation":
        return Line("reading back", "ok", f"The event became a generation in PostHog after {seconds:.0f} s.")
    return Line("reading back", "fault", f"The event arrived as {event}, not as $ai_generation.")


def _refused(answer: Answer, app: str, project: str) -> Line:
    document = answer.document
    detail = document.get("detail") if isinstance(document, Mapping) else None
    said = f"{answer.status}: {detail}" if detail else str(answer.status)
    if answer.status == 401:
        text, fix = "POSTHOG_PERSONAL_API_KEY was refused", "create a personal API key (phx_…) with scope query:read"
    elif answer.status == 403:
        text, fix = f"The personal API key may not query project {project}", "add the scope query:read and the project"
    elif answer.status == 404:
        text, fix = f"{app} has no project {project}", "check POSTHOG_PROJECT_ID and the region"
    else:
        text, fix = f"{app} is not PostHog's API", "pass --app-url with the address where you open PostHog"
    return Line("reading back", "fault", f"{text} ({said}).", fix)
