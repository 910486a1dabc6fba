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

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import expect
except ImportError:  # the fixture `browser` says what is missing
    Axe = expect = None

# In one worker, with one browser.
pytestmark = pytest.mark.xdist_group("browser")

WEATHER = "5b3fcdfbfffe9bbed75f68277389af09"
OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenPage]:
    """Open an address in a context of its own. Whatever the page complains about fails the test.

    Pages are closed before the server that they listen to, which the tests stop first.
    """
    contexts: list[Any] = []
    complaints: list[str] = []
    stop = LocalPostHog.stop

    def close_pages() -> None:
        while contexts:
            contexts.pop().close()

    def stop_after_the_pages(posthog: LocalPostHog) -> None:
        close_pages()
        stop(posthog)

    monkeypatch.setattr(LocalPostHog, "stop", stop_after_the_pages)

    def open_page(address: str, width: int = 1280, height: int = 800, scheme: str = "light") -> Any:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.goto(address)
        return page

    yield open_page
    close_pages()
    assert complaints == []


def picture(page: Any, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")


def rows(page: Any) -> Any:
    return page.locator("tr[data-row]")


def see_rows(page: Any, *texts: str) -> None:
    """Wait until the list has exactly these rows, each with its text."""
    expect(rows(page)).to_have_count(len(texts))  # a list of texts may be those of a part of the rows
    expect(rows(page)).to_contain_text(list(texts))


@pytest.mark.timeout(300)  # another process imports clients and instrumentations, which takes long on a busy machine
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
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        page.locator("tr[data-row]", has_text="1 failed").wait_for()
        expect(page.locator("#counts")).to_have_text("1 trace, 5 generations, 6 events")
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
        expect(page.locator("[data-panel=why]")).to_contain_text("openinference.instrumentation.openai")
        picture(page, "local-why")
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
    contract, colour, travel = "Summarise", "What colour is this?", "umbrella"
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(posthog.url)
        see_rows(page, contract, colour, travel)
        page.keyboard.press("/")
        page.keyboard.type("umbrella")
        see_rows(page, travel)
        page.wait_for_url("**/?q=umbrella*")
        page.locator("#q").fill("")
        see_rows(page, contract, colour, travel)
        page.locator("input[name=errors]").check()
        see_rows(page, contract)
        assert "RateLimitError" in rows(page).inner_text()
        assert "no price known" in rows(page).inner_text()
        page.locator("input[name=errors]").uncheck()
        see_rows(page, contract, colour, travel)
        page.locator("select[name=model]").select_option("claude-sonnet-4-5")
        see_rows(page, colour)
        page.locator("select[name=model]").select_option("")
        see_rows(page, contract, colour, travel)
        page.locator("a", has_text="maria@example.com").click()
        see_rows(page, colour)
        expect(page.locator(".chip")).to_contain_text("maria@example.com")


def test_two_generations_are_compared(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(f"{posthog.url}/local/generations")
        expect(rows(page)).to_have_count(5)
        expect(page.locator("[data-compare]")).to_be_disabled()
        calls = page.locator("tr[data-row]", has_text="gpt-4o-2024-08-06")
        for number in (0, 1):
            calls.nth(number).locator("input[name=e]").check()
        page.locator("[data-compare]").click()
        # The earlier one is the first, though the list has the newest above.
        expect(page.locator("tr.differs", has_text="tokens in").locator("td")).to_have_text(["1,820", "1,911"])
        assert page.locator("tr.differs", has_text="temperature").count() == 0
        assert "+ get_weather" in page.locator(".diff").first.inner_text()
        picture(page, "local-compare")


def test_the_dashboard_draws_its_plots(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, [*history(time.time() - 60, 200), *samples()])
        page = open_page(f"{posthog.url}/local/dashboard", height=1120)
        page.locator(".plots[data-drawn]").wait_for()
        expect(page.locator(".plot canvas")).to_have_count(4)
        assert "p95" in page.locator(".u-legend").nth(1).inner_text()
        # Parts that stand on each other.
        kinds = page.locator("figure", has_text="input without cache").locator(".u-legend .u-label")
        assert set(kinds.all_inner_texts()) == {"Time", "input", "cache read", "output", "reasoning"}
        expect(page.locator(".models-table tbody tr")).to_have_count(6)
        picture(page, "local-dashboard")
        page.keyboard.press("t")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(page.locator(".plot canvas")).to_have_count(4)


SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">{{7*7}}"


def test_script_in_every_field_does_nothing(open_page: OpenPage) -> None:
    markdown = f"# {SCRIPT}\n- [x](javascript:document.title='owned') ![x](https://evil.example/x.png) **{SCRIPT}**"
    why = {"reader": SCRIPT, "scope": SCRIPT, "sources": {SCRIPT: [SCRIPT]}, "dropped": {SCRIPT: SCRIPT}}
    hostile = event(
        "$ai_generation", time.time(), "t" + SCRIPT, SCRIPT, span_id="s", span_name=SCRIPT, model=SCRIPT,
        provider=SCRIPT, session_id=SCRIPT, is_error=True, error=SCRIPT, error_type=SCRIPT, http_status=SCRIPT,
        input=[{"role": "user", "content": [
            {"type": "text", "text": SCRIPT}, {"type": "text", "text": markdown},
            {"type": "image_url", "image_url": {"url": "https://evil.example/x.png"}},
            {"type": "image_url", "image_url": {"url": "javascript:document.title='owned'"}}]},
            {"role": SCRIPT, "tool_calls": [{"id": SCRIPT, "function": {"name": SCRIPT, "arguments": SCRIPT}}]},
            {"role": "tool", "tool_call_id": SCRIPT, "content": SCRIPT}],
        output_choices=[{"role": "assistant", "content": SCRIPT}], tools=[{"name": SCRIPT, "description": SCRIPT}],
        model_parameters={SCRIPT: SCRIPT},
        _extra={SCRIPT: SCRIPT, "hx-get": "/local/clear", "$set": {SCRIPT: SCRIPT}, "$otel_posthog_explain": why},
    )  # fmt: skip
    named = [
        event("$ai_trace", time.time(), "t" + SCRIPT, SCRIPT, trace_name=SCRIPT),
        event("$ai_evaluation", time.time(), "t" + SCRIPT, SCRIPT, span_id="e", target_span_id="s",
              evaluation_name=SCRIPT, evaluation_result=SCRIPT, evaluation_reasoning=markdown),
        event("$ai_feedback", time.time(), "t" + SCRIPT, SCRIPT, span_id="f", feedback_text=SCRIPT),
        {**hostile, "uuid": "00000000-0000-0000-0000-000000000002"},
    ]  # fmt: skip
    with LocalPostHog() as posthog:
        send(posthog.url, [hostile, *named], "phc_" + SCRIPT)
        send(posthog.url, samples())
        page = open_page(posthog.url)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.locator("tr[data-row]", has_text="document.title").locator("a.open").click()
        page.locator("#details .message").first.wait_for()
        for tab in ("tools", "parameters", "why", "properties", "raw"):
            page.locator(f"[data-tab={tab}]").click()
            expect(page.locator(f"[data-panel={tab}]")).to_contain_text("document.title")
        for node in page.locator("a.node-link").all():
            node.click()
            expect(page.locator("#details article")).to_have_attribute("data-seq", node.get_attribute("data-seq"))
        for path in ("generations?kind=all", "sessions", "users", "dashboard", "compare?e=1&e=5", "compare?e=1"):
            page.goto(f"{posthog.url}/local/{path}")
            expect(page.locator("#main")).to_contain_text("document.title")
        page.wait_for_load_state()
        assert "owned" not in page.title().replace("document.title='owned'", "")
        assert [url for url in asked if not url.startswith((posthog.url, "data:"))] == []
        assert len(posthog.events()) == 5 + len(samples())


def test_a_long_text_is_shown_in_pieces_and_breaks_no_layout(open_page: OpenPage) -> None:
    long = event("$ai_generation", time.time(), "t", "u" * 200, span_id="l", span_name="n" * 5000, model="m" * 500,
                 session_id="s" * 500, is_error=True, error="e" * 5000, output_tokens=1,
                 input=[{"role": "user", "content": "x" * 1_000_000}])  # fmt: skip
    huge = event("$ai_generation", time.time(), "huge", span_id="h", span_name="huge", model="gpt-4o",
                 input=[{"role": "user", "content": "word " * 1_500_000}])  # fmt: skip
    with LocalPostHog() as posthog:
        send(posthog.url, [long])
        send(posthog.url, [huge])
        page = open_page(f"{posthog.url}/local/trace?id=t")
        page.locator("button.more", has_text="Show more (980 thousand").click()
        page.locator("button.more", has_text="780 thousand").wait_for()
        for path in ("/", "/local/trace?id=t", "/local/generations", "/local/users", "/local/dashboard"):
            page.goto(posthog.url + path)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        page.goto(f"{posthog.url}/local/trace?id=huge")
        page.locator("button.more", has_text="7 million characters").wait_for()


def test_markdown_is_formatted_and_can_be_seen_as_it_was_sent(open_page: OpenPage) -> None:
    answer = "## Contract\n\n| Item | Value |\n| --- | ---: |\n| Term | 2 years |\n\n- **Fee**: EUR 4,000"
    call = event("$ai_generation", time.time(), "t", span_id="s", model="gpt-4o",
                 output_choices=[{"role": "assistant", "content": answer}])  # fmt: skip
    with LocalPostHog() as posthog:
        send(posthog.url, [call])
        page = open_page(f"{posthog.url}/local/trace?id=t")
        expect(page.locator(".formatted td")).to_have_text(["Term", "2 years"])
        expect(page.locator(".formatted strong")).to_have_text("Fee")
        page.locator(".message.assistant").hover()
        page.locator(".formatted .plain").click()
        expect(page.locator(".message.assistant pre.text")).to_have_text(answer)
        expect(page.locator(".formatted")).to_have_count(0)


def test_a_deep_and_a_long_trace_can_be_read(open_page: OpenPage) -> None:
    now = time.time()
    deep = [
        event("$ai_span", now + n / 100, "deep", span_id=f"s{n}", parent_id=f"s{n - 1}" if n else "deep",
              span_name=f"level {n} of a chain that is as deep as it goes", latency=3 - n / 100)
        for n in range(200)
    ]  # fmt: skip
    long = [
        event(
            "$ai_span", now + n / 100, "long", span_id=f"s{n}", parent_id="s0" if n else "long", span_name=f"step {n}"
        )
        for n in range(2000)
    ]
    with LocalPostHog() as posthog:
        send(posthog.url, [*deep, *long])
        page = open_page(f"{posthog.url}/local/trace?id=deep", width=390, height=844)
        expect(page.locator("li.node")).to_have_count(200)
        widths = page.locator("li.node .label").evaluate_all("found => found.map((label) => label.clientWidth)")
        assert min(widths) > 60
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.locator("button.fold").first.click()
        expect(page.locator("li.node:visible")).to_have_count(1)
        page.goto(f"{posthog.url}/local/trace?id=long")
        expect(page.locator("li.node")).to_have_count(1000)
        page.locator("a", has_text="Show all, 1000 more events").click()
        expect(page.locator("li.node")).to_have_count(2000)


def test_many_tool_calls_are_folded(open_page: OpenPage) -> None:
    calls = [{"id": f"c{n}", "function": {"name": "read_file", "arguments": f'{{"line": {n}}}'}} for n in range(24)]
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": f"line {n} says so"} for n in range(24)]
    call = event("$ai_generation", time.time(), "t", span_id="s", model="gpt-4o",
                 input=[{"role": "assistant", "content": None, "tool_calls": calls}, *results])  # fmt: skip
    with LocalPostHog() as posthog:
        send(posthog.url, [call])
        page = open_page(f"{posthog.url}/local/trace?id=t")
        expect(page.locator(".call")).to_have_count(24)
        expect(page.locator(".call[open]")).to_have_count(0)
        page.locator(".call > summary").nth(7).click()
        expect(page.locator(".call").nth(7)).to_contain_text("line 7 says so")


def test_what_is_read_stays_in_place_while_traces_arrive(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, list(history(time.time() - 60, 60)))
        page = open_page(posthog.url)
        expect(rows(page)).to_have_count(50)
        chosen = page.locator("a.open", has_text="Question number 40:")
        chosen.scroll_into_view_if_needed()
        page.mouse.wheel(0, 300)
        before = page.evaluate("scrollY")
        assert before > 0
        top = chosen.bounding_box()["y"]
        send(posthog.url, samples())
        page.locator("a.open", has_text="Travel question").wait_for(state="attached")
        assert abs(chosen.bounding_box()["y"] - top) < 3


def test_a_selection_is_not_pulled_away(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(posthog.url)
        page.locator("#live.on").wait_for()
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#list .question'))")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        send(posthog.url, list(history(time.time(), 1)))
        wait_until(page, "waitsForSelection")
        assert asked == []
        page.evaluate("getSelection().removeAllRanges()")
        page.locator("a.open", has_text="Question number 0").wait_for()


def wait_until(page: Any, expression: str) -> None:
    """Wait for a script's value to be true. Playwright's own way is forbidden by the page's policy."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


VIEWS = ("/", f"/local/trace?id={WEATHER}", "/local/generations", "/local/sessions", "/local/users", "/local/dashboard",
         "/local/compare?e=4&e=6", "/local/compare?e=4", "/local/refused", "/local/event?seq=4",
         "/?q=nothing-like-this")  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible(open_page: OpenPage, scheme: str) -> None:
    with LocalPostHog() as posthog:
        page = open_page(posthog.url, scheme=scheme)
        found = {"empty": Axe().run(page).response["violations"]}
        send(posthog.url, samples())
        for path in VIEWS:
            page.goto(posthog.url + path)
            found[path] = Axe().run(page).response["violations"]
        page.goto(f"{posthog.url}/local/trace?id={WEATHER}")
        for tab in ("tools", "parameters", "why", "properties", "raw"):
            page.locator(f"[data-tab={tab}]").click()
            found[tab] = Axe().run(page).response["violations"]
        faults = [(view, fault["id"], fault["nodes"][0]["html"]) for view, faults in found.items() for fault in faults]
        assert faults == []


def test_tabs_are_chosen_with_the_arrow_keys(open_page: OpenPage) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(f"{posthog.url}/local/trace?id={WEATHER}")
        page.locator("[data-tab=conversation]").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("[data-tab=tools]")).to_be_focused()
        expect(page.locator("[data-panel=tools]")).to_be_visible()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("[data-panel=raw]")).to_be_visible()
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_a_phone(open_page: OpenPage, scheme: str) -> None:
    with LocalPostHog() as posthog:
        send(posthog.url, samples())
        page = open_page(posthog.url, 390, 844, scheme)
        for path in VIEWS:
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
