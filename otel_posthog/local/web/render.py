"""Templates, and what they need to show numbers, times and long texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from otel_posthog._version import __version__
from otel_posthog.local import catalogue, formats
from otel_posthog.local.conversation import parse_json
from otel_posthog.local.facts import Facts
from otel_posthog.local.index import refresh
from otel_posthog.local.store import Store
from otel_posthog.local.transcript import as_text
from otel_posthog.local.web.json_view import json_view
from otel_posthog.local.web.markdown import Formatter

HERE = Path(__file__).parent
FIRST_PIECE = 20_000  # characters of a text that a page holds
NEXT_PIECE = 200_000  # characters that come on demand

_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


def store_of(request: Request) -> Store:
    """The store, with its index up to date. The page remembers the state of it that it shows."""
    store: Store = request.app.state.store
    refresh(store)
    request.state.seen = store.state()
    return store


def is_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of a page it shows already."""
    return request.headers.get("hx-request") == "true" and "hx-history-restore-request" not in request.headers


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A part of a page, or a page of its own."""
    fragment = is_fragment(request)
    return HTMLResponse(_environment.get_template(template).render(fragment=fragment, **values), status)


def render_page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page with everything around it."""
    store: Store = request.app.state.store
    host = str(request.base_url).rstrip("/")
    common = {
        "counts": catalogue.counts(store),
        "host": host,
        "version": __version__,
        "here": request.url.path,
        "seen": request.state.seen,
    }
    return render(request, template, status, **common, **values)


def link(path: str, **query: Any) -> str:
    """A path with a query; empty values are left out."""
    known = {name: value for name, value in query.items() if value not in (None, "", False)}
    return f"{path}?{urlencode(known)}" if known else path


def text_view(value: Any, seq: int, pointer: str, offset: int = 0, length: int = FIRST_PIECE) -> Markup:
    """A text, or its beginning with a button for what follows."""
    text = as_text(value)
    template = _environment.get_template("text.html")
    end = offset + length
    rest = max(len(text) - end, 0)
    more = link("/local/event/text", seq=seq, pointer=pointer, offset=end) if rest else None
    return Markup(template.render(text=text[offset:end], more=more, rest=rest))  # noqa: S704


def formatted_view(value: Any, seq: int, pointer: str, formatter: Formatter) -> Markup:
    """A text that is Markdown as HTML, with a button for the text as it was sent; any other as `text_view`."""
    html = formatter.html(value) if isinstance(value, str) else None
    if html is None:
        return text_view(value, seq, pointer)
    plain = link("/local/event/text", seq=seq, pointer=pointer, offset="0")
    return Markup(_environment.get_template("formatted.html").render(html=html, plain=plain))  # noqa: S704


def preview(value: Any) -> str:
    """The beginning of a tool call's arguments, on one line."""
    text = value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()
    return " ".join(text[:400].split())[:160]


def tokens(sent: float | None, received: float | None) -> str:
    return "" if sent is None and received is None else f"{formats.count(sent)} → {formats.count(received)}"


def measures(facts: Facts) -> str:
    """Latency, cost and tokens of a node, as far as it has them."""
    counted = tokens(facts.input_tokens, facts.output_tokens) if facts.is_priced else ""
    parts = (formats.seconds(facts.latency), formats.money(facts.cost), counted)
    return " · ".join(part for part in parts if part)


_environment.filters.update(
    money=formats.money,
    price=formats.price,
    parsed=parse_json,
    seconds=formats.seconds,
    count=formats.count,
    moment=formats.moment,
    clock=formats.clock,
    kind=formats.kind,
    project_label=formats.project_label,
    size=formats.size,
    preview=preview,
)
_environment.globals.update(
    link=link,
    text_view=text_view,
    formatted_view=formatted_view,
    formatter=Formatter,
    json_view=json_view,
    tokens=tokens,
    measures=measures,
)
