"""Markdown in messages: what is formatted, and that nothing in it can act."""

from __future__ import annotations

import re

import pytest

from otel_posthog.local.web.markdown import BUDGET, LONGEST, Formatter


def html(text: str) -> str:
    found = Formatter().html(text)
    assert found is not None
    return str(found)


def test_markdown_is_formatted() -> None:
    assert html("## Plan\n\n1. **Read** `a.py`\n2. Write") == (
        '<p class="h2">Plan</p>\n<ol>\n<li><strong>Read</strong> <code>a.py</code></li>\n<li>Write</li>\n</ol>\n'
    )


def test_tables_are_aligned_without_style_attributes() -> None:
    found = html("| a | b |\n| --- | ---: |\n| 1 | 2 |")
    assert '<td class="right">2</td>' in found
    assert "style" not in found


@pytest.mark.parametrize("text", ["What is the capital of France?", "2 * 3 * 4 = 24", "snake_case_name", "a < b", ""])
def test_text_that_is_no_markdown_stays_text(text: str) -> None:
    assert Formatter().html(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "**x** <script>alert(1)</script>",
        "**x** <img src=x onerror=alert(1)>",
        "# <svg/onload=alert(1)>",
        "- [x](javascript:alert(1))",
        "- [x](data:text/html,<script>alert(1)</script>)",
        "- <javascript:alert(1)>",
        "- [x]: vbscript:x\n\n[x]",
        "```html onload=alert(1)\n<script>alert(1)</script>\n```",
        "**x** ![x](https://evil.example/x.png)",
        '**x** [a](https://e.example/"onmouseover="alert(1))',
    ],
)
def test_nothing_in_it_can_act(text: str) -> None:
    tags = re.findall(r"<(\w+)([^>]*)>", html(text))
    assert {name for name, _ in tags} <= {"p", "strong", "ul", "li", "a", "pre", "code"}
    for name, attributes in tags:
        assert not re.search(r"\son\w+=", re.sub(r'"[^"]*"', '""', attributes))
        if name == "a":
            assert 'href="https://' in attributes
            assert 'rel="noopener noreferrer nofollow"' in attributes


@pytest.mark.parametrize("text", ["**a** " + "x" * LONGEST, "**a** " + "[" * 5000])
def test_what_would_take_long_stays_text(text: str) -> None:
    assert Formatter().html(text) is None


def test_a_page_formats_so_much_and_no_more() -> None:
    formatter, text = Formatter(), "**a** " + "x" * 4000
    results = [formatter.html(text) is not None for _ in range(20)]
    assert results == [True] * (BUDGET // len(text)) + [False] * (20 - BUDGET // len(text))
