"""configure() and the entry points, each in a process of its own: what is global stays there."""

from __future__ import annotations

import gc
import inspect
import os
import weakref
from importlib.metadata import entry_points

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from otel_posthog import ConfigurationError, Reader, configure
from otel_posthog._configure import EnvironmentSpanExporter, attach_processors
from otel_posthog._model import Operation
from otel_posthog.local import LocalPostHog
from tests.support.processes import NO_INSTRUMENTATION, run_python
from tests.support.spans import CHAT

if "event_name" not in inspect.signature(LogRecord).parameters:
    pytest.skip("the programs here log events the way newer SDKs do", allow_module_level=True)

# An app as its author writes it: one call, its question and its answer in log records.
APP = """
from opentelemetry import _logs, trace

def call(name="chat"):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini"}
    with trace.get_tracer("app").start_as_current_span(name, attributes=attributes):
        logger = _logs.get_logger("app")
        logger.emit(_logs.LogRecord(event_name="gen_ai.user.message", body={"content": "question"}))
        message = {"role": "assistant", "content": "answer"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        logger.emit(_logs.LogRecord(event_name="gen_ai.choice", body=choice))
"""
CONFIGURE = f"from otel_posthog import configure\n{APP}"


def run(posthog: LocalPostHog, code: str, **env: str) -> str:
    """Run code with a key and a host in its environment; what it prints."""
    done = run_python(code, {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url, **env})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def assert_one_whole_call(posthog: LocalPostHog) -> None:
    (event,) = posthog.events()
    assert event["event"] == "$ai_generation"
    assert event["deliveries"] == 1
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "question"}]
    assert event["properties"]["$ai_output_choices"][0]["content"] == "answer"


# --- configure()


def test_configure_alone_is_enough(posthog: LocalPostHog) -> None:
    run(posthog, f"{CONFIGURE}\nhandle = configure()\ncall()\nassert handle.flush()")
    assert_one_whole_call(posthog)


def test_nothing_is_said_where_all_goes_well(posthog: LocalPostHog) -> None:
    done = run_python(f"{CONFIGURE}\nconfigure()\ncall()", {"POSTHOG_API_KEY": "phc_1", "POSTHOG_HOST": posthog.url})
    assert (done.stdout, done.stderr) == ("", "")


def test_an_app_that_just_ends_sends_what_is_left(posthog: LocalPostHog) -> None:
    run(posthog, f"{CONFIGURE}\nconfigure()\ncall()")
    assert_one_whole_call(posthog)


def test_arguments_are_settings(posthog: LocalPostHog) -> None:
    code = f"{CONFIGURE}\nconfigure('phc_argument', {posthog.url!r}, distinct_id='ada')\ncall()"
    run(posthog, code, POSTHOG_HOST="http://127.0.0.1:9")
    assert [event["distinct_id"] for event in posthog.events()] == ["ada"]


def test_a_global_provider_that_exists_is_attached_to(posthog: LocalPostHog) -> None:
    code = f"""
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
spans, records = TracerProvider(), LoggerProvider()
spans.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(spans)
_logs.set_logger_provider(records)
{CONFIGURE}
handle = configure()
assert trace.get_tracer_provider() is handle.tracer_provider is spans
assert _logs.get_logger_provider() is handle.logger_provider is records
call()
"""
    assert '"name": "chat"' in run(posthog, code)
    assert_one_whole_call(posthog)


def test_the_sdks_provider_inside_of_a_proxy_is_attached_to(posthog: LocalPostHog) -> None:
    """As Logfire has it."""
    code = f"""
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
class Spans(trace.TracerProvider):
    provider = TracerProvider()
    def get_tracer(self, *arguments, **named):
        return self.provider.get_tracer(*arguments, **named)
class Records(_logs.LoggerProvider):
    provider = LoggerProvider()
    def get_logger(self, *arguments, **named):
        return self.provider.get_logger(*arguments, **named)
trace.set_tracer_provider(Spans())
_logs.set_logger_provider(Records())
{CONFIGURE}
configure()
call()
"""
    done = run_python(code, {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url})
    assert (done.returncode, done.stderr) == (0, "")
    assert_one_whole_call(posthog)


def test_a_provider_keeps_its_other_processors(posthog: LocalPostHog) -> None:
    """Phoenix's replaces its default one when another is added."""
    code = f"""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
class Provider(TracerProvider):
    def add_span_processor(self, processor):
        raise AssertionError("would remove the default processor")
trace.set_tracer_provider(Provider())
{CONFIGURE}
configure()
call()
"""
    run(posthog, code)
    assert_one_whole_call(posthog)


def test_a_given_provider_is_attached_to_it_alone(posthog: LocalPostHog) -> None:
    code = f"""
{CONFIGURE}
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
spans = TracerProvider()
handle = configure(tracer_provider=spans, logger_provider=LoggerProvider())
assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
assert type(_logs.get_logger_provider()).__name__ == "ProxyLoggerProvider"
call("global")
attributes = {{"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini"}}
spans.get_tracer("app").start_span("given", attributes=attributes).end()
"""
    run(posthog, code)
    assert [event["properties"]["$ai_span_name"] for event in posthog.events()] == ["given"]


def test_configured_twice_is_one_event(posthog: LocalPostHog) -> None:
    run(posthog, f"{CONFIGURE}\nassert configure() == configure()\ncall()")
    assert_one_whole_call(posthog)


def test_options_that_come_too_late_are_warned_of(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    provider, records = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    given = {"tracer_provider": provider, "logger_provider": records}
    handle = configure("phc_test", posthog.url, redact=["email"], **given)
    configure("phc_test", posthog.url, redact=["email"], **given)
    assert caplog.text == ""
    configure("phc_test", posthog.url, redact=["email"], sample_rate=0.5, **given)
    assert (
        "PostHog is already configured: sample_rate keeps its first value. To change it, call shutdown() first."
        in caplog.text
    )
    with pytest.raises(ConfigurationError, match=r"capture_content cannot be changed now.*\. Call shutdown\(\)"):
        configure("phc_test", posthog.url, capture_content=False, **given)
    handle.shutdown()


def test_readers_of_ones_own(posthog: LocalPostHog) -> None:
    own = Reader("acme", lambda span: "acme.model" in span.attributes, lambda span, attributes: Operation("generation"))
    provider = TracerProvider(shutdown_on_exit=False)
    handle = configure(
        "phc_test", posthog.url, readers=[own], tracer_provider=provider, logger_provider=LoggerProvider()
    )
    provider.get_tracer("acme").start_span("ask", attributes={"acme.model": "m"}).end()
    assert handle.shutdown()
    assert [event["event"] for event in posthog.events()] == ["$ai_generation"]


def test_configured_for_two_projects_is_an_event_for_each() -> None:
    with LocalPostHog() as one, LocalPostHog() as other:
        run(one, f"{CONFIGURE}\nconfigure()\nconfigure('phc_other', {other.url!r})\ncall()")
    assert_one_whole_call(one)
    assert_one_whole_call(other)


def test_flush_stats_and_shutdown_of_the_handle(posthog: LocalPostHog) -> None:
    code = f"""
{CONFIGURE}
handle = configure()
call()
print(handle.flush(), handle.stats().delivered)
call()
handle.shutdown()
print(handle.stats().delivered)
call()
handle.shutdown()
print(handle.stats().delivered)
"""
    assert run(posthog, code).splitlines() == ["True 1", "2", "2"]
    assert len(posthog.events()) == 2


def test_the_providers_go_on_after_shutdown_of_the_handle(posthog: LocalPostHog) -> None:
    code = f"""
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
{CONFIGURE}
handle = configure()
handle.tracer_provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
handle.shutdown()
call("after shutdown")
"""
    assert '"name": "after shutdown"' in run(posthog, code)
    assert posthog.events() == []


def test_configured_anew_after_shutdown_sends_again(posthog: LocalPostHog) -> None:
    run(posthog, f"{CONFIGURE}\nconfigure().shutdown()\nconfigure()\ncall()")
    assert_one_whole_call(posthog)


def test_disabled_sends_nothing_and_needs_no_key(posthog: LocalPostHog) -> None:
    run(posthog, f"{CONFIGURE}\nconfigure(disabled=True)\ncall()", POSTHOG_API_KEY="")
    assert posthog.requests() == []


def test_a_disabled_sdk_sends_nothing(posthog: LocalPostHog) -> None:
    run(posthog, f"{CONFIGURE}\nconfigure()\ncall()", OTEL_SDK_DISABLED="true")
    assert posthog.requests() == []


def test_a_bad_setting_is_refused_before_anything_is_set(posthog: LocalPostHog) -> None:
    code = f"""
{CONFIGURE}
from otel_posthog import ConfigurationError
try:
    configure(timeout="soon")
except ConfigurationError as error:
    print(error)
assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
"""
    assert run(posthog, code).startswith("timeout must be a number of seconds")


def test_a_global_provider_that_is_not_the_sdks_is_refused(posthog: LocalPostHog) -> None:
    code = f"""
{CONFIGURE}
from otel_posthog import ConfigurationError
trace.set_tracer_provider(trace.NoOpTracerProvider())
try:
    configure()
except ConfigurationError as error:
    print(error)
"""
    assert "NoOpTracerProvider" in run(posthog, code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_sends_what_its_own_spans_say(posthog: LocalPostHog) -> None:
    code = f"""
import os
{CONFIGURE}
handle = configure()
call("before")
child = os.fork()
call("child" if child == 0 else "parent")
assert handle.flush(5000)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    run(posthog, code, PYTHONWARNINGS="ignore::DeprecationWarning")
    names = sorted(event["properties"]["$ai_span_name"] for event in posthog.events())
    assert len(names) == 3
    assert {event["deliveries"] for event in posthog.events()} == {1}


def test_a_bad_option_is_refused_in_this_process_too() -> None:
    with pytest.raises(ConfigurationError, match="host"):
        configure("phc_test", "ftp://x", tracer_provider=TracerProvider(), logger_provider=LoggerProvider())


def test_a_provider_that_nobody_needs_any_more_is_not_kept(posthog: LocalPostHog) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    records = LoggerProvider(shutdown_on_exit=False)
    handle = configure("phc_test", posthog.url, tracer_provider=provider, logger_provider=records)
    provider.get_tracer("app").start_span("chat", attributes=CHAT).end()
    handle.shutdown()
    assert len(posthog.events()) == 1
    remembered = weakref.ref(provider)
    del provider, records, handle
    gc.collect()
    assert remembered() is None


# --- entry points


def test_the_exporter_is_found_by_its_name() -> None:
    (found,) = entry_points(group="opentelemetry_traces_exporter", name="posthog")
    assert found.load() is EnvironmentSpanExporter


def test_the_log_records_hook_is_found_by_its_name() -> None:
    (found,) = entry_points(group="opentelemetry_pre_instrument", name="posthog")
    assert found.load() is attach_processors


def instrumented(posthog: LocalPostHog, code: str, **env: str) -> tuple[str, str]:
    """Run code by ``opentelemetry-instrument``; what it prints, and what it logs."""
    variables = {
        "POSTHOG_API_KEY": "phc_test",
        "POSTHOG_HOST": posthog.url,
        "OTEL_TRACES_EXPORTER": "posthog",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        **NO_INSTRUMENTATION,
        **env,
    }
    done = run_python(code, variables, launcher="opentelemetry-instrument")
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_environment_variables_alone_are_enough(posthog: LocalPostHog) -> None:
    assert instrumented(posthog, f"{APP}\ncall()") == ("", "")
    assert_one_whole_call(posthog)


def test_beside_another_exporter(posthog: LocalPostHog) -> None:
    printed, logged = instrumented(posthog, f"{APP}\ncall()", OTEL_TRACES_EXPORTER="console,posthog")
    assert '"name": "chat"' in printed
    assert logged == ""
    assert_one_whole_call(posthog)


def test_beside_an_exporter_of_log_records(posthog: LocalPostHog) -> None:
    printed, _ = instrumented(posthog, f"{APP}\ncall()", OTEL_LOGS_EXPORTER="console")
    assert "gen_ai.choice" in printed
    assert_one_whole_call(posthog)


def test_with_our_exporter_of_log_records_too(posthog: LocalPostHog) -> None:
    assert instrumented(posthog, f"{APP}\ncall()", OTEL_LOGS_EXPORTER="posthog") == ("", "")
    assert_one_whole_call(posthog)


def test_where_only_the_sdk_reads_the_variables(posthog: LocalPostHog) -> None:
    code = f"""
from opentelemetry.sdk._configuration import _initialize_components
_initialize_components()
{APP}
call()
from opentelemetry import _logs
_logs.get_logger_provider().force_flush()
"""
    variables = {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url, "OTEL_METRICS_EXPORTER": "none"}
    done = run_python(code, {**variables, "OTEL_TRACES_EXPORTER": "posthog", "OTEL_LOGS_EXPORTER": "posthog"})
    assert done.returncode == 0, done.stderr
    assert_one_whole_call(posthog)


def test_settings_come_from_the_environment(posthog: LocalPostHog) -> None:
    instrumented(
        posthog,
        f"{APP}\ncall()",
        OTEL_EXPORTER_POSTHOG_DISTINCT_ID="ada",
        OTEL_EXPORTER_POSTHOG_CAPTURE_CONTENT="false",
        OTEL_EXPORTER_POSTHOG_PROPERTIES='{"team": "search"}',
    )
    (event,) = posthog.events()
    assert event["distinct_id"] == "ada"
    assert event["properties"]["team"] == "search"
    assert "$ai_input" not in event["properties"]


def test_together_with_configure_it_is_still_one_event(posthog: LocalPostHog) -> None:
    instrumented(posthog, f"{CONFIGURE}\nconfigure()\ncall()")
    assert_one_whole_call(posthog)


def test_configured_where_only_the_sdk_reads_the_variables_it_is_still_one_event(posthog: LocalPostHog) -> None:
    code = f"""
from opentelemetry.sdk._configuration import _initialize_components
_initialize_components()
{CONFIGURE}
call("before")
configure()
call("after")
"""
    variables = {"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "posthog", "OTEL_LOGS_EXPORTER": "posthog"}
    run(posthog, code, **variables)
    names = [event["properties"]["$ai_span_name"] for event in posthog.events()]
    assert sorted(names) == ["after", "before"]
    assert {event["deliveries"] for event in posthog.events()} == {1}


def test_context_and_server_spans_are_heard_without_code(posthog: LocalPostHog) -> None:
    code = f"""
{APP}
import otel_posthog
with otel_posthog.context(distinct_id="ada", capture_content=False):
    call("inside")
with trace.get_tracer("web").start_as_current_span("POST /chat", attributes={{"user.id": "grace"}}):
    call("below")
"""
    instrumented(posthog, code)
    events = {event["properties"]["$ai_span_name"]: event for event in posthog.events()}
    assert {name: event["distinct_id"] for name, event in events.items()} == {"inside": "ada", "below": "grace"}
    assert "$ai_input" not in events["inside"]["properties"]
    assert "$ai_input" in events["below"]["properties"]


def test_a_directory_that_cannot_be_used_does_not_stop_the_app(posthog: LocalPostHog) -> None:
    spool = "/proc/no/directory"
    printed, logged = instrumented(
        posthog,
        f"{APP}\ncall()\nprint('the end')",
        OTEL_TRACES_EXPORTER="console,posthog",
        OTEL_EXPORTER_POSTHOG_SPOOL_DIR=spool,
    )
    assert '"name": "chat"' in printed
    assert logged.count("Nothing is sent to PostHog") == 1
    assert spool in logged
    assert "Traceback" not in logged


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POSTHOG_API_KEY", ""),
        ("POSTHOG_HOST", "ftp://nowhere"),
        ("OTEL_EXPORTER_POSTHOG_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_POSTHOG_PROPERTIES", "team=search"),
    ],
)
def test_a_bad_setting_is_logged_once_and_the_app_goes_on(posthog: LocalPostHog, variable: str, value: str) -> None:
    printed, logged = instrumented(
        posthog, f"{APP}\ncall()\nprint('the end')", OTEL_TRACES_EXPORTER="console,posthog", **{variable: value}
    )
    assert '"name": "chat"' in printed
    assert "the end" in printed
    assert logged.count("Nothing is sent to PostHog") == 1
    assert variable in logged
    assert "Traceback" not in logged
    assert posthog.requests() == []


def test_a_bad_personal_key_is_not_in_the_log(posthog: LocalPostHog) -> None:
    _, logged = instrumented(posthog, f"{APP}\ncall()", POSTHOG_API_KEY="phx_thePersonalSecret")
    assert "personal API key" in logged
    assert "thePersonalSecret" not in logged


def test_without_our_exporter_no_content_is_kept(posthog: LocalPostHog) -> None:
    """The package is installed but not in use: prompts must not pile up for nobody."""
    code = f"""
{APP}
import gc
call()
bodies = [kept for kept in gc.get_objects() if type(kept).__name__ == "EventView"]
print("kept:", len(bodies))
"""
    printed, _ = instrumented(posthog, code, OTEL_TRACES_EXPORTER="none", POSTHOG_API_KEY="", POSTHOG_HOST="")
    assert printed.strip() == "kept: 0"


def test_a_disabled_exporter_keeps_no_content(posthog: LocalPostHog) -> None:
    code = f"""
{APP}
import gc
from opentelemetry import trace
for _ in range(5):
    call()
trace.get_tracer_provider().force_flush()
print("kept:", len([kept for kept in gc.get_objects() if type(kept).__name__ == "EventView"]))
"""
    printed, _ = instrumented(posthog, code, POSTHOG_DISABLED="true")
    assert printed.strip() == "kept: 0"
