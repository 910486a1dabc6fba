"""Why an event looks as it does: what the exporter says to the local PostHog, and who shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from examples.fake_llm import FakeLLM
from otel_posthog import PostHogSpanExporter
from otel_posthog._explain import wants_explanations
from otel_posthog.cli import build
from otel_posthog.local import LocalPostHog
from tests.support.made import made_span
from tests.support.spans import CHAT

Explained = Callable[..., dict[str, Any]]


@pytest.fixture
def explained() -> Iterator[Explained]:
    """Export one span to a local PostHog that shows explanations; what it got."""
    with LocalPostHog(explain=True) as posthog:

        def export(attributes: dict[str, Any], events: Any = (), **options: Any) -> dict[str, Any]:
            exporter = PostHogSpanExporter("phc_test", posthog.url, **options)
            exporter.export([made_span(attributes=attributes, events=events)])
            exporter.shutdown()
            found = posthog.store.explanation(posthog.store.last_seq())
            assert found is not None
            return found

        yield export


def test_the_exporter_says_which_reader_took_the_span_and_what_became_of_its_attributes(explained: Explained) -> None:
    attributes = {**CHAT, "gen_ai.request.model": "my-model", "gen_ai.system": "openai", "acme.colour": "red"}
    found = explained(attributes)
    assert found["reader"] == "semconv"
    assert (found["scope"], found["span_name"]) == ("test", "chat gpt-4o")
    assert found["sources"]["$ai_model"] == ["gen_ai.request.model"]
    assert found["sources"]["$ai_input"] == ["gen_ai.input.messages"]
    assert found["unread"] == ["acme.colour"]
    # Of two that say the same, one is read; the kind of the call shows in other attributes as well.
    assert found["sources"]["$ai_provider"] == ["gen_ai.provider.name"]
    assert set(found["dropped"]) == {"gen_ai.system", "gen_ai.operation.name"}
    assert found["dropped"]["gen_ai.system"].startswith("the event is the same without it")


def test_what_the_content_switch_keeps_back_is_named(explained: Explained) -> None:
    dropped = explained(CHAT, capture_content=False)["dropped"]
    assert {"$ai_input", "$ai_output_choices"} <= dropped.keys()
    assert dropped["$ai_input"] == "content is not captured here"


def test_what_the_settings_keep_back_is_named(explained: Explained) -> None:
    attributes = {**CHAT, "acme.colour": "red", "acme.secret": "x"}
    dropped = explained(attributes, deny_attributes=["acme.secret"], capture_unmapped=False)["dropped"]
    assert dropped["acme.secret"] == "deny_attributes"
    assert "capture_unmapped" in dropped["acme.colour"]


def test_what_is_redacted_is_named(explained: Explained) -> None:
    dropped = explained(CHAT, redact=lambda text, where: "***" if where == "input" else text)["dropped"]
    assert [name for name in dropped if name.startswith("$")] == ["$ai_input"]
    assert "redaction" in dropped["$ai_input"]


def test_content_from_span_events_is_traced_to_them(explained: Explained) -> None:
    spoken = {name: value for name, value in CHAT.items() if not name.endswith("messages")}
    messages = {"gen_ai.input.messages": CHAT["gen_ai.input.messages"]}
    event = ("gen_ai.client.inference.operation.details", messages)
    assert explained(spoken, [event])["sources"]["$ai_input"] == [f"span event {event[0]}"]


def test_a_span_of_thousands_of_attributes_is_examined_in_part(explained: Explained) -> None:
    found = explained({**CHAT, **{f"acme.{number}": number for number in range(3000)}})
    assert re.fullmatch(r"Only the first \d+ attributes, span events and log records were examined.", found["notes"][0])


def test_nothing_is_said_to_a_server_that_does_not_show_it() -> None:
    with LocalPostHog() as posthog:
        exporter = PostHogSpanExporter("phc_test", posthog.url)
        exporter.export([made_span(attributes=CHAT)])
        exporter.shutdown()
        (event,) = posthog.events()
        assert not [name for name in event["properties"] if name.startswith("$otel_posthog")]
        assert posthog.store.explanation(1) is None


@pytest.mark.parametrize(
    "host", ["https://us.i.posthog.com", "http://192.168.0.7:8010", "http://localhost.evil.example", "http://127x", ""]
)
def test_hosts_elsewhere_are_not_even_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(requests.Session, "get", lambda *args, **_: asked.append(args[1]))
    assert wants_explanations(host) is False
    assert asked == []


def test_a_server_that_starts_after_the_app_is_asked_again() -> None:
    with LocalPostHog() as posthog:
        port = int(posthog.url.rpartition(":")[2])
    exporter = PostHogSpanExporter("phc_test", f"http://127.0.0.1:{port}", timeout=0.5)
    exporter.export([made_span(attributes=CHAT)])
    with LocalPostHog(port, explain=True) as posthog:
        exporter.export([made_span(attributes=CHAT, span_id="1" * 16)])
        exporter.shutdown()
        found = [posthog.store.explanation(seq) for seq in range(1, posthog.store.last_seq() + 1)]
        assert [why["span_id"] for why in found if why is not None] == ["1" * 16]  # the other one had none to send


@pytest.mark.timeout(300)  # two other processes start
def test_page_and_terminal_show_how_an_app_s_call_became_its_event(browser: Any, tmp_path: Path) -> None:
    database = str(tmp_path / "events.db")
    command = [sys.executable, "-u", "-m", "otel_posthog.cli", "local", "--port", "0", "--database", database]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        assert server.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert url is not None
        with FakeLLM() as llm:
            environment = {**os.environ, "POSTHOG_HOST": url[0], "POSTHOG_API_KEY": "phc_local",
                           "OPENAI_BASE_URL": llm.url, "OPENAI_API_KEY": "x"}  # fmt: skip
            app = [sys.executable, "-m", "examples.openai_official"]
            subprocess.run(app, env=environment, check=True, capture_output=True, timeout=200)
        page = browser.new_page()
        page.set_default_timeout(30_000)
        page.goto(url[0])
        page.locator("tr[data-row] a.open").click()
        page.locator("#details").wait_for()
        page.locator("[data-tab=why]").click()
        why = page.locator("[data-panel=why]")
        why.wait_for()
        shown = why.inner_text()
        model = why.locator("tr", has=page.locator("th", has_text=re.compile(r"^\$ai_model$"))).locator("code")
        read = model.all_inner_texts()
        page.close()
    finally:
        server.kill()
        server.communicate()
    assert "opentelemetry.instrumentation.openai_v2" in shown
    assert "gen_ai.response.model" in read
    assert "log record" in shown  # where this instrumentation writes the prompt
    trace_id = CliRunner().invoke(build(), ["local", "list", "--database", database]).output.splitlines()[1].split()[0]
    printed = CliRunner().invoke(build(), ["explain", trace_id[:12], "--database", database]).output
    reader = re.search(r"read as (\S+) \(scope (.+)\)", printed)
    assert reader is not None
    assert reader[1] in shown
    assert reader[2] in shown
    assert re.search(r"\$ai_model +<- .*gen_ai\.response\.model", printed)
    for names, why in re.findall(r"left out: (.+?) \((.+)\)", printed):
        assert all(name in shown for name in names.split(", "))
        assert why in shown
