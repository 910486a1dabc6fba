"""Every option: where its value comes from, what is refused and what the refusal says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from docs.tables import options_table
from otel_posthog import ConfigurationError, PostHogSpanExporter, Settings
from otel_posthog.settings import Options, options, variables_of

KEY = "phc_aKeyThatMustNotShow"

# option, its default, a value as an argument, another as text in the environment and what that text means
OPTIONS: list[tuple[str, Any, Any, str, Any]] = [
    ("api_key", None, "phc_argument", "phc_environment", "phc_environment"),
    ("host", "https://us.i.posthog.com", "https://a.example", "https://b.example", "https://b.example"),
    ("endpoint", "auto", "event", "V1", "v1"),
    ("timeout", 10.0, 2, "0.25", 0.25),
    ("retry_for", 600.0, 30, "0", 0),
    ("max_retries", None, 0, "3", 3),
    ("max_queue_size", 50_000, 1, "2000", 2000),
    ("hold", 10.0, 0, "2.5", 2.5),
    ("max_memory_bytes", 128 * 1024 * 1024, 1024, "2048", 2048),
    ("when_full", "drop_oldest", "drop_newest", "Drop_Newest", "drop_newest"),
    ("spool_dir", None, "a/new/directory", "another", "another"),
    ("max_spool_bytes", 256 * 1024 * 1024, 1024 * 1024, "2097152", 2 * 1024 * 1024),
    ("max_spool_age", 7 * 86_400.0, 60, "3600", 3600),
    ("rejected_dir", None, "a/new/directory", "another", "another"),
    ("compression", "gzip", "none", "None", "none"),
    ("proxy", None, "http://proxy.example:3128", "socks5://p", "socks5://p"),
    ("certificate", None, __file__, __file__, __file__),
    ("client_certificate", None, __file__, __file__, __file__),
    ("max_batch_bytes", 5 * 1024 * 1024, 4096, "2048", 2048),
    ("max_batch_events", 10_000, 3, "7", 7),
    ("max_concurrent_requests", 4, 1, "8", 8),
    ("accept_empty_answers", False, True, "true", True),
    ("historical_migration", False, True, "true", True),
    ("capture_content", True, False, "false", False),
    ("capture_spans", True, False, "0", False),
    ("capture_unmapped", True, False, "off", False),
    ("allow_attributes", (), ("app.*",), "app.*, http.route", ("app.*", "http.route")),
    ("deny_attributes", (), ("http.*",), "http.*,", ("http.*",)),
    ("redact", (), ("email", "card"), "Email, key", ("email", "key")),
    ("keep_media", 0, 1024, "2048", 2048),
    ("deduplicate", True, False, "no", False),
    ("remote_parents", False, True, "true", True),
    ("sample_rate", 1.0, 0, "0.25", 0.25),
    ("sample_errors", False, True, "true", True),
    ("distinct_id", None, "ada", " grace ", "grace"),
    ("properties", {}, {"team": "search"}, '{"team": "ads"}', {"team": "ads"}),
    ("handle_sigterm", True, False, "false", False),
    ("hints", True, False, "off", False),
    ("disabled", False, True, "yes", True),
]


def own_variable(option: str) -> str:
    return f"OTEL_EXPORTER_POSTHOG_{option.upper()}"


def short_variable(option: str) -> str:
    return f"POSTHOG_{option.upper()}"


def load(environ: dict[str, str] | None = None, **arguments: Any) -> Settings:
    return Settings.load({"POSTHOG_API_KEY": KEY, **(environ or {})}, **arguments)


def refusal(environ: dict[str, str] | None = None, **arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(environ, **arguments)
    return str(refused.value)


def test_the_table_of_these_tests_holds_every_option() -> None:
    named = {option.name for option in options() if variables_of(option)}
    assert {row[0] for row in OPTIONS} == named - {"client_key"}  # which is nothing alone


def test_a_client_key_comes_with_its_certificate() -> None:
    settings = load({own_variable("client_key"): __file__}, client_certificate=__file__)
    assert (settings.client_certificate, settings.client_key) == (__file__, __file__)
    assert "client_certificate" in refusal(client_key=__file__)


def test_zstd_is_for_the_newer_contract_alone() -> None:
    assert load(compression="zstd", endpoint="v1").compression == "zstd"
    assert refusal(compression="zstd") == ("compression must be gzip or none unless endpoint is 'v1', not 'zstd'.")


def test_a_migration_needs_an_endpoint_that_can_say_so() -> None:
    refused = refusal(historical_migration=True, endpoint="event")
    assert refused == "historical_migration must be false with endpoint='event', not True."


# variables, the warning
IGNORED = [
    (
        {"OTEL_EXPORTER_POSTHOG_CAPTRE_CONTENT": "false"},
        "OTEL_EXPORTER_POSTHOG_CAPTRE_CONTENT is not an option of otel-posthog: "
        "did you mean OTEL_EXPORTER_POSTHOG_CAPTURE_CONTENT?",
    ),
    (
        {"POSTHOG_CAPTURE_CONTENTS": "false"},
        "POSTHOG_CAPTURE_CONTENTS is not an option of otel-posthog: did you mean POSTHOG_CAPTURE_CONTENT?",
    ),
    (
        {"OTEL_POSTHOG_REDACT": "email"},
        "OTEL_POSTHOG_REDACT is not an option of otel-posthog: did you mean POSTHOG_REDACT?",
    ),
    ({"OTEL_EXPORTER_POSTHOG_COLOUR": "red"}, "OTEL_EXPORTER_POSTHOG_COLOUR is not an option of otel-posthog."),
    (
        {"POSTHOG_API_HOST": "https://eu.i.posthog.com"},
        "POSTHOG_API_HOST is not read by otel-posthog, which sends to https://us.i.posthog.com: set POSTHOG_HOST.",
    ),
    (
        {"POSTHOG_ENDPOINT": "https://eu.i.posthog.com"},
        "POSTHOG_ENDPOINT is not read by otel-posthog, which sends to https://us.i.posthog.com: set POSTHOG_HOST.",
    ),
]


@pytest.mark.parametrize(("environ", "warning"), IGNORED, ids=[next(iter(row[0])) for row in IGNORED])
def test_a_variable_that_has_no_effect_is_warned_of(
    environ: dict[str, str], warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(environ) == load()
    assert caplog.messages == [warning]


@pytest.mark.parametrize(
    "environ",
    [
        {"POSTHOG_PROJECT_ID": "12"},
        {"POSTHOG_PERSONAL_API_KEY": "phx_1"},
        {"POSTHOG_CLI_TOKEN": "phx_1", "POSTHOG_CLI_ENV_ID": "1"},
        {"POSTHOG_DB_NAME": "posthog", "POSTHOG_REDIS_HOST": "redis"},
        {"POSTHOG_API_HOST": "https://eu.i.posthog.com", "POSTHOG_HOST": "https://eu.i.posthog.com"},
        {"POSTHOG_API_HOST": "https://us.i.posthog.com/"},
        {"POSTHOG_DEBUG": "true"},
        {"POSTHOG_REDACTT": " "},
        {"NEXT_PUBLIC_POSTHOG_UI_HOST": "https://eu.posthog.com"},
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_variables_of_other_programs_are_left_alone(environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    load(environ)
    assert caplog.messages == []


def test_the_former_name_of_an_option_still_works(caplog: pytest.LogCaptureFixture) -> None:
    settings = load(max_queue_bytes=4096)
    assert settings.max_memory_bytes == settings.max_queue_bytes == 4096
    assert caplog.messages == ["max_queue_bytes is deprecated: use max_memory_bytes."]
    assert load({"OTEL_EXPORTER_POSTHOG_MAX_QUEUE_BYTES": "2048"}).max_memory_bytes == 2048


def test_settings_know_where_each_value_came_from() -> None:
    settings = load(
        {"OTEL_EXPORTER_POSTHOG_TIMEOUT": "3", "POSTHOG_HOLD": "1", "OTEL_BSP_MAX_QUEUE_SIZE": "9"}, distinct_id="ada"
    )
    assert settings.sources == {
        "api_key": "POSTHOG_API_KEY",
        "timeout": "OTEL_EXPORTER_POSTHOG_TIMEOUT",
        "hold": "POSTHOG_HOLD",
        "max_queue_size": "OTEL_BSP_MAX_QUEUE_SIZE",
        "distinct_id": "argument",
    }


def test_the_typed_options_are_those_of_the_table() -> None:
    # PEP 692: keys of the TypedDict may not repeat the named parameters.
    in_table = {option.name for option in options()} - {"api_key", "host"}
    assert set(Options.__annotations__) == in_table | {"max_queue_bytes"}


def test_a_misspelt_option_fails_the_type_checker(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    script = tmp_path / "app.py"
    script.write_text(
        "from otel_posthog import Settings\n"
        "Settings.load(capture_content=False, redact=['email'], endpoint='v1')\n"
        "Settings.load(capture_contents=False)\n"
        "Settings.load(endpoint='v2')\n"
        "Settings.load(timeout='soon')\n"
    )
    output, _, _ = api.run(["--strict", f"--cache-dir={tmp_path}", "--follow-imports=silent", str(script)])
    errors = [line.partition(" error: ")[2] for line in output.splitlines() if " error: " in line]
    assert errors == [
        'Unexpected keyword argument "capture_contents" for "load" of "Settings"; did you mean "capture_content"?'
        "  [call-arg]",
        'Argument "endpoint" to "load" of "Settings" has incompatible type "Literal[\'v2\']"; expected '
        "\"Literal['auto', 'ai', 'batch', 'v1', 'event'] | None\"  [arg-type]",
        'Argument "timeout" to "load" of "Settings" has incompatible type "str"; expected "float | None"  [arg-type]',
    ]


def test_options_for_code_only_have_no_variable() -> None:
    code_only = [option.name for option in options() if not variables_of(option)]
    assert code_only == ["session", "on_drop", "should_export"]
    assert load(should_export=callable).should_export is callable
    assert refusal(should_export="yes") == "should_export must be callable, not 'yes'."


def test_redactions_are_names_and_callables() -> None:
    def own(text: str, where: str) -> str:
        return text

    assert load(redact=own).redact == (own,)
    assert load(redact=["email", own]).redact == ("email", own)
    assert "email, phone, card, key" in refusal({own_variable("redact"): "iban"})
    assert "email, phone, card, key" in refusal(redact=3)


@pytest.mark.parametrize("value", [3, [3], {"a": "b"}])
def test_patterns_are_texts(value: Any) -> None:
    assert "attribute names" in refusal(deny_attributes=value)


@pytest.mark.parametrize(("option", "default"), [row[:2] for row in OPTIONS if row[0] != "api_key"])
def test_default(option: str, default: Any) -> None:
    assert getattr(load(), option) == default


@pytest.mark.parametrize(("option", "argument"), [(row[0], row[2]) for row in OPTIONS])
def test_argument(option: str, argument: Any) -> None:
    assert getattr(load(**{option: argument}), option) == argument


@pytest.mark.parametrize(("option", "text", "meaning"), [(row[0], row[3], row[4]) for row in OPTIONS])
def test_variable(option: str, text: str, meaning: Any) -> None:
    assert getattr(load({own_variable(option): text}), option) == meaning


@pytest.mark.parametrize(("option", "text", "meaning"), [(row[0], row[3], row[4]) for row in OPTIONS])
def test_short_variable(option: str, text: str, meaning: Any) -> None:
    assert getattr(load({short_variable(option): text}), option) == meaning


@pytest.mark.parametrize(("option", "argument", "text"), [(row[0], row[2], row[3]) for row in OPTIONS])
def test_argument_wins_over_variable(option: str, argument: Any, text: str) -> None:
    assert getattr(load({own_variable(option): text}, **{option: argument}), option) == argument


@pytest.mark.parametrize("option", ["api_key", "distinct_id"])
def test_the_long_variable_wins_over_the_short_one(option: str) -> None:
    environ = {own_variable(option): "phc_long", short_variable(option): "phc_short"}
    assert getattr(load(environ), option) == "phc_long"


def test_an_argument_of_false_wins_over_a_variable_of_true() -> None:
    assert load({"POSTHOG_DISABLED": "true"}, disabled=False).disabled is False


@pytest.mark.parametrize("option", [row[0] for row in OPTIONS])
@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_variable_counts_as_unset(option: str, nothing: str) -> None:
    assert load({own_variable(option): nothing}) == load()


@pytest.mark.parametrize("option", [row[0] for row in OPTIONS])
def test_an_argument_of_none_counts_as_not_given(option: str) -> None:
    assert load(**{option: None}) == load()


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOG_API_KEY", "phc_process")
    assert Settings.load().api_key == "phc_process"


# option, a value that cannot be used, a word of what would be allowed
REFUSED: list[tuple[str, Any, str]] = [
    ("host", "ftp://posthog.example", "URL"),
    ("host", "https://", "URL"),
    ("host", "https://posthog.example:99999", "URL"),
    ("host", "https://posthog.example:0", "URL"),
    ("host", "https://posthog.example:port", "URL"),
    ("host", "https://posthog.example?x=1", "URL"),
    ("host", "https://posthog.example#x", "URL"),
    ("host", "https://posthog .example", "URL"),
    ("host", "http://[::1", "URL"),
    ("endpoint", "capture", "auto, ai, batch, v1, event"),
    ("timeout", "0", "0.001 to 3,600"),
    ("timeout", "-1", "0.001 to 3,600"),
    ("timeout", "nan", "seconds"),
    ("timeout", "inf", "seconds"),
    ("timeout", "soon", "seconds"),
    ("retry_for", "-1", "0 to 86,400"),
    ("max_retries", "-1", "0 to 1,000"),
    ("max_queue_size", "0", "spans"),
    ("hold", "-1", "0 to 3,600"),
    ("max_memory_bytes", "1", "bytes"),
    ("when_full", "block", "drop_oldest, drop_newest"),
    ("spool_dir", __file__, "directory"),
    ("rejected_dir", __file__, "directory"),
    ("compression", "brotli", "gzip, zstd, none"),
    ("proxy", "proxy.example", "URL"),
    ("certificate", "no/such/file.pem", "existing file"),
    ("max_batch_bytes", "1023", "1,024 to 20,971,520"),
    ("max_batch_bytes", "20971521", "bytes"),
    ("max_batch_bytes", "5MB", "whole number"),
    ("max_batch_events", "0", "1 to 10,000"),
    ("max_batch_events", "1.5", "whole number"),
    ("max_batch_events", "10001", "events"),
    ("capture_content", "maybe", "true or false"),
    ("capture_spans", "2", "true or false"),
    ("capture_unmapped", "ja", "true or false"),
    ("disabled", "perhaps", "true or false"),
    ("properties", "team=search", "JSON object"),
    ("properties", "[1]", "JSON object"),
]
REFUSED_ARGUMENTS: list[Any] = [
    ("host", 8010, "URL"),
    ("endpoint", ["batch"], "auto, ai, batch, v1, event"),
    ("timeout", True, "seconds"),
    pytest.param("timeout", 10**400, "seconds", id="timeout-too-large-for-a-float"),
    ("max_batch_events", float("inf"), "whole number"),
    ("max_batch_events", float("nan"), "whole number"),
    ("max_batch_events", 1.5, "whole number"),
    ("max_batch_bytes", [5000], "whole number"),
    ("capture_content", 1, "true or false"),
    ("distinct_id", 17, "non-empty string"),
    ("distinct_id", " ", "non-empty string"),
    ("properties", {1: "x"}, "JSON object"),
    ("properties", ["team"], "JSON object"),
    ("session", "int", "requests.Session"),
    ("on_drop", "log", "callable"),
]


@pytest.mark.parametrize(("option", "value", "allowed"), REFUSED)
def test_a_bad_variable_is_named_with_its_value_and_what_is_allowed(option: str, value: str, allowed: str) -> None:
    message = refusal({own_variable(option): value})
    assert message.startswith(f"{own_variable(option)} must be ")
    assert message.endswith(f", not {value!r}.")
    assert allowed in message


@pytest.mark.parametrize(("option", "value", "allowed"), [*REFUSED, *REFUSED_ARGUMENTS])
def test_a_bad_argument_is_named_with_its_value_and_what_is_allowed(option: str, value: Any, allowed: str) -> None:
    message = refusal(**{option: value})
    assert message.startswith(f"{option} must be ")
    assert message.endswith(f", not {str(repr(value))[:100]}{'…' if len(repr(value)) > 100 else ''}.")
    assert allowed in message


def test_a_bad_short_variable_is_named_itself() -> None:
    assert refusal({"POSTHOG_HOST": "ftp://x"}).startswith("POSTHOG_HOST must be a URL")


def test_a_bad_variable_does_not_matter_where_an_argument_wins() -> None:
    assert load({own_variable("timeout"): "soon"}, timeout=3).timeout == 3


def test_an_unknown_argument_is_refused_with_the_name_that_was_meant() -> None:
    assert refusal(capture_contents=False) == (
        "capture_contents is not an option of otel-posthog: did you mean capture_content?"
    )


def test_an_unknown_argument_like_no_other_is_refused_with_all_names() -> None:
    message = refusal(colour="red")
    assert message.startswith("colour is not an option of otel-posthog: it must be one of api_key, host, endpoint,")
    assert message.endswith(", disabled.")


def test_the_exporter_refuses_what_its_settings_refuse() -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        PostHogSpanExporter(KEY, timeout="soon")


def test_a_missing_key_is_refused_with_the_variable_that_gives_one() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.load({})
    assert str(refused.value) == "api_key is missing: pass the project API key (phc_…) or set POSTHOG_API_KEY."


def test_a_key_under_another_name_is_pointed_out() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.load({"POSTHOG_PROJECT_API_KEY": KEY})
    assert str(refused.value) == (
        "api_key is missing: pass the project API key (phc_…) or set POSTHOG_API_KEY "
        "(POSTHOG_PROJECT_API_KEY is set, but otel-posthog does not read it)."
    )


PLACEHOLDER = "not a placeholder: copy the key from the project's settings in PostHog."
# a key that PostHog refuses or no project has, the end of the message
WRONG_KEYS = [
    ("phx_thePersonalSecret", "not a personal API key (phx_…)."),
    ("phs_theSecureSecret", "not a feature flags secure API key (phs_…)."),
    ("sk-ant-theSecret", "not an Anthropic key (sk-ant-…)."),
    ("sk-proj-theSecret", "not an OpenAI key (sk-…)."),
    ("sk-lf-theSecret", "not a Langfuse key (sk-lf-…)."),
    ("lsv2_pt_theSecret", "not a LangSmith key (lsv2_…)."),
    ("'phc_quotedSecret'", "without quotes around it."),
    ('"phc_quotedSecret"', "without quotes around it."),
    ("<ph_project_api_key>", PLACEHOLDER),
    ("<your key>", PLACEHOLDER),
    ("phc_…", PLACEHOLDER),
    ("phc_...", PLACEHOLDER),
    ("phc_your_project_key", PLACEHOLDER),
    ("YOUR_API_KEY", PLACEHOLDER),
    ("$POSTHOG_API_KEY", PLACEHOLDER),
    ("${POSTHOG_API_KEY}", PLACEHOLDER),
    ("phc_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", PLACEHOLDER),
    ("phc_", PLACEHOLDER),
    ("changeme", PLACEHOLDER),
    ("phc_ with space", "in printable ASCII without white space."),
    ("phc_line\nbreak", "in printable ASCII without white space."),
    ("phc_\x00null", "in printable ASCII without white space."),
    ("phc_schlüssel", "in printable ASCII without white space."),
    ("phc_" + "a" * 61, "of at most 64 characters, not of 65."),
    ("  ", "not an empty string."),
    (b"phc_bytes", "not a value of type bytes."),
    (17, "not a value of type int."),
]


@pytest.mark.parametrize(("key", "ending"), WRONG_KEYS)
def test_a_wrong_key_is_refused_without_being_shown(key: Any, ending: str) -> None:
    separator = " " if ending.startswith(("without", "in ", "of ")) else ", "
    message = refusal(api_key=key)
    assert message == f"api_key must be a project API key (phc_…){separator}{ending}"
    assert "Secret" not in message


def test_a_wrong_key_in_a_variable_is_refused_under_its_name() -> None:
    message = refusal({"POSTHOG_API_KEY": "phx_thePersonalSecret"})
    assert message == "POSTHOG_API_KEY must be a project API key (phc_…), not a personal API key (phx_…)."


@pytest.mark.parametrize(
    "key", ["phc_test", "phc_yourXXXXkey0123456789012345678901234567", "sTMFPsFhdP1Ssg", "phc_" + "a" * 60]
)
def test_a_key_that_a_project_may_have_is_accepted(key: str) -> None:
    assert load(api_key=key).api_key == key


def test_the_key_is_not_in_the_repr() -> None:
    assert KEY not in repr(load())


def test_the_key_is_not_in_the_message_about_another_option() -> None:
    assert KEY not in refusal(host="ftp://x")


# The password is hunter2, with whatever else urlsplit counts as part of it.
@pytest.mark.parametrize("user", ["proxy:hunter2", "proxy:a@hunter2", "hunter2", ":hunter2"])
@pytest.mark.parametrize("scheme", ["https://", "http://", ""])
def test_a_password_in_the_host_is_not_in_the_repr(scheme: str, user: str) -> None:
    assert "hunter2" not in repr(load(host=f"{scheme}{user}@posthog.example"))


@pytest.mark.parametrize("user", ["proxy:hunter2", "proxy:a@hunter2", "hunter2", ":hunter2"])
@pytest.mark.parametrize("scheme", ["https://", "ftp://", ""])
def test_a_password_in_the_host_is_not_in_the_refusal(scheme: str, user: str) -> None:
    assert "hunter2" not in refusal(host=f"{scheme}{user}@posthog.example:99999")


def test_white_space_around_a_key_is_cut_off() -> None:
    assert load(api_key=" phc_1\n").api_key == "phc_1"


HOSTS = [
    ("https://eu.i.posthog.com", "https://eu.i.posthog.com"),
    ("https://eu.i.posthog.com/", "https://eu.i.posthog.com"),
    ("https://eu.i.posthog.com//", "https://eu.i.posthog.com"),
    ("  https://eu.i.posthog.com  ", "https://eu.i.posthog.com"),
    ("https://app.posthog.com", "https://us.i.posthog.com"),
    ("https://us.posthog.com/", "https://us.i.posthog.com"),
    ("https://eu.posthog.com", "https://eu.i.posthog.com"),
    ("https://APP.PostHog.com", "https://us.i.posthog.com"),
    ("https://app.posthog.com:443", "https://us.i.posthog.com"),
    ("http://localhost:8010", "http://localhost:8010"),
    ("HTTP://localhost:8010", "http://localhost:8010"),
    ("http://[::1]:8010", "http://[::1]:8010"),
    ("https://example.com/ingest", "https://example.com/ingest"),
    ("https://example.com/a/b/", "https://example.com/a/b"),
    ("https://example.com/e", "https://example.com/e"),
    ("https://batch.example.com", "https://batch.example.com"),
]
# host, what is used instead, the warning
CORRECTED = [
    ("eu.i.posthog.com", "https://eu.i.posthog.com", "has no scheme"),
    ("app.posthog.com", "https://us.i.posthog.com", "has no scheme"),
    ("example.com/ingest", "https://example.com/ingest", "has no scheme"),
    ("localhost:8010", "http://localhost:8010", "has no scheme"),
    ("127.0.0.1:8010", "http://127.0.0.1:8010", "has no scheme"),
    ("[::1]:8010", "http://[::1]:8010", "has no scheme"),
    ("https://us.i.posthog.com/batch/", "https://us.i.posthog.com", "should end before /batch"),
    ("https://us.i.posthog.com/i/v0/e/", "https://us.i.posthog.com", "should end before /i/v0/e"),
    ("https://us.posthog.com/project/123", "https://us.i.posthog.com", "should end before /project/123"),
    ("eu.posthog.com/project/1/llm", "https://eu.i.posthog.com", "should end before /project/1/llm"),
    ("https://eu.i.posthog.com/ingest", "https://eu.i.posthog.com", "should end before /ingest"),
    ("https://example.com/batch/", "https://example.com", "should end before /batch"),
    ("https://example.com/ingest/i/v0/ai/batch/", "https://example.com/ingest", "should end before /i/v0/ai/batch"),
    ("https://example.com/ingest/i/v0/ai/otel", "https://example.com/ingest", "should end before /i/v0/ai/otel"),
    ("https://ph.example/project/7/insights", "https://ph.example", "should end before /project/7/insights"),
]


@pytest.mark.parametrize(("given", "used"), HOSTS)
def test_host_is_normalised(given: str, used: str, caplog: pytest.LogCaptureFixture) -> None:
    assert load(host=given).host == used
    assert caplog.messages == []


@pytest.mark.parametrize(("given", "used", "why"), CORRECTED)
def test_host_is_corrected_with_a_warning(given: str, used: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
    assert load(host=given).host == used
    assert caplog.messages == [f"host {why}: using {used}."]


def test_the_warning_about_a_host_names_the_variable(caplog: pytest.LogCaptureFixture) -> None:
    load({"POSTHOG_HOST": "https://us.i.posthog.com/batch/"})
    assert caplog.messages == ["POSTHOG_HOST should end before /batch: using https://us.i.posthog.com."]


def test_the_password_of_a_proxy_is_not_in_the_warning_about_its_path(caplog: pytest.LogCaptureFixture) -> None:
    load(host="https://user:hunter2@posthog.example/batch/")
    assert caplog.messages == ["host should end before /batch: using https://…@posthog.example."]


@pytest.mark.parametrize("used", [row[1] for row in [*HOSTS, *CORRECTED]])
def test_a_normalised_host_stays_as_it_is(used: str, caplog: pytest.LogCaptureFixture) -> None:
    assert load(host=used).host == used
    assert caplog.messages == []


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "on", " on "])
def test_flag_that_is_on(text: str) -> None:
    assert load({own_variable("disabled"): text}).disabled is True


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "off"])
def test_flag_that_is_off(text: str) -> None:
    assert load({own_variable("capture_content"): text}).capture_content is False


@pytest.mark.parametrize("text", ["true", "TRUE", " true "])
def test_otel_sdk_disabled_disables(text: str) -> None:
    assert load({"OTEL_SDK_DISABLED": text}).disabled is True


@pytest.mark.parametrize("text", ["", "false", "1", "yes"])
def test_otel_sdk_disabled_is_on_by_true_alone(text: str) -> None:
    # OpenTelemetry specification, "Boolean value": anything but "true" means false.
    assert load({"OTEL_SDK_DISABLED": text}).disabled is False


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED", "POSTHOG_DISABLED", own_variable("disabled")])
def test_no_key_is_needed_when_disabled(variable: str) -> None:
    assert Settings.load({variable: "true"}).disabled is True


def test_properties_are_copied_from_the_argument() -> None:
    given = {"team": "search"}
    settings = load(properties=given)
    given["team"] = "ads"
    assert settings.properties == {"team": "search"}


def test_two_settings_do_not_share_their_default_properties() -> None:
    assert load().properties is not load().properties


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load().host = "https://elsewhere.example"  # type: ignore[misc]


def test_settings_made_directly_are_checked_too() -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        Settings(api_key=KEY, timeout=-1)


def test_the_table_for_the_readme_holds_every_option_with_its_variables() -> None:
    table = options_table()
    for option in options():
        assert f"| `{option.name}` |" in table
        assert all(f"`{name}`" in table for name in variables_of(option) if not name.startswith("OTEL_EXPORTER"))
