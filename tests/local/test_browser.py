"""The page in a real browser. SCREENSHOTS=folder also writes the pictures of the documentation there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_posthog.local import LocalPostHog
from tests.local.samples import event, history, samples, send

WEATHER = "5b3fcdfbfffe9bbed75f68277389af09"
OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Open an address in a context of its own. Whatever the page complains about fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(address: str, width: int = 1280, height: int = 800, scheme: str = "light") -> Any:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # At the end of a test the server may be gone before the page that listens to it.
    assert [line for line in complaints if "net::ERR_CONNECTION_REFUSED" not in line] == []


def picture(page: Any, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")


def rows(page: Any) -> Any:
    return page.locator("tr[data-row]")


def test_the_traces_of_the_demo_appear_live(open_page: OpenPage, tmp_path: Path) -> None:
    with LocalPostHog(database=tmp_path / ".local.db") as posthog:
        page = open_page(posthog.url)
        page.locator(".setup").wait_for()
        picture(page, "local-empty")
        # Another process writes the same file.
        root = Path(__file__).parents[2]
        command = [sys.executable, "-m", "examples.demo"]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        page.locator("tr[data-row]", has_text="1 failed").wait_for()
        assert page.locator("#counts").inner_text() == "1 trace, 5 generations, 6 events"
        rows(page).first.click()
        page.locator("#details .message.assistant").wait_for()
        assert "Paris" in page.locator("#details").inner_text()
        # The demo's exporter said how it made the event.
        page.locator("[data-tab=why]").click()
        assert "opentelemetry.instrumentation.openai_v2" in page.locator("[data-panel=why]").inner_text()


def test_a_trace_is_read_node_by_node(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, [*history(time.time() - 60, 40), *samples()])
        page = open_page(posthog.url)
        picture(page, "local-traces")
        page.locator("a.open", has_text="Travel question").click()
        page.locator("a.node-link", has_text="chat gpt-4o").nth(1).click()
        page.locator("#details .call-result").wait_for()
        call = page.locator("#details .call").first.inner_text()
        assert "get_weather" in call
        assert "call_7f3a" in call
        assert "celsius" in call
        assert "No umbrella needed" in page.locator("#details .message.assistant").last.inner_text()
        assert not page.locator("#details .message.system").evaluate("found => found.open")
        picture(page, "local-trace")
        page.locator("[data-tab=why]").click()
        assert "openinference.instrumentation.openai" in page.locator("[data-panel=why]").inner_text()
        page.locator("[data-tab=properties]").click()
        page.locator("[data-narrow]").fill("cache_read")
        names = page.locator("[data-panel=properties] tr:visible th")
        assert names.all_inner_texts() == ["$ai_cache_read_input_tokens"]
        # The chosen tab stays when another node is opened, and the address follows.
        page.locator("a.node-link", has_text="embed question").click()
        page.locator("#details h2", has_text="text-embedding-3-small").wait_for()
        assert page.locator("[data-tab=properties]").get_attribute("aria-selected") == "true"
        assert "node=" in page.url


def test_an_open_trace_grows_and_keeps_what_is_open(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(f"{posthog.url}/local/trace?id={WEATHER}")
        page.locator("a.node-link", has_text="get_weather").click()
        page.locator("#details h2", has_text="get_weather").wait_for()
        page.locator("button.fold").nth(1).click()
        page.locator("#live.on").wait_for()
        send(
            posthog.url,
            [event("$ai_span", time.time(), WEATHER, span_id="late", parent_id="a1", span_name="a late step")],
        )
        page.locator("a.node-link", has_text="a late step").wait_for()
        assert page.locator("#details h2").inner_text().endswith("get_weather")
        assert page.locator("a[aria-current]", has_text="get_weather").count() == 1
        assert page.locator("a.node-link", has_text="helpfulness").is_hidden()


def test_lists_are_filtered_without_leaving_the_page(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(posthog.url)
        page.keyboard.press("/")
        page.keyboard.type("umbrella")
        page.locator("tr[data-row]", has_text="Summarise").wait_for(state="detached")
        assert rows(page).count() == 1
        assert "q=umbrella" in page.url
        page.locator("#q").fill("")
        page.locator("tr[data-row]", has_text="Summarise").wait_for()
        page.locator("input[name=errors]").check()
        page.locator("tr[data-row]", has_text="umbrella").wait_for(state="detached")
        assert "RateLimitError" in rows(page).inner_text()
        assert "no price known" in rows(page).inner_text()
        page.locator("input[name=errors]").uncheck()
        page.locator("tr[data-row]", has_text="umbrella").wait_for()
        page.locator("select[name=model]").select_option("claude-sonnet-4-5")
        page.locator("tr[data-row]", has_text="umbrella").wait_for(state="detached")
        assert "What colour is this?" in rows(page).inner_text()


def test_two_generations_are_compared(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(f"{posthog.url}/local/generations")
        chosen = [row for row in rows(page).all() if "gpt-4o-2024-08-06" in row.inner_text()]
        for row in chosen:
            row.locator("input[name=e]").check()
        page.locator("[data-compare]").click()
        page.locator("table.compare").wait_for()
        assert page.locator("tr.differs", has_text="tokens in").inner_text().split() == [
            "tokens",
            "in",
            "1,911",
            "1,820",
        ]
        assert page.locator("tr.differs", has_text="temperature").count() == 0
        assert "get_weather" in page.locator(".diff").first.inner_text()
        picture(page, "local-compare")


def test_the_dashboard_draws_its_plots(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, [*history(time.time() - 60, 200), *samples()])
        page = open_page(f"{posthog.url}/local/dashboard", height=1120)
        page.locator(".plots[data-drawn]").wait_for()
        assert page.locator(".plot canvas").count() == 4
        assert "p95" in page.locator(".u-legend").nth(1).inner_text()
        assert page.locator(".models-table tbody tr").count() == 6
        picture(page, "local-dashboard")
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.locator(".plot canvas").count() == 4


def test_a_hostile_prompt_does_nothing(open_page: OpenPage) -> None:
    script = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">{{7*7}}"
    hostile = event(
        "$ai_generation", time.time(), "t" + script, script, span_id="s", span_name=script, model=script,
        input=[{"role": "user", "content": [
            {"type": "text", "text": script}, {"type": "image_url", "image_url": {"url": "https://evil.example/x.png"}},
            {"type": "image_url", "image_url": {"url": "javascript:document.title='owned'"}}]},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": script, "arguments": script}}]},
            {"role": "tool", "tool_call_id": "1", "content": script}],
        output_choices=[{"role": "assistant", "content": script}], tools=[{"name": script, "description": script}],
        _extra={script: script, "hx-get": "/local/clear"})  # fmt: skip
    long = event("$ai_generation", time.time(), "t" + script, span_id="l", span_name="long", output_tokens=1,
                 input=[{"role": "user", "content": "x" * 1_000_000}])  # fmt: skip
    with LocalPostHog() as posthog:
        send(posthog.url, [hostile, long])
        page = open_page(posthog.url)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        rows(page).first.locator("a.open").click()
        page.locator("#details .message").first.wait_for()
        for tab in ("tools", "properties", "raw"):
            page.locator(f"[data-tab={tab}]").click()
        page.locator("a.node-link", has_text="long").click()
        page.locator("#details h2", has_text="long").wait_for()
        page.locator("[data-tab=conversation]").click()
        page.locator("button.more", has_text="Show more").first.click()
        page.locator("button.more", has_text="780 thousand").first.wait_for()
        assert "owned" not in page.title()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert [url for url in asked if not url.startswith((posthog.url, "data:"))] == []
        assert len(posthog.events()) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_a_phone(open_page: OpenPage, scheme: str) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(posthog.url, 390, 844, scheme)
        for path in (
            "/",
            f"/local/trace?id={WEATHER}",
            "/local/generations",
            "/local/dashboard",
            "/local/compare?e=4&e=6",
        ):
            page.goto(posthog.url + path)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        page.goto(f"{posthog.url}/local/trace?id={WEATHER}")
        picture(page, f"local-phone-{scheme}")


def test_keys_move_through_a_trace(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(f"{posthog.url}/local/trace?id={WEATHER}", scheme="dark")
        page.keyboard.press("j")
        page.locator("#details h2", has_text="get_weather").wait_for()
        page.keyboard.press("k")
        page.locator("#details h2", has_text="gpt-4o").wait_for()
        picture(page, "local-trace-dark")
        page.keyboard.press("[")
        page.wait_for_url("**/local/trace?id=c3d1*")


def test_everything_can_be_cleared_from_the_page(browser: Any) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = browser.new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(posthog.url)
        page.locator("#clear").click()
        page.locator(".setup").wait_for()
        page.close()
        assert posthog.events() == []
