"""The page over HTTP: routes, what is escaped, what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests

from otel_posthog._version import __version__
from otel_posthog.local import LocalPostHog
from tests.local.samples import event, samples, send, weather_agent

NOW = 1_790_000_000.0
WEATHER = "5b3fcdfbfffe9bbed75f68277389af09"
HTMX = {"HX-Request": "true"}
SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture
def posthog() -> Iterator[LocalPostHog]:
    with LocalPostHog() as running:
        yield running


def get(posthog: LocalPostHog, path: str, **options: object) -> requests.Response:
    return requests.get(posthog.url + path, timeout=10, **options)  # type: ignore[arg-type]


def test_the_exporter_can_ask_who_it_talks_to(posthog: LocalPostHog) -> None:
    about = {"otel_posthog_local": True, "version": __version__, "explain": False}
    assert get(posthog, "/local/about").json() == about
    assert posthog.requests() == []


@pytest.mark.parametrize(
    "path", ["generations", "sessions", "users", "dashboard", "refused", "compare", "dashboard/data"]
)
def test_every_view_works_without_and_with_events(posthog: LocalPostHog, path: str) -> None:
    assert get(posthog, f"/local/{path}").status_code == 200
    send(posthog.url, samples(NOW))
    assert get(posthog, f"/local/{path}").status_code == 200


def test_an_empty_page_says_what_to_set(posthog: LocalPostHog) -> None:
    assert f"export POSTHOG_HOST={posthog.url}" in get(posthog, "/").text


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(posthog: LocalPostHog) -> None:
    send(posthog.url, samples(NOW))
    for path in ("/", f"/local/trace?id={WEATHER}", "/local/dashboard"):
        answer = get(posthog, path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert re.findall(r'<script(?! src="/local/static/)|<style| style="| on\w+="', answer.text) == []
        assert re.findall(r'(?:src|href)="(?!/|#main|data:image/png)[^"]*"', answer.text) == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8010", "127.0.0.1.evil.example"])
def test_a_page_is_not_served_under_another_name(posthog: LocalPostHog, host: str) -> None:
    for path in ("/", "/local/generations", "/local/event/raw?seq=1"):
        assert get(posthog, path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HX-Request": "true", "Origin": "https://evil.example"},
        {"HX-Request": "true", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_only_the_page_itself_may_clear(posthog: LocalPostHog, headers: dict[str, str]) -> None:
    send(posthog.url, samples(NOW))
    assert requests.post(posthog.url + "/local/clear", headers=headers, timeout=10).status_code == 403
    assert len(posthog.events()) == len(samples(NOW))
    assert requests.post(posthog.url + "/local/clear", headers=HTMX, timeout=10).status_code == 204
    assert posthog.events() == []


def test_text_from_events_is_escaped_everywhere(posthog: LocalPostHog) -> None:
    tool = {"type": "function", "function": {"name": SCRIPT, "arguments": {SCRIPT: SCRIPT}}}
    hostile = event(
        "$ai_generation", NOW, SCRIPT, SCRIPT, span_id=SCRIPT, span_name=SCRIPT, model=SCRIPT, provider=SCRIPT,
        session_id=SCRIPT, input=[{"role": SCRIPT, "content": SCRIPT}, {"role": "user", "content": SCRIPT}],
        output_choices=[{"role": "assistant", "content": [tool, {"type": SCRIPT}]}], is_error=True, error=SCRIPT,
        tools=[tool], model_parameters={SCRIPT: SCRIPT}, input_tokens=1, http_status=SCRIPT, error_type=SCRIPT,
        _extra={"$otel_posthog_explain": {"reader": SCRIPT, "notes": [SCRIPT], "sources": {SCRIPT: [SCRIPT]},
                                          "unread": [SCRIPT], "merged": [{"scope": SCRIPT, "span_name": SCRIPT}]}},
    )  # fmt: skip
    other = {**hostile, "uuid": "00000000-0000-0000-0000-000000000002"}
    send(posthog.url, [hostile, other])
    quoted = requests.utils.quote(SCRIPT)
    pages = ["/", f"/local/trace?id={quoted}", "/local/event?seq=1", "/local/generations", "/local/sessions",
             "/local/users", "/local/dashboard", "/local/compare?e=1&e=2", "/local/compare?e=1",
             f"/?user={quoted}&q={quoted}", f"/local/trace?id=x{quoted}"]  # fmt: skip
    for path in pages:
        text = get(posthog, path).text
        assert "alert(1)" in text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    for path in (f"/local/trace/text?id={quoted}", "/local/event/raw?seq=1"):
        assert get(posthog, path).headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("explanation", ["x", [1], {"notes": 3, "sources": [1], "merged": {"a": 1}, "unread": "abc"}])
def test_an_explanation_of_another_form_is_no_error(posthog: LocalPostHog, explanation: object) -> None:
    send(posthog.url, [event("$ai_span", NOW, "t", _extra={"$otel_posthog_explain": explanation})])
    assert get(posthog, "/local/event?seq=1").status_code == 200


def test_a_long_text_comes_in_pieces(posthog: LocalPostHog) -> None:
    text = "".join(f"{number:09} " for number in range(90_000))
    send(posthog.url, [event("$ai_generation", NOW, "t", span_id="s", input=[{"role": "user", "content": text}])])
    page = get(posthog, "/local/event?seq=1", headers=HTMX).text
    assert len(page) < 60_000
    collected = ""
    path: str | None = "/local/event/text?seq=1&pointer=/$ai_input/0/content&offset=20000"
    while path:
        piece = get(posthog, path, headers=HTMX).text
        collected += re.findall(r'<pre class="text">(.*?)</pre>', piece, re.DOTALL)[0]
        more = re.findall(r'hx-get="([^"]+)"', piece)
        path = more[0].replace("&amp;", "&") if more else None
    assert text[20_000:] == collected


def test_an_unchanged_trace_is_not_sent_again(posthog: LocalPostHog) -> None:
    send(posthog.url, weather_agent(NOW))
    page = get(posthog, f"/local/trace?id={WEATHER}").text
    again = re.findall(r'hx-get="(/local/trace\?[^"]*state=[^"]*)"', page)[0].replace("&amp;", "&")
    assert get(posthog, again, headers=HTMX).status_code == 204
    send(posthog.url, [event("$ai_span", NOW + 9, WEATHER, span_id="late", span_name="a late span")])
    assert "a late span" in get(posthog, again, headers=HTMX).text


def test_refused_requests_are_shown_with_their_reason(posthog: LocalPostHog) -> None:
    requests.post(
        posthog.url + "/batch/", json={"api_key": "phx_personal", "batch": [event("$ai_span", NOW, "t")]}, timeout=10
    )
    page = get(posthog, "/local/refused").text
    assert "401" in page
    assert "invalid_api_key: API key is not valid" in page


def test_what_posthog_would_do_is_marked(posthog: LocalPostHog) -> None:
    wrong = event(
        "$ai_generation", NOW, "t", span_id="s", input_tokens="12", base_url="https://ai-gateway.us.posthog.com/v1"
    )
    send(posthog.url, [wrong])
    send(posthog.url, [wrong])
    page = get(posthog, "/local/event?seq=1").text
    assert "$ai_base_url is PostHog&#39;s AI gateway" in page
    assert "$ai_input_tokens must be a finite number." in page
    assert "Came 2 times with the same uuid" in page


def test_a_call_that_was_sent_under_two_uuids_is_marked(posthog: LocalPostHog) -> None:
    twice = [
        event("$ai_generation", NOW, "t", span_id="s", uuid=f"00000000-0000-0000-0000-00000000000{n}") for n in (1, 2)
    ]
    send(posthog.url, [*twice, event("$ai_generation", NOW, "t", span_id="other")])
    marked = "Another event of this trace has the same span id: PostHog keeps and counts them all."
    assert [marked in get(posthog, f"/local/event?seq={seq}").text for seq in (1, 2, 3)] == [True, True, False]


def test_evaluations_and_feedback_are_shown_where_they_belong(posthog: LocalPostHog) -> None:
    call = event("$ai_generation", NOW, "t", span_id="s", uuid="00000000-0000-0000-0000-000000000001", model="m")
    said = [
        event("$ai_feedback", NOW + 9000, "t", target_span_id="s", feedback_text="Too long, but right."),
        event("$ai_metric", NOW + 9000, "t", metric_name="stars", metric_value=4.5),
        event("$ai_evaluation", NOW + 9000, "t", target_event_id=call["uuid"], evaluation_name="tone",
              evaluation_result="kind", evaluation_reasoning="It says please."),
    ]  # fmt: skip
    send(posthog.url, [call, *said])
    page = get(posthog, "/local/trace?id=t").text
    nodes = re.findall(r'data-depth="(\d)".*?<span class="kind (\w+)">', page, re.DOTALL)
    assert nodes == [("0", "generation"), ("1", "feedback"), ("1", "evaluation"), ("0", "metric")]
    assert "no parent" not in page
    assert "<small>stars</small><b>4.5</b>" in page  # it is about the trace
    about_the_call = get(posthog, "/local/event?seq=1").text
    assert "Too long, but right." in about_the_call
    assert 'tone <b class="badge">kind</b>' in about_the_call
    assert "It says please." in get(posthog, "/local/event?seq=4").text


def test_a_message_is_copied_whole_and_as_it_was_sent(posthog: LocalPostHog) -> None:
    text = "# Title\n\n**bold** " + "x" * 50_000
    send(posthog.url, [event("$ai_generation", NOW, "t", span_id="s", input=[{"role": "user", "content": text}])])
    page = get(posthog, "/local/event?seq=1").text
    (address,) = re.findall(r'data-copy-from="(/local/event/message[^"]+)"', page)
    answer = get(posthog, address.replace("&amp;", "&"))
    assert answer.text == text
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert get(posthog, "/local/event/message?seq=1&pointer=/nope").status_code == 404


def test_tokens_by_kind_do_not_overlap(posthog: LocalPostHog) -> None:
    openai = event("$ai_generation", NOW, "t", span_id="a", provider="openai", model="gpt-5", input_tokens=100,
                   cache_read_input_tokens=60, output_tokens=50, reasoning_tokens=20)  # fmt: skip
    claude = event("$ai_generation", NOW, "t", span_id="b", provider="anthropic", model="claude-sonnet-4-5",
                   input_tokens=100, cache_read_input_tokens=900, output_tokens=10)  # fmt: skip
    gemini = event("$ai_generation", NOW, "t", span_id="c", provider="google", model="gemini-2.5-pro",
                   input_tokens=100, output_tokens=5, reasoning_tokens=70)  # fmt: skip
    send(posthog.url, [openai, claude, gemini])
    series = get(posthog, "/local/dashboard/data").json()["series"]
    kinds = {name: series[name] for name in ("input", "cache read", "cache write", "output", "reasoning")}
    assert kinds == {"input": [240], "cache read": [960], "cache write": [0], "output": [45], "reasoning": [90]}


@pytest.mark.parametrize(
    "properties",
    [
        {"input_tokens": 2**64 - 1, "output_tokens": -(2**63), "latency": 1e308, "total_cost_usd": 1e308},
        {"input_tokens": 10**40, "time_to_first_token": -1e308, "cache_read_input_tokens": 1e308},
        {
            "input": [
                None,
                5,
                [[]],
                {"role": None},
                {"role": 5, "content": [None, 5, {}, {"type": "image", "source": 5}]},
            ]
        },
        {"output_choices": {"choices": [None, {"message": 5}]}, "tools": [None, 5, {"function": {"name": 5}}]},
        {"span_name": ["x"], "model": {"a": 1}, "is_error": True, "error": [[None]], "http_status": {}},
        {"span_name": "\x00\u202e\u2066x\ufeff", "model": "\x1b]0;x\x07", "session_id": "\x00", "provider": "\x00"},
        {"model_parameters": [1], "temperature": {"a": []}, "input_state": "{" * 5000, "output_state": '{"a":' * 5000},
    ],
)
def test_odd_values_break_no_page(posthog: LocalPostHog, properties: dict[str, object]) -> None:
    times = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
    for number, (stamp, kind) in enumerate(
        (stamp, kind) for stamp in times for kind in ("generation", "span", "trace")
    ):
        found = event(f"$ai_{kind}", NOW + number, "odd\x00", "user\x00\u202e", **properties)
        send(posthog.url, [{**found, "timestamp": stamp}])
    lists = ["/", "/?errors=1", "/?user=%00", "/?q=%00", "/local/generations?kind=all", "/local/sessions"]
    others = ["/local/users", "/local/dashboard", "/local/dashboard/data", "/local/compare?e=1&e=4"]
    trace = ["/local/trace?id=odd%00", "/local/trace/text?id=odd%00"]
    paths = [*lists, *others, *trace, *(f"/local/event?seq={seq}" for seq in range(1, 7))]
    assert {path: status for path in paths if (status := get(posthog, path).status_code) != 200} == {}


@pytest.mark.parametrize(
    "path",
    [
        "/local/event?seq=%C2%B2",
        "/local/event?seq=" + "9" * 40,
        "/local/trace?id=%ff",
        "/local/event/text?seq=1&offset=x",
    ],
)
def test_odd_addresses_are_not_found(posthog: LocalPostHog, path: str) -> None:
    assert get(posthog, path).status_code == 404


def test_changes_are_announced_and_the_stream_ends_with_the_server(posthog: LocalPostHog) -> None:
    with get(posthog, "/local/stream", stream=True) as answer:
        lines = answer.iter_lines(decode_unicode=True)
        assert next(lines) == "retry: 1000"
        send(posthog.url, weather_agent(NOW))
        assert next(line for line in lines if line.startswith("event:")) == "event: changed"
        posthog.stop()
        assert list(lines) is not None


def test_what_came_before_a_page_listened_is_announced(posthog: LocalPostHog) -> None:
    shown = re.findall(r'data-seen="([^"]+)"', get(posthog, "/").text)[0]
    send(posthog.url, weather_agent(NOW))
    with get(posthog, f"/local/stream?since={shown}", stream=True) as answer:
        lines = answer.iter_lines(decode_unicode=True)
        assert next(line for line in lines if line.startswith("event:")) == "event: changed"


def test_deep_and_wide_json_is_bounded(posthog: LocalPostHog) -> None:
    deep: object = "bottom"
    for _ in range(100):
        deep = {"in": [deep]}
    send(posthog.url, [event("$ai_span", NOW, "t", input_state=deep, output_state=list(range(50_000)))])
    page = get(posthog, "/local/event?seq=1", headers=HTMX)
    assert page.status_code == 200
    assert len(page.text) < 600_000


def test_a_trace_of_thousands_of_spans_is_shown_in_part(posthog: LocalPostHog) -> None:
    spans = [
        event("$ai_span", NOW + n / 100, "t", span_id=f"s{n}", parent_id="t", span_name="step") for n in range(3000)
    ]
    send(posthog.url, spans)
    page = get(posthog, "/local/trace?id=t").text
    assert page.count("data-depth=") == 1000
    assert "Show all, 2000 more events" in page
