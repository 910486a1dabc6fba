"""One trace: the tree and waterfall, and the whole of it as text."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from otel_posthog.local import catalogue, formats
from otel_posthog.local.conversation import conversation_of
from otel_posthog.local.store import Store
from otel_posthog.local.transcript import plain_text
from otel_posthog.local.web.details import details_of
from otel_posthog.local.web.render import is_fragment, render, render_page, store_of
from otel_posthog.local.web.waterfall import waterfall

_MOST_ROWS = 1000  # of a trace on one page
_MOST_TEXT = 2_000_000  # characters of a trace as text


def trace_page(request: Request) -> Response:
    """With ``node`` that event's details are open; with ``state`` an unchanged tree answers 204."""
    store = store_of(request)
    query = request.query_params
    row = catalogue.trace(store, query.get("id", ""), query.get("project") or None)
    if row is None:
        return render_page(request, "missing.html", 404, title="No such trace", what=query.get("id", "")[:200])
    state = f"{row.last_seq}-{row.events}"
    if is_fragment(request) and query.get("state") == state:
        return Response(status_code=204)
    every = query.get("all") == "1"
    events = catalogue.trace_events(store, row, -1 if every else _MOST_ROWS)
    picture = waterfall(events)
    chosen = query.get("node", "")
    rows = [found.facts for found in picture.rows]
    selected = next((facts for facts in rows if str(facts.seq) == chosen), None)
    if selected is None:
        selected = next((facts for facts in rows if facts.kind == "$ai_generation"), rows[0] if rows else None)
    if selected is None and events:
        selected = events[0]
    values: dict[str, Any] = {
        "row": row,
        "picture": picture,
        "state": state,
        "selected": selected.seq if selected else 0,
        "hidden": 0 if every else max(row.events - _MOST_ROWS, 0),
        "trace_event": next((event for event in events if event.kind == "$ai_trace"), None),
        "verdicts": [event for event in events if event.is_judgement and event.on_trace],
    }
    if is_fragment(request):
        return render(request, "trace_tree.html", **values)
    older, newer = catalogue.neighbours(store, row)
    values.update(older=older, newer=newer, projects=catalogue.projects(store))
    details = None if selected is None else details_of(store, selected)
    return render_page(request, "trace.html", title=row.name or "Trace", details=details, **values)


def trace_text(request: Request) -> Response:
    """The conversations of a trace, one after the other, as plain text."""
    store: Store = request.app.state.store
    query = request.query_params
    row = catalogue.trace(store, query.get("id", ""), query.get("project") or None)
    if row is None:
        return PlainTextResponse("no such trace", 404)
    parts, length = [], 0
    for found in waterfall(catalogue.trace_events(store, row, _MOST_ROWS)).rows:
        facts = found.facts
        event = store.event(facts.seq)
        if event is None or length > _MOST_TEXT:
            continue
        head = "  " * found.depth + " ".join(
            part for part in (formats.kind(facts.kind), facts.name, facts.model, facts.error) if part
        )
        parts.append(f"# {head}\n{plain_text(conversation_of(event['properties']))}".strip()[:_MOST_TEXT])
        length += len(parts[-1])
    return PlainTextResponse("\n\n".join(parts))
