"""The routes of the page. All read the store through `catalogue`, `dashboard` and the index."""

from __future__ import annotations

import time
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from otel_posthog._version import __version__
from otel_posthog.local import catalogue
from otel_posthog.local.catalogue import PAGE, Filter
from otel_posthog.local.comparison import compare
from otel_posthog.local.dashboard import dashboard
from otel_posthog.local.prices import table_version
from otel_posthog.local.store import Store
from otel_posthog.local.web.details import details_message, details_page, details_raw, details_text
from otel_posthog.local.web.render import HERE, is_fragment, link, render, render_page, store_of
from otel_posthog.local.web.security import is_from_this_page, page_middleware
from otel_posthog.local.web.stream import stream
from otel_posthog.local.web.trace import trace_page, trace_text

_RANGES = {"15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}  # seconds
_KINDS = ("generation", "embedding", "span", "trace", "evaluation", "feedback", "metric")


def page_routes(host: str) -> list[BaseRoute]:
    """Everything but capture. ``host`` is the address that the server is bound to."""
    middleware = page_middleware(host)
    pages = [
        Route("/trace", trace_page),
        Route("/trace/text", trace_text),
        Route("/event", details_page),
        Route("/event/text", details_text),
        Route("/event/message", details_message),
        Route("/event/raw", details_raw),
        Route("/generations", generations_page),
        Route("/sessions", sessions_page),
        Route("/users", users_page),
        Route("/dashboard", dashboard_page),
        Route("/dashboard/data", dashboard_data),
        Route("/compare", compare_page),
        Route("/refused", refused_page),
        Route("/stream", stream),
        Route("/clear", clear, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    return [
        Route("/", traces_page, middleware=middleware),
        Route("/local/about", about),  # the exporter asks by whatever name it knows this host
        Mount("/local", routes=pages, middleware=middleware),
    ]


async def about(request: Request) -> Response:
    explain = bool(request.app.state.explain)  # whether exporters should say how they made each event
    return JSONResponse({"otel_posthog_local": True, "version": __version__, "explain": explain})


def traces_page(request: Request) -> Response:
    store = store_of(request)
    wanted, before = _filter(request), _number(request, "before")
    rows = catalogue.traces(store, wanted, before, PAGE + 1)
    values = {**_list_values(request, store, wanted), "rows": rows[:PAGE], "before": before}
    values["older"] = _older(request, rows[PAGE - 1].first_seq) if len(rows) > PAGE else None
    if is_fragment(request):
        return render(request, "trace_rows.html", **values, counts=catalogue.counts(store), host=_host(request))
    return render_page(request, "traces.html", title="Traces", **values)


def generations_page(request: Request) -> Response:
    store = store_of(request)
    wanted, before = _filter(request), _number(request, "before")
    kind = request.query_params.get("kind", "generation")
    event = f"$ai_{kind}" if kind in _KINDS else ""
    rows = catalogue.events(store, wanted, event, before, PAGE + 1)
    values = {**_list_values(request, store, wanted), "rows": rows[:PAGE], "before": before}
    values["older"] = _older(request, rows[PAGE - 1].seq) if len(rows) > PAGE else None
    values.update(kind=kind, kinds=_KINDS)
    if is_fragment(request):
        return render(request, "generation_rows.html", **values, counts=catalogue.counts(store), host=_host(request))
    return render_page(request, "generations.html", title="Generations", **values)


def sessions_page(request: Request) -> Response:
    return _groups(request, "session")


def users_page(request: Request) -> Response:
    return _groups(request, "user")


def dashboard_page(request: Request) -> Response:
    store = store_of(request)
    wanted = _filter(request)
    values = {**_list_values(request, store, wanted), "numbers": dashboard(store, wanted.since, wanted.project)}
    return render_page(request, "dashboard.html", title="Dashboard", **values, prices=table_version())


def dashboard_data(request: Request) -> Response:
    wanted = _filter(request)
    numbers = dashboard(store_of(request), wanted.since, wanted.project)
    # Sums of absurd numbers may be infinite, which JSON cannot say: orjson writes null.
    document = orjson.dumps({"width": numbers.width, "series": numbers.series})
    return Response(document, media_type="application/json")


def compare_page(request: Request) -> Response:
    store = store_of(request)
    # The earlier one first, in whatever order they were ticked.
    chosen = sorted(int(value) for value in request.query_params.getlist("e")[:2] if _is_number(value))
    facts = [found for seq in chosen if (found := catalogue.event(store, seq)) is not None]
    events = [event for fact in facts if (event := store.event(fact.seq)) is not None]
    if len(events) < 2:
        others = catalogue.events(store, Filter(), "$ai_generation", limit=PAGE)
        others = [other for other in others if not facts or other.seq != facts[0].seq]
        return render_page(request, "compare_choose.html", title="Compare", facts=facts, rows=others)
    result = compare(events[0], events[1])
    return render_page(request, "compare.html", title="Compare", a=facts[0], b=facts[1], result=result)


def refused_page(request: Request) -> Response:
    rows = store_of(request).refused(200)
    return render_page(request, "refused.html", title="Refused", rows=rows)


def clear(request: Request) -> Response:
    if not is_from_this_page(request):
        return PlainTextResponse("only this page's own button may do that", 403)
    request.app.state.store.clear()
    return Response(status_code=204, headers={"HX-Redirect": "/"})


def _groups(request: Request, by: str) -> Response:
    store = store_of(request)
    wanted = _filter(request)
    find = catalogue.sessions if by == "session" else catalogue.users
    values: dict[str, Any] = {**_list_values(request, store, wanted), "rows": find(store, wanted), "by": by}
    if is_fragment(request):
        return render(request, "group_rows.html", **values)
    return render_page(request, "groups.html", title=f"{by}s".capitalize(), **values)


def _list_values(request: Request, store: Store, wanted: Filter) -> dict[str, Any]:
    return {
        "wanted": wanted,
        "range": request.query_params.get("since", ""),
        "ranges": list(_RANGES),
        "models": catalogue.models(store),
        "projects": catalogue.projects(store),
        "address": str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
    }


def _filter(request: Request) -> Filter:
    query = request.query_params
    length = _RANGES.get(query.get("since", ""))
    return Filter(
        text=query.get("q", "")[:500],
        user=query.get("user", ""),
        session=query.get("session", ""),
        model=query.get("model", ""),
        project=query.get("project", ""),
        errors=query.get("errors", "") == "1",
        since=0.0 if length is None else time.time() - length,
    )


def _older(request: Request, before: int) -> str:
    return link(request.url.path, **{**dict(request.query_params), "before": before})


def _number(request: Request, name: str) -> int | None:
    value = request.query_params.get(name, "")
    return int(value) if _is_number(value) else None


def _is_number(value: str) -> bool:
    """Whether it may be the number of an event: SQLite has 64 bits."""
    return value.isdecimal() and len(value) < 16


def _host(request: Request) -> str:
    return str(request.base_url).rstrip("/")
