"""`otel-posthog doctor -- COMMAND`: what it says about apps that run under it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_posthog.doctor import observation
from otel_posthog.doctor._report import Line, Setup
from otel_posthog.doctor.configuration import load_settings
from otel_posthog.local import LocalPostHog
from tests.support.processes import NO_INSTRUMENTATION

CALL = """
from opentelemetry import trace
tracer = trace.get_tracer("my.app")
def call(tracer=tracer, **attributes):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini", **attributes}
    with tracer.start_as_current_span("chat", attributes=attributes):
        pass
"""
CONFIGURE = "import otel_posthog\nhandle = otel_posthog.configure()\n"
TEXT = """**{"gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]'}"""
ZERO_CODE = {
    "OTEL_TRACES_EXPORTER": "posthog",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    **NO_INSTRUMENTATION,
}


def observe(posthog: LocalPostHog, *command: str, **environ: str) -> list[str]:
    """The lines of the report."""
    ours = {**os.environ, "POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url, **environ}
    settings, error, warnings = load_settings(ours)
    return [text_of(line) for line in observation.observe(Setup(ours, settings, error, warnings), command)]


def text_of(line: Line) -> str:
    text = f"{line.status}: {line.text}"
    return f"{text} → {line.fix}" if line.fix else text


def observe_code(posthog: LocalPostHog, code: str, **environ: str) -> list[str]:
    """The lines after the first, which repeats the command."""
    return observe(posthog, sys.executable, "-c", code, **environ)[1:]


def test_the_command_keeps_its_report_apart_from_the_apps_output(posthog: LocalPostHog) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "otel_posthog.cli", "doctor", "--json", "--", sys.executable, "-c", "print('hello')"],
        env=os.environ | {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stdout)["status"] == "fault"
    assert done.returncode == 1
    assert done.stderr == "hello\n"


def test_an_app_that_works(posthog: LocalPostHog) -> None:
    code = CONFIGURE + CALL + f"with otel_posthog.context(distinct_id='ada'):\n    call({TEXT})"
    assert observe_code(posthog, code) == [
        "ok: global TracerProvider: PostHogSpanProcessor.",
        "info: my.app: 1 started, 1 ended, 1 AI (read as semconv).",
        "ok: 1 event accepted, 1 delivered, 0 dropped, 0 pending.",
        "ok: Sent: 1 $ai_generation.",
        "ok: my.app: 1 of 1 calls have prompts or answers.",
        "ok: 1 of 1 events have a user: ada.",
    ]
    assert len(posthog.events()) == 1


def test_an_app_that_opentelemetry_sets_up(posthog: LocalPostHog) -> None:
    launcher = str(Path(sys.executable).parent / "opentelemetry-instrument")
    lines = observe(posthog, launcher, sys.executable, "-c", CALL + f"call({TEXT})", **ZERO_CODE)
    assert "info: my.app: 1 started, 1 ended, 1 AI (read as semconv)." in lines
    assert "ok: 1 event accepted, 1 delivered, 0 dropped, 0 pending." in lines


def test_an_exporter_that_is_missing(posthog: LocalPostHog) -> None:
    launcher = str(Path(sys.executable).parent / "opentelemetry-instrument")
    environ = {**ZERO_CODE, "OTEL_METRICS_EXPORTER": "no_such"}
    lines = observe(posthog, launcher, sys.executable, "-c", CALL + "call()", **environ)
    assert lines[0] == (
        "fault: OTEL_METRICS_EXPORTER=no_such: no installed package has this exporter. → unset OTEL_METRICS_EXPORTER"
    )
    assert any(line.startswith("fault: OpenTelemetry was not set up") for line in lines)


OWN = "from opentelemetry.sdk.trace import TracerProvider\nfrom opentelemetry import trace\nown = TracerProvider()\n"
# name, code, lines that must be there
MISTAKES = [
    (
        "nothing sets opentelemetry up",
        CALL + "call()",
        [
            "fault: OpenTelemetry was not set up: no TracerProvider was made. "
            "→ call otel_posthog.configure(), or run the app with opentelemetry-instrument",
            "fault: No span ended.",
        ],
    ),
    (
        "another library's provider",
        OWN + "trace.set_tracer_provider(own)\n" + CALL + "call()",
        [
            "info: global TracerProvider: no processor.",
            "fault: No provider sends to PostHog. "
            "→ call otel_posthog.configure() after the other library, or export OTEL_TRACES_EXPORTER=posthog",
        ],
    ),
    (
        "attached to a provider that is not the global one",
        OWN
        + "trace.set_tracer_provider(TracerProvider())\nimport otel_posthog\n"
        + "otel_posthog.configure(tracer_provider=own)\n"
        + CALL
        + "call()",
        [
            "ok: TracerProvider: PostHogSpanProcessor.",
            "warning: PostHog is not attached to the global provider (TracerProvider), which most instrumentations "
            "use. → call otel_posthog.configure() last, or pass it tracer_provider=",
            "fault: 1 span of AI calls ended, and no event was delivered: no request. "
            "→ call flush() or shutdown() before the app ends",
        ],
    ),
    (
        "a provider that comes too late",
        CONFIGURE + OWN + "trace.set_tracer_provider(own)\n" + CALL + "call()",
        ["warning: logged: Overriding of current TracerProvider is not allowed"],
    ),
    (
        "spans without an AI call",
        CONFIGURE + CALL + "for _ in range(3):\n    with tracer.start_as_current_span('GET /'):\n        pass",
        ["info: my.app: 3 started, 3 ended, no AI span.", "fault: 3 spans ended, none of an AI call."],
    ),
    (
        "a span that never ends",
        CONFIGURE + CALL + "call()\ntracer.start_span('open')",
        ["warning: 1 span never ended, and only ended spans are sent."],
    ),
    (
        "no content and no user",
        CONFIGURE + CALL + "call()",
        [
            "warning: my.app: 0 of 1 calls have prompts or answers.",
            "info: 0 of 1 events have a user. → with otel_posthog.context(distinct_id=…), or set user.id on a span",
        ],
    ),
    (
        "content is off",
        "import otel_posthog\notel_posthog.configure(capture_content=False)\n" + CALL + f"call({TEXT})",
        ["warning: my.app: 0 of 1 calls have prompts or answers."],
    ),
    (
        "sent twice",
        CONFIGURE
        + "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        + "exporter = otel_posthog.PostHogSpanExporter()\n"
        + "handle.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))\n"
        + CALL
        + "call()",
        [
            "warning: global TracerProvider sends to PostHog 2 times. → keep one of configure(), PostHogSpanProcessor, "
            "PostHogSpanExporter and OTEL_TRACES_EXPORTER=posthog",
            "warning: Sent twice: 1 event. → attach PostHog once",
        ],
    ),
    (
        "posthog's own sdk sends as well",
        CONFIGURE
        + CALL
        + "call()\nimport os, requests\n"
        + "event = {'event': '$ai_generation', 'distinct_id': 'a', 'properties': {'$lib': 'posthog-python'}}\n"
        + "requests.post(os.environ['POSTHOG_HOST'] + '/batch/', json={'api_key': 'phc_test', 'batch': [event]})",
        [
            "warning: posthog-python sent 1 event to PostHog as well: calls are counted twice. "
            "→ keep one of the two, see docs/troubleshooting.md",
        ],
    ),
    (
        "posthog's own sdk in its newer protocol",
        CONFIGURE
        + CALL
        + "call()\nimport os, requests\n"
        + "now, uuid = '2026-01-01T00:00:00Z', '0193f7a8-0000-5000-8000-000000000000'\n"
        + "event = {'event': '$ai_generation', 'uuid': uuid, 'distinct_id': 'a', 'timestamp': now, 'properties': {}}\n"
        + "headers = {'PostHog-Sdk-Info': 'posthog-python/7.0', 'Authorization': 'Bearer phc_test', "
        + "'PostHog-Attempt': '1', 'PostHog-Request-Id': uuid, 'PostHog-Request-Timestamp': now}\n"
        + "url = os.environ['POSTHOG_HOST'] + '/i/v1/ai/events'\n"
        + "requests.post(url, json={'created_at': now, 'batch': [event]}, headers=headers).raise_for_status()",
        [
            "warning: posthog-python sent 1 event to PostHog as well: calls are counted twice. "
            "→ keep one of the two, see docs/troubleshooting.md",
        ],
    ),
    (
        "the same call recorded by two libraries",
        CONFIGURE
        + CALL
        + 'text = \'[{"role": "user", "content": "hi"}]\'\n'
        + "with tracer.start_as_current_span('outer', attributes={'openinference.span.kind': 'LLM', "
        + "'llm.model_name': 'gpt-5-mini', 'input.value': text}):\n"
        + "    call(tracer=trace.get_tracer('other'), **{'gen_ai.input.messages': text})",
        [
            "info: my.app: 1 started, 1 ended, 1 AI (read as openinference).",
            "info: other: 1 started, 1 ended, 1 AI (read as semconv).",
            "info: Merged with another record of the same call: 1 span.",
        ],
    ),
    (
        "killed before the queue is sent",
        CONFIGURE + CALL + "call()\nimport os, time\ntime.sleep(1.5)\nos._exit(0)",
        [
            "fault: 1 span of AI calls ended, and no event was delivered: no request. "
            "→ call flush() or shutdown() before the app ends",
            "warning: 1 of 1 processes ended abruptly; the counts may be too low. "
            "→ end the app with SIGINT, or let it handle SIGTERM",
        ],
    ),
]


@pytest.mark.parametrize(("code", "expected"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_in_an_app_is_a_line(code: str, expected: list[str], posthog: LocalPostHog) -> None:
    lines = observe_code(posthog, code)
    assert [line for line in expected if line not in lines] == [], lines


def test_events_that_posthog_refuses_are_counted_by_reason() -> None:
    with LocalPostHog(faults=["400"]) as posthog:
        lines = observe_code(posthog, CONFIGURE + CALL + "call()")
    assert "info: 1 event accepted, 0 delivered, 1 dropped, 0 pending." in lines
    assert any(line.startswith("warning: 1 event dropped: ") for line in lines)
    assert any("no event was delivered: 127.0.0.1 400" in line for line in lines)


def test_the_switch_of_an_instrumentation_that_records_no_content(posthog: LocalPostHog) -> None:
    pytest.importorskip("opentelemetry.instrumentation.openai_v2")
    code = CONFIGURE + CALL + "call(trace.get_tracer('opentelemetry.instrumentation.openai_v2'))"
    expected = [
        "warning: opentelemetry.instrumentation.openai_v2: 0 of 1 calls have prompts or answers.",
        "warning: opentelemetry-instrumentation-openai-v2 records no prompts and answers (by default): "
        "calls arrive without text. → export OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true",
    ]
    assert [line for line in observe_code(posthog, code) if "prompts" in line] == expected


def test_a_client_whose_instrumentation_is_not_active(posthog: LocalPostHog) -> None:
    pytest.importorskip("openinference.instrumentation.openai")
    lines = observe_code(posthog, CONFIGURE + "import openai")
    (line,) = (line for line in lines if "openai is used" in line)
    assert line.startswith("fault: openai is used, and its instrumentation is not active (")
    assert line.endswith(
        "→ call OpenAIInstrumentor().instrument() at start, or run the app with opentelemetry-instrument"
    )


def test_a_client_that_is_traced_but_made_no_call(posthog: LocalPostHog) -> None:
    pytest.importorskip("openinference.instrumentation.openai")
    instrument = "from openinference.instrumentation.openai import OpenAIInstrumentor as I\nI().instrument()\n"
    lines = observe_code(posthog, CONFIGURE + instrument + "import openai")
    assert (
        "warning: openai is used and traced, but no call ended. "
        "→ call instrument() before clients are made, and make a call"
    ) in lines


def test_the_status_of_the_app_is_a_fault(posthog: LocalPostHog) -> None:
    lines = observe(posthog, sys.executable, "-c", "raise SystemExit(3)")
    assert lines[0] == f"fault: {sys.executable} -c raise SystemExit(3) ended with status 3."


def test_a_command_that_does_not_exist(posthog: LocalPostHog) -> None:
    lines = observe(posthog, "no-such-command")
    assert lines == ["fault: no-such-command cannot be run: No such file or directory. → check the command after --"]


def test_a_command_that_is_no_python(posthog: LocalPostHog) -> None:
    lines = observe(posthog, "true")
    assert lines[1:] == [
        "fault: Nothing was observed: the command ran no Python that has otel-posthog installed. "
        f"→ use this interpreter: {sys.executable}"
    ]


def test_the_environments_own_sitecustomize_runs_too(
    posthog: LocalPostHog, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; print('own', file=sys.stderr)")
    observe(posthog, sys.executable, "-c", "pass", PYTHONPATH=str(tmp_path))
    assert "own" in capfd.readouterr().err


def test_nothing_is_imported_unless_the_doctor_asks() -> None:
    code = "import otel_posthog, sys; from otel_posthog.doctor.observer import observe_if_asked; observe_if_asked()\n"
    code += "print([name for name in sys.modules if name.startswith('otel_posthog.doctor._')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
