"""Markdown in messages as HTML. Raw HTML stays text, images become links, and only http(s) addresses are links."""

from __future__ import annotations

import re
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

LONGEST = 8000  # characters of a text that is formatted
BUDGET = 40_000  # characters on one page
_MOST_BRACKETS = 200  # opening ones, for which the parser takes quadratic time

_LOOKS_LIKE_MARKDOWN = re.compile(
    r"^ {0,3}(#{1,6} |[-*+] |\d{1,3}[.)] |> |```|~~~|\|.*\|)|\*\*\S|`[^`\n]+`|\[[^\]\n]{1,200}\]\(https?://",
    re.MULTILINE,
)


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        return url.lower().startswith(("http://", "https://"))


_markdown = _Markdown("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


class Formatter:
    """Formats the texts of one page, as long as its budget lasts."""

    def __init__(self) -> None:
        self._left = BUDGET

    def html(self, text: str) -> Markup | None:
        """The text as HTML, ``None`` if it is to be shown as it is."""
        if len(text) > min(LONGEST, self._left) or text.count("[") > _MOST_BRACKETS:
            return None
        if not _LOOKS_LIKE_MARKDOWN.search(text):
            return None
        self._left -= len(text)
        tokens = _markdown.parse(text)
        for token in tokens:
            _adapt(token)
        return Markup(_markdown.renderer.render(tokens, _markdown.options, {}))  # noqa: S704 - html is off


def _adapt(token: Token) -> None:
    """No style attributes, which the page's policy forbids; no headings among the page's own; links leave the page."""
    style: Any = token.attrs.pop("style", "")
    if style:
        token.attrs["class"] = str(style).rpartition(":")[2]
    if token.type == "heading_open":
        token.attrs["class"] = token.tag
    if token.type in ("heading_open", "heading_close"):
        token.tag = "p"
    if token.type == "link_open":
        token.attrs.update(target="_blank", rel="noopener noreferrer nofollow")
    for child in token.children or ():
        _adapt(child)
