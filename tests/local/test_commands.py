"""The `otel-posthog local` command: what a person sees."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from click.testing import CliRunner, Result
from rich.console import Console

from otel_posthog.cli import build
from otel_posthog.local import LocalPostHog
from otel_posthog.local.facts import facts_of
from otel_posthog.local.store import StoredEvent
from otel_posthog.local.trees import totals, tree
from otel_posthog.local.views import event_line, trace_tree
from tests.local.samples import claude_call, event, failed_call, samples, send


def stored(name: str = "$ai_span", **properties: Any) -> StoredEvent:
    known = {f"$ai_{key}": value for key, value in properties.items() if key != "at"}
    return {
        "event": name,
        "distinct_id": "user-1",
        "uuid": str(uuid4()),
        "timestamp": f"2026-01-02T03:04:{properties.get('at', 5):02d}Z",
        "properties": {"$ai_trace_id": "trace-1", **known},
        "path": "/batch/",
        "deliveries": 1,
    }


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["local", *arguments], env={"COLUMNS": "160"})


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database with the traces trace-1, trace-1-b and other, sent over HTTP."""
    path = tmp_path / "events.db"
    agent = stored(span_id="a", span_name="weather agent", parent_id="trace-1", latency=2.5)
    call = stored(
        "$ai_generation",
        span_id="b",
        parent_id="a",
        model="gpt-5-mini",
        input_tokens=812,
        output_tokens=64,
        cache_read_input_tokens=512,
        total_cost_usd=0.0012,
        at=6,
    )
    tool = stored(span_id="c", parent_id="a", span_name="get_weather", is_error=True, error="no city", at=7)
    named = stored("$ai_trace", span_name="Weather question")
    events = [agent, call, tool, named, stored(trace_id="trace-1-b"), stored(trace_id="other")]
    keys = ("event", "distinct_id", "uuid", "timestamp", "properties")
    batch = [{key: event[key] for key in keys} for event in events]  # type: ignore[literal-required]
    with LocalPostHog(database=path) as posthog:
        document = {"api_key": "phc_test", "batch": batch}
        assert requests.post(posthog.url + "/batch/", json=document, timeout=10).ok
    return str(path)


def test_show_draws_the_tree_of_a_trace(database: str) -> None:
    result = run("show", "trace-1", "--database", database)
    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.output.splitlines()]
    assert lines == [
        "Weather question trace-1  812 → 64 tokens  $0.0012  2.50 s  ✗ 1 failed",
        "└── span weather agent  2.50 s",
        "    ├── generation gpt-5-mini  812 → 64 tokens (cache 512)  $0.0012",
        "    └── span get_weather  ✗ no city",
    ]


def test_show_takes_the_beginning_of_an_id(database: str) -> None:
    result = run("show", "oth", "--database", database)
    assert result.exit_code == 0
    assert "other" in result.output


@pytest.mark.parametrize(
    ("trace_id", "words"),
    [
        ("nope", "no trace starts with 'nope'"),
        ("tr", "2 traces start with 'tr': trace-1, trace-1-b"),
    ],
)
def test_show_says_why_it_shows_nothing(database: str, trace_id: str, words: str) -> None:
    result = run("show", trace_id, "--database", database)
    assert result.exit_code == 1
    assert words in result.output


def test_list_shows_each_trace_with_its_sums(database: str) -> None:
    result = run("--database", database, "list")  # before the subcommand works as well
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.output.splitlines()}
    assert list(rows) == ["trace", "trace-1", "trace-1-b", "other"]
    for cell in ("Weather question", "2026-01-02 03:04:05", "812 → 64 tokens", "$0.0012", "2.50 s"):
        assert cell in rows["trace-1"]


def test_list_can_show_every_event(database: str) -> None:
    result = run("list", "--events", "--database", database)
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == 6
    lines = CliRunner().invoke(build(), ["local", "list", "--events", "--database", database], env={"COLUMNS": "80"})
    assert [len(line) <= 80 for line in lines.output.splitlines()] == [True] * 6


def test_a_missing_database_is_named(tmp_path: Path) -> None:
    result = run("list", "--database", str(tmp_path / "none.db"))
    assert result.exit_code == 1
    assert "none.db does not exist" in result.output
    assert not (tmp_path / "none.db").exists()


def test_a_bad_fault_is_refused_before_anything_runs(tmp_path: Path) -> None:
    result = run("--fail", "503:often=1", "--database", str(tmp_path / "x.db"))
    assert result.exit_code == 2
    assert "unknown option 'often'" in result.output


def test_a_taken_port_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--port", str(port), "--database", str(tmp_path / "x.db"))
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in result.output


def plain(what: object) -> list[str]:
    console = Console(width=160, color_system=None)
    with console.capture() as capture:
        console.print(what)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_line_tells_what_an_event_is() -> None:
    event = stored(
        "$ai_generation",
        trace_id="0123456789abcdef",
        model="gpt-5-mini",
        input_tokens=10,
        output_tokens=0,
        latency=0.25,
        is_error=True,
        error={"message": "rate\nlimit"},
    )
    event["deliveries"] = 2
    assert plain(event_line(event)) == [
        "03:04:05 generation gpt-5-mini  10 → 0 tokens  $0.0000025  250 ms  user-1  trace 01234567  ✗ rate limit"
        "  delivered 2 times"
    ]


def test_text_from_events_is_not_taken_for_markup() -> None:
    assert "[red]x[/] [/]" in plain(event_line(stored(span_name="[red]x[/] [/]")))[0]


def test_text_from_events_does_not_command_the_terminal(tmp_path: Path) -> None:
    path, code = tmp_path / "events.db", "\x1b]0;owned\x07\x9b2J\u202e"
    with LocalPostHog(database=path) as posthog:
        odd = event("$ai_generation", 1_790_000_000.0, "t" + code, code + "user", span_id="s", span_name="n" + code,
                    model="m" + code, is_error=True, error="e" + code, input=[{"role": "user", "content": "q" + code}],
                    _extra={"p" + code: 1})  # fmt: skip
        send(posthog.url, [odd])
    for arguments in (["list"], ["list", "--events"], ["show", "--messages", "--properties"], ["show", "--json"]):
        output = run(*arguments, "--database", str(path)).output
        assert "m]0;owned" in output or "m\\u001b" in output or "n]0;owned" in output
        assert not re.search("[\x1b\x07\x9b]", output)


def outline(events: list[StoredEvent]) -> list[Any]:
    def of(nodes: list[Any]) -> list[Any]:
        return [(node.facts.node_id, of(node.children)) if node.children else node.facts.node_id for node in nodes]

    return of(tree([facts_of(event) for event in events]))


def test_the_tree_follows_the_rules_of_posthog() -> None:
    events = [
        stored(span_id="late", parent_id="root", at=9),
        stored(span_id="root", parent_id="trace-1", at=1),
        stored("$ai_generation", generation_id="g", span_id="x", parent_id="root", at=3),
        stored(span_id="orphan", parent_id="nobody", at=4),
        stored(span_id="bare", at=5),
        stored("$ai_trace", span_id="trace-1", at=0),
        stored(span_id="trace-1", parent_id="root", at=6),  # an id taken twice: no parent of roots
        stored("$ai_evaluation", span_id="judge", target_span_id="g", at=8),
    ]
    assert outline(events) == [("root", [("g", ["judge"]), "trace-1", "late"]), "orphan", "bare"]


def test_events_that_are_each_others_parents_are_still_drawn_once() -> None:
    events = [
        stored(span_id="a", parent_id="b", at=1),
        stored(span_id="b", parent_id="a", at=2),
        stored(span_id="self", parent_id="self", at=3),
    ]
    assert outline(events) == ["self", ("a", ["b"])]
    assert len(plain(trace_tree("trace-1", events))) == 4


def test_a_deep_trace_is_drawn() -> None:
    events = [stored(span_id=str(n), parent_id=str(n - 1)) for n in range(300)]
    lines = plain(trace_tree("trace-1", events))
    assert len(lines) == 301
    assert lines[-1].endswith("[level 300] span")


def test_totals_count_as_posthog_does() -> None:
    agent = stored(span_id="a", parent_id="trace-1", latency=3, input_tokens=99)
    calls = [stored("$ai_generation", parent_id="a", latency=1, input_tokens=5) for _ in range(2)]
    whole, without_agent = totals([facts_of(event) for event in [agent, *calls]]), totals([facts_of(c) for c in calls])
    assert (whole.latency, without_agent.latency) == (3, 2)
    assert whole.input_tokens == 10
    assert without_agent.cost is None


def test_the_command_runs_prints_events_and_stops_when_asked(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "otel_posthog.cli", "local", "--port", "0"]
    command += ["--database", str(tmp_path / "events.db"), "--fail", "503:times=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        assert process.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert url is not None
        event = stored("$ai_generation", model="gpt-5-mini")
        document = {"api_key": "phc_test", "batch": [event]}
        codes = [requests.post(url[0] + "/batch/", json=document, timeout=10).status_code for _ in range(2)]
        assert codes == [503, 200]
        line = next(line for line in process.stdout if "gpt-5-mini" in line)
        assert "generation" in line
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.communicate()


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['rich'] = None; from otel_posthog import cli; cli.main()"
    done = subprocess.run([sys.executable, "-c", code, "local"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == 'Error: "local" needs an extra: pip install "otel-posthog[local]"\n'


def narrow(*arguments: str) -> list[str]:
    result = CliRunner().invoke(build(), ["local", *arguments], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return [line.rstrip() for line in result.output.splitlines()]


@pytest.fixture
def sample_database(tmp_path: Path) -> str:
    path = tmp_path / "samples.db"
    with LocalPostHog(database=path) as posthog:
        send(posthog.url, samples(1_790_000_000.0))
    return str(path)


def test_list_fits_eighty_columns_with_whole_ids(sample_database: str) -> None:
    lines = narrow("list", "--database", sample_database)
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1:]] == [
        "5b3fcdfbfffe9bbed75f68277389af09",
        "c3d1a0e2b4f56789c3d1a0e2b4f56789",
        "f00d5b8e1c2d3e4f5061728394a5b6c7",
    ]
    assert lines[1].endswith("3742→105 $0.006858 3.42 s")
    assert "no price" in lines[3]


def test_list_shows_the_newest_and_says_that_there_are_more(sample_database: str) -> None:
    lines = narrow("list", "--limit", "1", "--database", sample_database)
    assert lines[1].startswith("f00d5b8e1c2d3e4f5061728394a5b6c7")
    assert lines[-1] == "the newest 1 of 3 traces; --limit 0 lists all"


def test_show_takes_the_latest_trace_where_no_id_is_named(sample_database: str) -> None:
    for arguments in (["show"], ["show", "latest"]):
        assert "f00d5b8e1c2d3e4f5061728394a5b6c7" in narrow(*arguments, "--database", sample_database)[0]


def test_show_can_print_the_messages(sample_database: str) -> None:
    text = "\n".join(narrow("show", "5b3", "--messages", "--database", sample_database))
    assert '[assistant]\nget_weather({\n  "city": "Lisbon",\n  "day": "tomorrow"\n})' in text
    assert "(reasoning) Ten percent is low." in text
    assert "No umbrella needed: Lisbon stays dry" in text


def test_show_can_print_the_properties(sample_database: str) -> None:
    lines = narrow("show", "c3d1", "--properties", "--database", sample_database)
    assert '$ai_model "claude-sonnet-4-5"' in lines
    assert "$ai_cache_read_input_tokens 2048" in lines


def test_show_can_print_where_each_property_comes_from(sample_database: str) -> None:
    lines = narrow("show", "5b3", "--why", "--database", sample_database)
    assert "  $ai_generation, read as openinference (scope openinference.instrumentation.openai 0.1.66)" in lines
    assert "  $ai_model         <- llm.model_name" in lines
    (others, *_) = [
        line for line in lines if line.startswith("  from the span itself, its resource, or the settings: ")
    ]
    assert "$ai_stop_reason" in others.split(": ")[1].split(", ")
    assert "  without a property, passed through: llm.provider.region" in lines
    assert lines[-1] == "  $ai_trace; where it came from is not known"
    dropped = "the event is the same without it: other attributes say it too, or its value is of no use"
    assert f"  left out: llm.system ({dropped})" in lines


def test_show_can_print_json_that_programs_read(sample_database: str) -> None:
    lines = narrow("show", "c3d1", "--json", "--database", sample_database)
    assert [json.loads(line)["event"] for line in lines] == ["$ai_generation"]


def test_export_writes_events_that_can_be_sent_again(sample_database: str) -> None:
    events = [json.loads(line) for line in narrow("export", "--database", sample_database)]
    expected = [
        {**event, "properties": {k: v for k, v in event["properties"].items() if k != "$otel_posthog_explain"}}
        for event in samples(1_790_000_000.0)
    ]
    assert events == expected
    with LocalPostHog() as posthog:
        send(posthog.url, events)
        assert len(posthog.events()) == len(expected)


@pytest.fixture
def shared_database(tmp_path: Path) -> str:
    """A database in which two projects have a trace of the same id, of two and one events."""
    path = tmp_path / "shared.db"
    with LocalPostHog(database=path) as posthog:
        send(posthog.url, failed_call(1_790_000_000.0), "phc_red")
        send(posthog.url, failed_call(1_790_000_000.0)[:1], "phc_blue")
    return str(path)


def test_list_keeps_projects_apart(shared_database: str) -> None:
    lines = narrow("list", "--database", shared_database)
    assert [line.split()[1] for line in lines if line.startswith("project")] == ["phc_blue", "phc_red"]
    assert [line.split()[0] for line in lines].count("f00d5b8e1c2d3e4f5061728394a5b6c7") == 2
    only = narrow("list", "--project", "phc_b", "--database", shared_database)
    assert [line.split()[0] for line in only] == ["trace", "f00d5b8e1c2d3e4f5061728394a5b6c7"]
    events = narrow("list", "--events", "--project", "phc_b", "--database", shared_database)
    assert len(events) == 1


def test_show_asks_which_project_is_meant(shared_database: str) -> None:
    result = run("show", "f00d", "--database", shared_database)
    assert result.exit_code == 1
    trace_id = "f00d5b8e1c2d3e4f5061728394a5b6c7"
    sentence = f"Error: 2 projects have a trace {trace_id}: choose one with --project: phc_red, phc_blue\n"
    assert result.output == sentence
    for key, count in (("phc_red", 2), ("phc_blue", 1)):
        assert len(narrow("show", "f00d", "--json", "--project", key, "--database", shared_database)) == count
    assert len(narrow("show", "latest", "--json", "--database", shared_database)) == 1


def test_export_can_take_one_project(shared_database: str) -> None:
    assert len(narrow("export", "--project", "phc_red", "--database", shared_database)) == 2
    assert len(narrow("export", "--trace", "f00d", "--project", "phc_blue", "--database", shared_database)) == 1
    lines = run("export", "--database", shared_database).output.splitlines()  # with what click 8.1 cannot tell apart
    assert len([line for line in lines if line.startswith("{")]) == 3
    assert "events of 2 projects: phc_blue, phc_red; --project exports one of them" in lines


def test_a_project_that_is_not_there_is_one_clear_sentence(shared_database: str) -> None:
    result = run("export", "--project", "phc_green", "--database", shared_database)
    assert (result.exit_code, result.output) == (
        1, "Error: no project keys start with 'phc_green'; known keys: phc_blue, phc_red\n"
    )  # fmt: skip


def test_clear_says_how_much_it_deleted(sample_database: str) -> None:
    assert narrow("clear", "--database", sample_database) == ["11 events deleted"]
    assert narrow("clear", "--database", sample_database) == ["0 events deleted"]
    result = run("show", "--database", sample_database)
    assert (result.exit_code, result.output) == (1, "Error: no trace has arrived yet\n")


def test_a_file_that_is_no_database_is_one_clear_sentence(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes " * 1000)
    sentence = f"Error: {path} is not a SQLite database: choose another file with --database\n"
    for arguments in (["list"], ["show"], ["export"], ["clear"], ["tail"], ["--port", "0"]):
        result = run("--database", str(path), *arguments)
        assert (result.exit_code, result.output) == (1, sentence)


def test_tail_prints_what_arrives_from_another_process(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with LocalPostHog(database=path) as posthog:
        send(posthog.url, failed_call(1_790_000_000.0))
        # Where the tests run in the background of a shell, their programs ignore SIGINT.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from otel_posthog.cli import main; main()"
        command = [sys.executable, "-u", "-c", code, "local", "tail", "--last", "1", "--database", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        try:
            assert process.stdout is not None
            assert "my-finetune:8b" in process.stdout.readline()
            send(posthog.url, claude_call(1_790_000_001.0))
            assert "claude-sonnet-4-5" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
            process.communicate()
