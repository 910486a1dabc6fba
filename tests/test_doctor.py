"""`otel-posthog doctor`: a line for each mistake, end to end against a local PostHog."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from otel_posthog.cli import build
from otel_posthog.doctor import configuration, instrumentations, network, project_key, sending
from otel_posthog.doctor._http import Client
from otel_posthog.doctor._report import Check, Line, Setup
from otel_posthog.doctor.command import OFFLINE, ONLINE, run, summary
from otel_posthog.local import LocalPostHog
from otel_posthog.settings import Settings
from tests.support.ports import free_port

KEY = "phc_test"


def setup_of(environ: Mapping[str, str] | None = None, wait: float = 0) -> Setup:
    environ = {"POSTHOG_API_KEY": KEY, **(environ or {})}
    settings, error, warnings = configuration.load_settings(environ)
    return Setup(environ, settings, error, warnings, wait=wait)


def lines(check: Check, environ: Mapping[str, str] | None = None, **options: Any) -> list[str]:
    return [str(line) for line in check(setup_of(environ, **options))]


def doctor(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(build(), ["doctor", *arguments], env=environ)


@pytest.fixture
def page() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


class Server:
    """Answers everything alike: what stands where PostHog should be."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 200, {"Content-Type": "text/html"}, b"<html>Please log in</html>"
        test = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name that the standard library wants
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(test.status)
                for name, value in {**test.headers, "Content-Length": str(len(test.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(test.body)

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


# --- settings and variables ---------------------------------------------------------------------------------------

FIX_KEY = "\n    → export POSTHOG_API_KEY=phc_…  # Project settings → Project API key"
SETTINGS = [
    (
        {"POSTHOG_API_KEY": ""},
        "✗ api_key is missing: pass the project API key (phc_…) or set POSTHOG_API_KEY." + FIX_KEY,
    ),
    (
        {"POSTHOG_API_KEY": "phx_personal"},
        "✗ POSTHOG_API_KEY must be a project API key (phc_…), not a personal API key (phx_…)." + FIX_KEY,
    ),
    (
        {"POSTHOG_API_KEY": "'phc_quoted'"},
        "✗ POSTHOG_API_KEY must be a project API key (phc_…) without quotes around it." + FIX_KEY,
    ),
    (
        {"POSTHOG_API_KEY": "<your key>"},
        "✗ POSTHOG_API_KEY must be a project API key (phc_…), not a placeholder: "
        "copy the key from the project's settings in PostHog." + FIX_KEY,
    ),
    (
        {"POSTHOG_API_KEY": "sk-proj-1"},
        "✗ POSTHOG_API_KEY must be a project API key (phc_…), not an OpenAI key (sk-…)." + FIX_KEY,
    ),
    (
        {"POSTHOG_HOST": "ftp://posthog.example"},
        "✗ POSTHOG_HOST must be a URL such as https://us.i.posthog.com, https://eu.i.posthog.com or "
        "http://localhost:8010, not 'ftp://posthog.example'.",
    ),
    ({"POSTHOG_HOST": "eu.i.posthog.com"}, "! POSTHOG_HOST has no scheme: using https://eu.i.posthog.com."),
    (
        {"POSTHOG_HOST": "https://eu.i.posthog.com/batch/"},
        "! POSTHOG_HOST should end before /batch: using https://eu.i.posthog.com.",
    ),
    (
        {"POSTHOG_HOST": "https://us.posthog.com"},
        "· https://us.posthog.com is PostHog's app: events are sent to https://us.i.posthog.com.",
    ),
    (
        {"POSTHOG_CAPTURE_CONTENTS": "false"},
        "! POSTHOG_CAPTURE_CONTENTS is not an option of otel-posthog: did you mean POSTHOG_CAPTURE_CONTENT?",
    ),
    (
        {"POSTHOG_API_HOST": "https://eu.i.posthog.com"},
        "! POSTHOG_API_HOST is not read by otel-posthog, which sends to https://us.i.posthog.com: set POSTHOG_HOST.",
    ),
    (
        {"POSTHOG_DISABLED": "true"},
        "✗ Nothing is sent: POSTHOG_DISABLED switches the export off.\n    → unset POSTHOG_DISABLED",
    ),
    (
        {"OTEL_SDK_DISABLED": "true"},
        "✗ Nothing is sent: OTEL_SDK_DISABLED switches the export off.\n    → unset OTEL_SDK_DISABLED",
    ),
    ({"POSTHOG_CAPTURE_CONTENT": "no"}, "· Prompts and outputs are not sent (capture_content)."),
    (
        {"POSTHOG_API_KEY": "sTMFPsFhdP1Ssg"},
        "! The project API key does not start with phc_, as keys of new projects do.",
    ),
    ({"POSTHOG_TIMEOUT": "3"}, "· timeout = 3.0 (POSTHOG_TIMEOUT)"),
    ({"POSTHOG_PROXY": "http://u:hunter2@p:1"}, "· proxy = set (POSTHOG_PROXY)"),
    (
        {},
        "· host = https://us.i.posthog.com (default); for an EU project: export POSTHOG_HOST=https://eu.i.posthog.com",
    ),
    (
        {"POSTHOG_API_KEY": "phc_abcdefghijklmnopqrstuvwxyz0123456789ABC"},
        "· api_key = phc_abcd…9ABC (POSTHOG_API_KEY)",
    ),
]


@pytest.mark.parametrize(("environ", "line"), SETTINGS, ids=[str(row[0]) for row in SETTINGS])
def test_a_mistake_in_the_settings_is_a_line(environ: dict[str, str], line: str) -> None:
    assert line in lines(configuration.check_settings, environ)


VARIABLES = [
    (
        {"OTEL_TRACES_SAMPLER": "always_off"},
        "✗ Tracing is switched off by OTEL_TRACES_SAMPLER=always_off.\n    → unset OTEL_TRACES_SAMPLER",
    ),
    (
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
        "! OTEL_TRACES_SAMPLER keeps a share of 0.1 of all traces; the rest never reaches PostHog.\n"
        "    → sample with POSTHOG_SAMPLE_RATE instead, which keeps errors and says how to scale totals",
    ),
    (
        {"OTEL_TRACES_EXPORTER": "posthogg"},
        "✗ OTEL_TRACES_EXPORTER=posthogg: no installed package has this exporter.\n"
        "    → export OTEL_TRACES_EXPORTER=posthog",
    ),
    (
        {"OTEL_TRACES_EXPORTER": "otlp,posthog"},
        "✗ OTEL_TRACES_EXPORTER=otlp: no installed package has this exporter.\n"
        "    → export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    ),
    (
        {"OTEL_TRACES_EXPORTER": "posthog", "OTEL_LOGS_EXPORTER": "none"},
        "✗ OTEL_METRICS_EXPORTER is not set: opentelemetry-instrument then needs the otlp exporter, which is not "
        "installed, and sets nothing up.\n    → export OTEL_METRICS_EXPORTER=none",
    ),
    (
        {},
        "· OTEL_TRACES_EXPORTER is not set: opentelemetry-instrument does not send to PostHog by itself "
        "(otel_posthog.configure() needs no variable).",
    ),
    (
        {"OTEL_TRACE_EXPORTER": "posthog"},
        "! OTEL_TRACE_EXPORTER is not known to OpenTelemetry: did you mean OTEL_TRACES_EXPORTER?",
    ),
    (
        {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "100"},
        "· OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=100: characters after which prompts and answers are cut",
    ),
]


@pytest.mark.parametrize(("environ", "line"), VARIABLES, ids=[str(row[0]) for row in VARIABLES])
def test_a_variable_of_opentelemetry_that_matters_is_a_line(environ: dict[str, str], line: str) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    assert line in lines(configuration.check_variables, environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "posthog", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
        {
            "OTEL_TRACES_EXPORTER": "otlp,posthog,console",
            "OTEL_LOGS_EXPORTER": "posthog",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        },
        {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_INSTRUMENTATION_HTTP_EXCLUDED_URLS": "x"},
    ],
)
def test_variables_that_are_right_are_no_problem(environ: dict[str, str]) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    found = list(configuration.check_variables(setup_of(environ)))
    assert {line.status for line in found} == {"info"}


def test_versions_are_told_with_the_interpreter() -> None:
    first, second = lines(configuration.check_versions)
    assert first.startswith("✓ otel-posthog 0.")
    assert "opentelemetry-sdk 1." in first
    assert second == f"· interpreter: {sys.executable}"


# --- instrumentations ---------------------------------------------------------------------------------------------

CMC = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EXPERIMENTAL = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
# distribution, variables, whether content is recorded, the variable and value that would record it
CONTENT = [
    ("opentelemetry-instrumentation-openai-v2", {}, f"{CMC}=true"),
    ("opentelemetry-instrumentation-openai-v2", {CMC: "true"}, None),
    ("opentelemetry-instrumentation-openai-v2", {CMC: "SPAN_ONLY"}, f"{CMC}=true"),
    ("opentelemetry-instrumentation-openai-v2", {CMC: "true", **EXPERIMENTAL}, f"{CMC}=SPAN_ONLY"),
    ("opentelemetry-instrumentation-openai-v2", {CMC: "SPAN_AND_EVENT", **EXPERIMENTAL}, None),
    ("opentelemetry-instrumentation-genai-anthropic", {CMC: "true"}, f"{CMC}=SPAN_ONLY"),
    ("opentelemetry-instrumentation-google-genai", {CMC: "span_only"}, None),
    ("openinference-instrumentation-openai", {}, None),
    ("openinference-instrumentation-openai", {"OPENINFERENCE_HIDE_INPUTS": "true"}, "OPENINFERENCE_HIDE_INPUTS=false"),
    ("openinference-instrumentation-x", {"OPENINFERENCE_HIDE_OUTPUTS": "1"}, "OPENINFERENCE_HIDE_OUTPUTS=false"),
    ("opentelemetry-instrumentation-anthropic", {}, None),
    (
        "opentelemetry-instrumentation-anthropic",
        {"TRACELOOP_TRACE_CONTENT": "false"},
        "TRACELOOP_TRACE_CONTENT=true",
    ),
    ("openlit", {CMC: "false"}, f"{CMC}=true"),
    ("google-adk", {}, f"{CMC}=true"),
    ("agent-framework-core", {}, "ENABLE_SENSITIVE_DATA=true"),
    ("agent-framework-core", {"ENABLE_SENSITIVE_DATA": "true"}, None),
]


@pytest.mark.parametrize(("name", "environ", "switch"), CONTENT)
def test_whether_an_instrumentation_records_content(name: str, environ: dict[str, str], switch: str | None) -> None:
    (line,) = instrumentations.content_of(name, environ)
    if switch is None:
        assert (line.status, line.text) == ("ok", f"{name} records prompts and answers.")
    else:
        assert (line.status, line.fix) == ("warning", f"export {switch}")
        assert line.text.startswith(f"{name} records no prompts and answers (")
        assert line.text.endswith("): calls arrive without text.")


class FakeEntry:
    """An instrumentation that is installed, as its entry point."""

    def __init__(self, name: str, instruments: str, error: Exception | None = None) -> None:
        self.name, self._error = name, error
        self.dist = self
        self.requires = [f'{instruments}; extra == "instruments"', "opentelemetry-api>=1"]

    def load(self) -> object:
        if self._error is not None:
            raise self._error
        return object


class FakeDistribution:
    def __init__(self, version: str) -> None:
        self.version = version


def check_with(
    monkeypatch: pytest.MonkeyPatch, packages: Mapping[str, str], *entries: FakeEntry, **environ: str
) -> list[str]:
    found = {name: FakeDistribution(version) for name, version in packages.items()}
    monkeypatch.setattr(instrumentations, "installed", found.get)
    monkeypatch.setattr(instrumentations, "instrumentors", lambda: {entry.name: entry for entry in entries})
    return lines(instrumentations.check_instrumentations, environ)


def test_a_client_that_nothing_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_with(monkeypatch, {"openai": "2.54.0"}) == [
        "! openai 2.54.0 is installed, and nothing traces it.\n    → pip install openinference-instrumentation-openai"
    ]


def test_an_interpreter_without_llm_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_with(monkeypatch, {}) == [
        "! No LLM client that we know is installed for this interpreter.\n"
        "    → run the doctor with the Python of your app: python -m otel_posthog.cli doctor"
    ]


def test_an_instrumentation_for_another_version_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = FakeEntry("opentelemetry-instrumentation-openai-v2", "openai<3")
    assert (
        "✗ opentelemetry-instrumentation-openai-v2 wants openai<3, you have 3.1.0: it does nothing.\n"
        '    → pip install "openai<3"'
    ) in check_with(monkeypatch, {"openai": "3.1.0"}, entry)


def test_an_instrumentation_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = FakeEntry("opentelemetry-instrumentation-openai-v2", "openai>=1", ImportError("no TelemetryHandler\nmore"))
    assert (
        "✗ opentelemetry-instrumentation-openai-v2 cannot be imported: ImportError: no TelemetryHandler\n"
        '    → pip install "openai<3" "opentelemetry-util-genai<1"'
    ) in check_with(monkeypatch, {"openai": "2.0"}, entry)


def test_two_libraries_that_trace_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    both = FakeEntry("openinference-instrumentation-openai", "openai>=1"), FakeEntry("openllmetry-openai", "openai>=1")
    found = check_with(monkeypatch, {"openai": "2.0"}, *both)
    assert found[:2] == [
        "✓ openai 2.0 is traced by openinference-instrumentation-openai and openllmetry-openai.",
        "! 2 libraries trace openai. A call is still counted once, but each of them costs time.\n"
        "    → pip uninstall openllmetry-openai",
    ]


def test_frameworks_that_trace_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_with(monkeypatch, {"pydantic-ai-slim": "2.68", "openai": "2.0"}) == [
        "· openai 2.0: no instrumentation of its own.",
        "· pydantic-ai-slim traces by itself (Agent.instrument_all()).",
        "✓ pydantic-ai-slim records prompts and answers.",
    ]


def test_a_name_that_switches_off_every_instrumentation_of_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = FakeEntry("openai", "openai>=1")
    line = (
        "! OTEL_PYTHON_DISABLED_INSTRUMENTATIONS switches off all that trace openai: openai.\n"
        "    → take openai out of OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    )
    variables = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "requests, openai"}
    assert line in check_with(monkeypatch, {"openai": "2.0"}, entry, **variables)


def test_langsmith_that_does_not_write_opentelemetry_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "! LangSmith traces to its own server only.\n    → export LANGSMITH_TRACING_MODE=hybrid"
    packages = {"langsmith": "0.15.1"}
    assert line in check_with(monkeypatch, packages, LANGSMITH_TRACING="true")
    found = check_with(monkeypatch, packages, LANGSMITH_TRACING="true", LANGSMITH_TRACING_MODE="otel")
    assert line not in found


# --- the way to PostHog -------------------------------------------------------------------------------------------


def test_a_server_that_answers(page: Server) -> None:
    (line,) = network.check_connection(setup_of({"POSTHOG_HOST": page.url}))
    assert line.status == "ok"
    assert line.text.startswith("127.0.0.1 port ")


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", fail)
    assert lines(network.check_connection, {"POSTHOG_HOST": "https://posthog.exmaple"}) == [
        "✗ Cannot resolve posthog.exmaple: Name or service not known.\n"
        "    → check POSTHOG_HOST for a typo, and DNS on this machine"
    ]


def test_a_port_that_is_closed() -> None:
    port = free_port()
    assert lines(network.check_connection, {"POSTHOG_HOST": f"http://127.0.0.1:{port}"}) == [
        f"✗ Cannot reach 127.0.0.1 port {port}: Connection refused.\n"
        "    → open the firewall for it, or set HTTPS_PROXY or POSTHOG_PROXY"
    ]


def test_a_server_without_tls(page: Server) -> None:
    (line,) = lines(network.check_connection, {"POSTHOG_HOST": page.url.replace("http:", "https:")})
    assert line.startswith("✗ TLS with 127.0.0.1 failed: ")
    assert "POSTHOG_CERTIFICATE=/path/to/ca.pem" in line


def test_a_proxy_is_named_without_its_password() -> None:
    environ = {"POSTHOG_HOST": "https://eu.i.posthog.com", "POSTHOG_PROXY": "http://u:hunter2@proxy.example:3128"}
    assert lines(network.check_connection, environ) == [
        "· eu.i.posthog.com is reached through the proxy http://…@proxy.example:3128."
    ]


def test_the_endpoints_that_are_served(posthog: LocalPostHog) -> None:
    assert lines(network.check_endpoints, {"POSTHOG_HOST": posthog.url}) == [
        f"✓ {posthog.url} serves /i/v0/ai/batch/ and /batch/: events of up to 8 MiB.",
        "· /i/v1/ai/events: served as well.",
        "· /i/v1/analytics/events: served as well.",
        "· /i/v0/e/: served as well.",
    ]
    assert posthog.events() == []


def test_an_older_installation() -> None:
    with LocalPostHog(serve_ai_lane=False, serve_v1=False) as posthog:
        assert lines(network.check_endpoints, {"POSTHOG_HOST": posthog.url})[:2] == [
            f"✓ {posthog.url} serves /batch/: events of up to 983 KB.",
            "· /i/v1/ai/events: not served.",
        ]


def test_a_path_where_nothing_is_served(page: Server) -> None:
    page.status = 404
    assert lines(network.check_endpoints, {"POSTHOG_HOST": page.url}) == [
        f"✗ {page.url} does not serve /i/v0/ai/batch/ and /batch/.\n"
        "    → check the path of POSTHOG_HOST, and that the proxy forwards these paths with their method"
    ]


LOGIN_FIX = (
    "\n    → POSTHOG_HOST=https://us.i.posthog.com or https://eu.i.posthog.com, or exclude the path from the login"
)


def test_a_login_page(page: Server) -> None:
    assert lines(network.check_endpoints, {"POSTHOG_HOST": page.url}) == [
        f"✗ {page.url} answers /i/v0/ai/batch/ with a web page: that is not PostHog's capture endpoint." + LOGIN_FIX
    ]


def test_a_redirect_to_a_login_page(page: Server) -> None:
    page.status, page.headers, page.body = 302, {"Location": "https://sso.example/login"}, b""
    assert lines(network.check_endpoints, {"POSTHOG_HOST": page.url}) == [
        f"✗ {page.url} answers /i/v0/ai/batch/ with a web page (redirect to https://sso.example/login): "
        "that is not PostHog's capture endpoint." + LOGIN_FIX
    ]


def test_a_proxy_that_answers_200_with_nothing(page: Server) -> None:
    page.body = b"ok"
    assert lines(network.check_endpoints, {"POSTHOG_HOST": page.url}) == [
        f"✗ {page.url} answers /i/v0/ai/batch/ with 200, but not with PostHog's JSON: "
        "something else takes the events.\n"
        "    → check POSTHOG_HOST and the proxy in front of PostHog"
    ]


def test_a_proxy_with_nothing_behind_it(page: Server) -> None:
    page.status = 502
    assert lines(network.check_endpoints, {"POSTHOG_HOST": page.url}) == [
        f"✗ {page.url} answers 502 for /i/v0/ai/batch/: the proxy has no PostHog behind it, or PostHog is down.\n"
        "    → check the upstream of the proxy, and https://status.posthog.com"
    ]


def test_a_key_that_capture_refuses(page: Server) -> None:
    page.status, page.body = 401, b"API key is not valid: personal_api_key"
    assert lines(network.check_endpoints, {"POSTHOG_HOST": page.url}) == [
        "✗ PostHog refuses the key: API key is not valid: personal_api_key.\n"
        "    → copy the project API key from the project's settings"
    ]


def test_a_connection_that_is_reset() -> None:
    with LocalPostHog(faults=["reset"]) as posthog:
        (line,) = lines(network.check_endpoints, {"POSTHOG_HOST": posthog.url})
    assert line.startswith(f"✗ No answer from {posthog_path(line)}: ")
    assert line.endswith("→ check proxy and firewall")


def posthog_path(line: str) -> str:
    return line.split()[4].rstrip(":")


# --- the key ------------------------------------------------------------------------------------------------------


def test_a_key_that_a_project_has() -> None:
    with LocalPostHog(api_keys=[KEY]) as posthog:
        assert lines(project_key.check_key, {"POSTHOG_HOST": posthog.url}) == ["✓ A project has the key phc_…."]


def test_a_key_that_no_project_has() -> None:
    with LocalPostHog(api_keys=["phc_other"]) as posthog:
        assert lines(project_key.check_key, {"POSTHOG_HOST": posthog.url}) == [
            "✗ No project has the key phc_…: PostHog accepts the events and drops them.\n"
            "    → copy the project API key from the project's settings"
        ]


def test_a_key_of_the_other_region(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalPostHog(api_keys=["phc_us"]) as us, LocalPostHog(api_keys=["phc_eu"]) as eu:
        monkeypatch.setattr(project_key, "REGIONS", {us.url: "US", eu.url: "EU"})
        assert lines(project_key.check_key, {"POSTHOG_HOST": us.url, "POSTHOG_API_KEY": "phc_eu"}) == [
            f"✗ The key phc_… belongs to a project in the EU region.\n    → export POSTHOG_HOST={eu.url}"
        ]


def test_a_host_that_does_not_say_whether_it_knows_the_key(page: Server) -> None:
    page.status = 404
    assert lines(project_key.check_key, {"POSTHOG_HOST": page.url}) == [
        f"! {page.url} does not say whether a project has the key phc_…."
    ]


# --- sending and reading back -------------------------------------------------------------------------------------

PERSONAL = {"POSTHOG_PERSONAL_API_KEY": "phx_reader", "POSTHOG_PROJECT_ID": "1"}


def test_the_event_is_sent_and_nothing_is_promised(posthog: LocalPostHog) -> None:
    sent, unknown = lines(sending.check_sending, {"POSTHOG_HOST": posthog.url})
    (event,) = posthog.wait_for(1)
    trace_id = event["properties"]["$ai_trace_id"]
    assert sent == f"✓ PostHog accepted the event {event['uuid']} of trace {trace_id}."
    assert event["event"] == "$ai_generation"
    assert unknown == (
        "! Whether the event arrived in your project is not known: PostHog accepts events for unknown keys too.\n"
        "    → export POSTHOG_PERSONAL_API_KEY=phx_… (scopes query:read and project:read) POSTHOG_PROJECT_ID=…"
    )


def test_the_event_is_read_back(posthog: LocalPostHog) -> None:
    found = lines(sending.check_sending, {"POSTHOG_HOST": posthog.url, **PERSONAL})
    assert found[1:] == ["✓ The event became a generation in PostHog after 0 s."]


def test_the_event_goes_to_another_project() -> None:
    with LocalPostHog(api_keys=["phc_a", KEY]) as posthog:
        found = lines(sending.check_sending, {"POSTHOG_HOST": posthog.url, **PERSONAL})
    assert found[1] == (
        "✗ Events go to another project than 1 (local).\n"
        "    → use the project API key of that project, or set POSTHOG_PROJECT_ID to the one of your key"
    )


REFUSED = [
    (
        {"POSTHOG_PERSONAL_API_KEY": "phc_test"},
        "✗ POSTHOG_PERSONAL_API_KEY was refused (401: Invalid personal API key.).\n"
        "    → create a personal API key (phx_…) with scope query:read",
    ),
    (
        {"POSTHOG_PROJECT_ID": "7"},
        "✗ {url} has no project 7 (404: Project not found.).\n    → check POSTHOG_PROJECT_ID and the region",
    ),
]


@pytest.mark.parametrize(("environ", "line"), REFUSED)
def test_reading_back_is_refused(environ: dict[str, str], line: str, posthog: LocalPostHog) -> None:
    found = lines(sending.check_sending, {"POSTHOG_HOST": posthog.url, **PERSONAL, **environ})
    assert found[1:] == [line.format(url=posthog.url)]


def test_a_personal_key_without_the_scope(page: Server) -> None:
    page.status, page.body = 403, b'{"code":"permission_denied","detail":"API key missing required scope"}'
    line = reader_of(page.url).wait_for("any", setup_of())
    assert str(line) == (
        "✗ The personal API key may not query project 1 (403: API key missing required scope).\n"
        "    → add the scope query:read and the project"
    )


def test_an_app_url_that_is_not_posthogs(page: Server) -> None:
    page.status = 400
    line = reader_of(page.url).wait_for("any", setup_of())
    assert str(line) == (
        f"✗ {page.url} is not PostHog's API (400).\n    → pass --app-url with the address where you open PostHog"
    )


def reader_of(url: str) -> sending.Reader:
    return sending.Reader(Client(Settings(api_key=KEY)), url, "1", "phx_reader")


UUID = "0193f7a8-0000-5000-8000-000000000000"


def test_an_event_that_does_not_show_up_is_waited_for(posthog: LocalPostHog, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    progress: list[str] = []
    monkeypatch.setattr(sending, "pause", pauses.append)
    monkeypatch.setattr(sending, "monotonic", lambda: sum(pauses))
    setup = Setup({}, wait=60, progress=progress.append)
    line = reader_of(posthog.url).wait_for(UUID, setup)
    assert pauses == [2, 5, 10, 15, 15]
    assert progress[-1] == "waiting for the event to show up in project 1: 32 s"
    assert str(line) == (
        f"! Accepted, but not visible after 47 s: PostHog may take some minutes.\n    → look for the event {UUID} later"
    )


def test_a_limit_of_the_query_api_is_kept(page: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(sending, "pause", pauses.append)
    monkeypatch.setattr(sending, "monotonic", lambda: sum(pauses))
    page.status, page.headers, page.body = 429, {"Retry-After": "30"}, b""
    assert reader_of(page.url).wait_for(UUID, Setup({}, wait=100)).status == "warning"
    assert pauses == [30, 30, 30]


def test_an_event_of_another_kind(page: Server) -> None:
    page.body = b'{"results":[["$ai_span","2026-01-01T00:00:00Z"]]}'
    line = reader_of(page.url).wait_for(UUID, setup_of())
    assert str(line) == "✗ The event arrived as $ai_span, not as $ai_generation."


def test_an_event_that_is_refused() -> None:
    with LocalPostHog(faults=["400"]) as posthog:
        found = list(sending.check_sending(setup_of({"POSTHOG_HOST": posthog.url})))
    assert {line.status for line in found} == {"fault"}
    assert "1 event" in found[0].text


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_in_a_setup_that_works(posthog: LocalPostHog) -> None:
    done = doctor(POSTHOG_API_KEY=KEY, POSTHOG_HOST=posthog.url, **PERSONAL)
    assert done.exit_code == 0
    assert "✓ The event became a generation in PostHog after 0 s." in done.output
    assert "0 faults" in done.output


def test_the_command_fails_with_a_fault_and_asks_nothing_further() -> None:
    with LocalPostHog(api_keys=["phc_other"]) as posthog:
        done = doctor(POSTHOG_API_KEY=KEY, POSTHOG_HOST=posthog.url)
        assert done.exit_code == 1
        assert "✗" in done.output
        assert "1 fault, " in done.output
        assert posthog.events() == []


def test_without_a_usable_key_nothing_is_sent() -> None:
    done = doctor(POSTHOG_API_KEY="phx_secret")
    assert done.exit_code == 1
    assert "not a personal API key" in done.output
    assert "secret" not in done.output


def test_the_report_as_json(posthog: LocalPostHog) -> None:
    done = doctor("--json", "--offline", POSTHOG_API_KEY=KEY, POSTHOG_HOST="ftp://x")
    report = json.loads(done.stdout)
    assert report["status"] == "fault"
    assert {"check", "status", "text", "fix"} == set(report["lines"][0])
    assert [line["check"] for line in report["lines"] if line["status"] == "fault"] == ["settings"]


def test_offline_nothing_is_asked(posthog: LocalPostHog) -> None:
    doctor("--offline", POSTHOG_API_KEY=KEY, POSTHOG_HOST=posthog.url)
    assert posthog.requests() == []


def test_the_checks_of_the_network_stop_at_the_first_fault(page: Server) -> None:
    found = list(run(setup_of({"POSTHOG_HOST": page.url}), ONLINE))
    assert [line.check for line in found] == ["connection", "endpoints"]


def test_offline_checks_all_run() -> None:
    assert {line.check for line in run(setup_of({"POSTHOG_DISABLED": "true"}), OFFLINE)} == {
        "versions",
        "settings",
        "variables",
        "instrumentations",
    }


def test_the_summary_counts() -> None:
    fault, warning = Line("x", "fault", "x"), Line("x", "warning", "x")
    assert summary([]) == "No problem found."
    assert summary([fault, warning, warning]) == "1 fault, 2 warnings."


def test_a_project_over_its_quota() -> None:
    with LocalPostHog(faults=["quota"]) as posthog:
        (line,) = lines(sending.check_sending, {"POSTHOG_HOST": posthog.url})
    assert line.endswith("/i/v0/ai/batch/ dropped the events: the project is over its quota")
