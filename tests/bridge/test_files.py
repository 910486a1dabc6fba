"""What `otel-posthog replay` and `explain` read, and that they send and say what is in it."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from click.testing import CliRunner, Result

from otel_posthog.bridge._files import UnreadableError, read_records
from otel_posthog.cli import build
from otel_posthog.local import LocalPostHog
from tests.support.made import TRACE_ID, made_span
from tests.support.otlp import as_json, logs_request, traces_request
from tests.support.spans import ANSWER, CHAT, QUESTION

REQUESTS = [traces_request([made_span(attributes=CHAT, span_id=f"{number:016x}")]) for number in (1, 2, 3)]
JSON_LINES = b"".join(as_json(request) + b"\n" for request in REQUESTS)
PROTOBUFS = [request.SerializeToString() for request in REQUESTS]


def framed(*bodies: bytes) -> bytes:
    """As the Collector's file exporter writes protobuf, and everything that it compresses."""
    return b"".join(struct.pack(">I", len(body)) + body for body in bodies)


FORMATS: dict[str, bytes] = {
    "JSON lines": JSON_LINES,
    "JSON lines, gzip": gzip.compress(JSON_LINES),
    "JSON lines, gzip in two members": gzip.compress(JSON_LINES[:500]) + gzip.compress(JSON_LINES[500:]),
    "JSON lines, zstd": zstandard.compress(JSON_LINES),
    "JSON, indented": json.dumps(
        {"resourceSpans": [r for q in REQUESTS for r in json.loads(as_json(q))["resourceSpans"]]}, indent=2
    ).encode(),
    "JSON lines of bare lists": b"".join(
        json.dumps(json.loads(as_json(request))["resourceSpans"]).encode() + b"\n" for request in REQUESTS
    ),
    "one protobuf request": b"".join(PROTOBUFS),
    "one protobuf request, gzip": gzip.compress(b"".join(PROTOBUFS)),
    "protobuf dump": framed(*PROTOBUFS),
    "protobuf dump, zstd": framed(*map(zstandard.compress, PROTOBUFS)),
    "JSON dump, zstd": framed(*(zstandard.compress(as_json(request)) for request in REQUESTS)),
    "protobuf dump, the last record cut": framed(*PROTOBUFS, PROTOBUFS[0])[:-5],
    "JSON lines, the last one cut": JSON_LINES + as_json(REQUESTS[0])[:50],
    "JSON lines with metrics between": JSON_LINES + b'{"resourceMetrics": []}\n\n',
}

Run = Callable[..., Result]


@pytest.fixture
def run(posthog: LocalPostHog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a subcommand against the local PostHog, with a home of its own."""
    environment = {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url, "HOME": str(tmp_path)}

    def run_command(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(build(), list(arguments), env=environment, **options)

    return run_command


@pytest.mark.parametrize("name", FORMATS)
def test_a_replay_reads(name: str, run: Run, posthog: LocalPostHog, tmp_path: Path) -> None:
    path = tmp_path / "spans"
    path.write_bytes(FORMATS[name])
    result = run("replay", str(path))
    assert result.exit_code == 0, result.output
    assert sorted(event["properties"]["$ai_span_id"] for event in posthog.events()) == [f"{n:016x}" for n in (1, 2, 3)]


def test_a_replay_reads_standard_input(run: Run, posthog: LocalPostHog) -> None:
    assert run("replay", "-", input=JSON_LINES).exit_code == 0
    assert len(posthog.events()) == 3


def test_a_replay_reads_log_records_too(run: Run, posthog: LocalPostHog, tmp_path: Path) -> None:
    from otel_posthog._spans import EventView

    without = {name: value for name, value in CHAT.items() if "messages" not in name}
    logs = logs_request(TRACE_ID, {f"{1:016x}": [EventView("gen_ai.user.message", {}, {"content": QUESTION})]})
    (tmp_path / "logs.json").write_bytes(as_json(logs) + b"\n")
    (tmp_path / "spans.pb").write_bytes(
        traces_request([made_span(attributes=without, span_id=f"{1:016x}")]).SerializeToString()
    )
    run("replay", str(tmp_path / "spans.pb"), str(tmp_path / "logs.json"))
    (event,) = posthog.events()
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": QUESTION}]


def test_a_replay_sends_captured_events_as_they_are(run: Run, posthog: LocalPostHog, tmp_path: Path) -> None:
    (tmp_path / "spans.json").write_bytes(JSON_LINES)
    run("replay", str(tmp_path / "spans.json"))
    first = posthog.events()
    fields = ("event", "uuid", "distinct_id", "timestamp", "properties")
    (tmp_path / "events.json").write_text("".join(json.dumps({f: e[f] for f in fields}) + "\n" for e in first))  # type: ignore[literal-required]
    posthog.clear()
    assert run("replay", str(tmp_path / "events.json")).exit_code == 0
    assert {event["uuid"] for event in posthog.events()} == {event["uuid"] for event in first}


def test_a_replay_goes_on_where_it_was(run: Run, posthog: LocalPostHog, tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    path.write_bytes(JSON_LINES)
    run("replay", str(path))
    posthog.clear()
    with path.open("ab") as file:
        file.write(as_json(traces_request([made_span(attributes=CHAT, span_id=f"{4:016x}")])) + b"\n")
    assert "from record 3" in run("replay", str(path)).output
    assert [event["properties"]["$ai_span_id"] for event in posthog.events()] == [f"{4:016x}"]
    assert run("replay", "--restart", str(path)).exit_code == 0
    assert len(posthog.events()) == 4


def test_a_dry_run_counts_and_sends_nothing(run: Run, posthog: LocalPostHog, tmp_path: Path) -> None:
    http = made_span("GET", {"http.route": "/"}, span_id="9" * 16)
    odd = made_span(attributes=CHAT | {"acme.colour": "red"}, span_id="8" * 16)
    (tmp_path / "spans.pb").write_bytes(b"".join(PROTOBUFS) + traces_request([http, odd]).SerializeToString())
    lines = run("replay", "--dry-run", str(tmp_path / "spans.pb")).output.splitlines()
    assert lines[:2] == ["4 events", "          4  $ai_generation"]
    assert "          4  gpt-5-mini: 48 input and 12 output tokens" in lines
    assert "          1  acme.colour" in lines
    assert lines[-2:] == ["left out", "          1  spans: no AI attribute"]
    assert posthog.events() == []


def test_a_replay_says_what_is_invalid(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    path.write_bytes(JSON_LINES + b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "x"}]}]}]}\n')
    result = run("replay", str(path))
    assert result.exit_code == 1
    assert "1 span is not valid OTLP JSON" in result.output


@pytest.mark.parametrize("content", [b"PK\x03\x04", b'{"hello": 1}\n', b"{\n"])
def test_an_unknown_format_is_said_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UnreadableError):
        list(read_records(str(tmp_path / "file")))


def test_explain_says_which_attribute_became_which_property(run: Run, posthog: LocalPostHog, tmp_path: Path) -> None:
    http = made_span("GET", {"http.route": "/"}, span_id="9" * 16)
    odd = made_span(attributes=CHAT | {"acme.colour": "red"}, span_id="8" * 16)
    (tmp_path / "spans.pb").write_bytes(traces_request([http, odd]).SerializeToString())
    output = run("explain", str(tmp_path / "spans.pb")).output
    assert "$ai_generation, read as semconv (scope test)" in output
    assert "  <- gen_ai.request.model" in output
    assert "without a property, passed through: acme.colour" in output
    assert "no event: no reader takes it; none of its 1 attributes" in output
    assert ANSWER not in output
    assert posthog.events() == []
