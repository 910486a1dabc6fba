"""JSON as folded, coloured HTML, with bounds on what one page may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import orjson
from markupsafe import Markup, escape

_MOST_NODES = 2000  # in one view; the raw event has the rest
_DEEPEST = 40
_LONGEST_TEXT = 2000  # characters
_OPEN_DEPTH = 2


def json_view(value: Any, seq: int, pointer: str) -> Markup:
    """The value at a JSON pointer of an event. Long strings are cut and offer the rest."""
    view = _View(seq)
    return Markup(f'<div class="json">{"".join(view.parts(value, pointer, 0))}</div>')  # noqa: S704


class _View:
    """``left`` counts down the nodes that may still be shown."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.left = _MOST_NODES

    def parts(self, value: Any, pointer: str, depth: int) -> Iterator[str]:
        self.left -= 1
        if self.left < 0:
            yield '<span class="more">…</span>' if self.left == -1 else ""
        elif isinstance(value, dict | list) and value:
            if depth >= _DEEPEST:
                yield str(escape(orjson.dumps(value)[:_LONGEST_TEXT].decode(errors="replace")))
                return
            yield from self._container(value, pointer, depth)
        elif isinstance(value, str):
            yield self._text(value, pointer)
        else:
            kind = "n" if isinstance(value, int | float) and not isinstance(value, bool) else "k"
            yield f'<span class="j-{kind}">{escape(orjson.dumps(value).decode())}</span>'

    def _container(self, value: dict[str, Any] | list[Any], pointer: str, depth: int) -> Iterator[str]:
        items: Any = value.items() if isinstance(value, dict) else enumerate(value)
        noun = f"{{{len(value)}}}" if isinstance(value, dict) else f"[{len(value)}]"
        yield f"<details{' open' if depth < _OPEN_DEPTH else ''}><summary>{noun}</summary><ul>"
        for key, inner in items:
            if self.left <= 0:
                yield '<li class="more">… more in the raw event</li>'
                break
            step = str(key).replace("~", "~0").replace("/", "~1")
            yield f'<li><span class="j-key">{escape(str(key)[:200])}</span> '
            yield from self.parts(inner, f"{pointer}/{step}", depth + 1)
            yield "</li>"
        yield "</ul></details>"

    def _text(self, value: str, pointer: str) -> str:
        shown = f'<span class="j-s">{escape(value[:_LONGEST_TEXT])}</span>'
        if len(value) <= _LONGEST_TEXT:
            return shown
        query = urlencode({"seq": self.seq, "pointer": pointer, "offset": _LONGEST_TEXT})
        return (
            f'{shown}<button class="more" hx-get="/local/event/text?{escape(query)}" hx-swap="outerHTML">'
            f"… {len(value) - _LONGEST_TEXT:,} more characters</button>"
        )
