"""What the report of an observed app means: each check returns lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from otel_posthog.doctor import instrumentations
from otel_posthog.doctor._report import Line, Setup

Report = dict[str, Any]


def check_providers(setup: Setup, seen: Report) -> Iterator[Line]:
    """Whether the spans of the app can reach PostHog."""
    providers = seen["providers"]
    if not providers:
        text = "OpenTelemetry was not set up: no TracerProvider was made."
        fix = "call otel_posthog.configure(), or run the app with opentelemetry-instrument"
        yield Line("providers", "fault", text, fix)
        return
    for provider in providers:
        name = f"{'global ' if provider['is_global'] else ''}{provider['name']}"
        has = ", ".join(provider["processors"]) or "no processor"
        yield Line("providers", "ok" if provider["posthog"] else "info", f"{name}: {has}.")
        if provider["posthog"] > 1:
            text = f"{name} sends to PostHog {provider['posthog']} times."
            fix = "keep one of configure(), PostHogSpanProcessor, PostHogSpanExporter and OTEL_TRACES_EXPORTER=posthog"
            yield Line("providers", "warning", text, fix)
    with_posthog = [provider for provider in providers if provider["posthog"]]
    if not with_posthog:
        fix = "call otel_posthog.configure() after the other library, or export OTEL_TRACES_EXPORTER=posthog"
        yield Line("providers", "fault", "No provider sends to PostHog.", fix)
    elif not any(provider["is_global"] for provider in with_posthog):
        other = seen["foreign_provider"] or next((p["name"] for p in providers if p["is_global"]), "none")
        text = f"PostHog is not attached to the global provider ({other}), which most instrumentations use."
        yield Line("providers", "warning", text, "call otel_posthog.configure() last, or pass it tracer_provider=")


def check_spans(setup: Setup, seen: Report) -> Iterator[Line]:
    """Spans by scope, and which of them were AI."""
    for scope, started in sorted(seen["started"].items()):
        readers = {reader: count for (of, reader), count in seen["ai"].items() if of == scope}
        ai = ", ".join(f"{count} AI (read as {reader})" for reader, count in sorted(readers.items())) or "no AI span"
        yield Line("spans", "info", f"{scope}: {started} started, {seen['ended'][scope]} ended, {ai}.")
    if open_ := sum(seen["started"].values()) - sum(seen["ended"].values()):
        yield Line("spans", "warning", f"{_spans(open_)} never ended, and only ended spans are sent.")
    total = sum(seen["ended"].values())
    if not sum(seen["ai"].values()):
        text = f"{_spans(total)} ended, none of an AI call." if total else "No span ended."
        yield Line("spans", "fault", text)
        yield from _untraced(seen)


def _untraced(seen: Report) -> Iterator[Line]:
    """Why the clients that the app imported wrote no span."""
    owners = instrumentations.instrumentors()
    for client in seen["clients"]:
        own = {n: e for n, e in owners.items() if client in instrumentations.instrumented_by(e)}
        if not own:
            text = f"{client} is used, and nothing traces it."
            yield Line("spans", "fault", text, f"pip install {instrumentations.CLIENTS[client]}")
        elif not any(_is_active(entry.module, seen) for entry in own.values()):
            text = f"{client} is used, and its instrumentation is not active ({', '.join(own)})."
            call = f"{next(iter(own.values())).attr}().instrument()"
            yield Line("spans", "fault", text, f"call {call} at start, or run the app with opentelemetry-instrument")
        else:
            text = f"{client} is used and traced, but no call ended."
            yield Line("spans", "warning", text, "call instrument() before clients are made, and make a call")


def _is_active(module: str, seen: Report) -> bool:
    return any(active == module or active.startswith(module + ".") for active in seen["active"])


def check_events(setup: Setup, seen: Report) -> Iterator[Line]:
    """What was delivered, dropped or sent twice."""
    events = seen["events"]
    total, ai = sum(events.values()), sum(seen["ai"].values())
    accepted, delivered, pending = (
        sum(stats[name] for stats in seen["stats"]) for name in ("accepted", "delivered", "pending")
    )
    dropped = sum((Counter(stats["dropped"]) for stats in seen["stats"]), Counter[str]())
    if seen["stats"]:
        text = (
            f"{_events(accepted)} accepted, {delivered} delivered, {sum(dropped.values())} dropped, {pending} pending."
        )
        yield Line("events", "ok" if delivered else "info", text)
    if events:
        yield Line(
            "events", "ok", "Sent: " + ", ".join(f"{count} {name}" for name, count in sorted(events.items())) + "."
        )
    elif ai:
        answers = ", ".join(f"{answer} ({count})" for answer, count in seen["requests"].items()) or "no request"
        fix = "see the messages below" if seen["messages"] else "call flush() or shutdown() before the app ends"
        yield Line("events", "fault", f"{_spans(ai)} of AI calls ended, and no event was delivered: {answers}.", fix)
    for reason, count in sorted(dropped.items()):
        yield Line("events", "warning", f"{_events(count)} dropped: {reason}.")
    if pending:
        text = f"Not sent when the app ended: {_events(pending)}."
        yield Line("events", "warning", text, "call otel_posthog.flush() before the app ends")
    merged_count = seen["without_event"] - sum(dropped.values())
    if total and merged_count > 0:
        text = f"Merged with another record of the same call: {_spans(merged_count)}."
        yield Line("events", "info", text)
    if seen["repeated"]:
        text = f"Sent twice: {_events(seen['repeated'])}."
        yield Line("events", "warning", text, "attach PostHog once")
    for library, count in sorted(seen["other_libraries"].items()):
        text = f"{library} sent {_events(count)} to PostHog as well: calls are counted twice."
        yield Line("events", "warning", text, "keep one of the two, see docs/troubleshooting.md")
    if seen["otlp_requests"]:
        text = "Spans are sent to PostHog's OTLP endpoint as well: calls are counted twice."
        yield Line("events", "warning", text, "remove the OTLP exporter to PostHog")
    if seen["killed"]:
        text = f"{seen['killed']} of {seen['processes']} processes ended abruptly; the counts may be too low."
        yield Line("events", "warning", text, "end the app with SIGINT, or let it handle SIGTERM")


def check_content(setup: Setup, seen: Report) -> Iterator[Line]:
    """Which events have text, and a user."""
    for scope, calls in sorted(seen["calls"].items()):
        count = seen["with_content"][scope]
        text = f"{scope}: {count} of {calls} calls have prompts or answers."
        yield Line("content", "ok" if count == calls else "warning", text)
        if not count:
            yield from _switches(setup, scope)
    total, users = sum(seen["events"].values()), ", ".join(sorted(seen["users"]))
    if total:
        text = f"{seen['with_user']} of {total} events have a user{users and f': {users}'}."
        fix = None if users else "with otel_posthog.context(distinct_id=…), or set user.id on a span"
        yield Line("content", "ok" if users else "info", text, fix)


def _switches(setup: Setup, scope: str) -> Iterator[Line]:
    """Why the calls of a scope have no content."""
    if setup.settings is not None and not setup.settings.capture_content:
        source = setup.settings.sources.get("capture_content")
        yield Line("content", "info", f"capture_content is false ({source}).")
        return
    for name, entry in instrumentations.instrumentors().items():
        if scope == entry.module or scope.startswith(entry.module + "."):
            yield from instrumentations.content_of(name, setup.environ)


def check_messages(setup: Setup, seen: Report) -> Iterator[Line]:
    """What OpenTelemetry and this package logged."""
    for text, count in seen["messages"].items():
        yield Line("messages", "warning", f"logged{f' {count} times' if count > 1 else ''}: {text}")


CHECKS: tuple[Callable[[Setup, Report], Iterator[Line]], ...] = (
    check_providers,
    check_spans,
    check_events,
    check_content,
    check_messages,
)


def _spans(count: int) -> str:
    return f"{count} span" if count == 1 else f"{count} spans"


def _events(count: int) -> str:
    return f"{count} event" if count == 1 else f"{count} events"
