"""Every option: where its value comes from, what is refused and what the refusal says."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from otel_posthog import ConfigurationError, PostHogSpanExporter, Settings
from otel_posthog.settings import options_table, variables_of

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
    ("max_queue_bytes", 64 * 1024 * 1024, 1024, "2048", 2048),
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
    ("max_batch_events", 500, 3, "7", 7),
    ("historical_migration", False, True, "true", True),
    ("capture_content", True, False, "false", False),
    ("capture_spans", True, False, "0", False),
    ("capture_unmapped", True, False, "off", False),
    ("allow_attributes", (), ("app.*",), "app.*, http.route", ("app.*", "http.route")),
    ("deny_attributes", (), ("http.*",), "http.*,", ("http.*",)),
    ("redact", (), ("email", "card"), "Email, key", ("email", "key")),
    ("keep_media", 0, 1024, "2048", 2048),
    ("deduplicate", True, False, "no", False),
    ("remote_parents", True, False, "false", False),
    ("sample_rate", 1.0, 0, "0.25", 0.25),
    ("sample_errors", False, True, "true", True),
    ("distinct_id", None, "ada", " grace ", "grace"),
    ("properties", {}, {"team": "search"}, '{"team": "ads"}', {"team": "ads"}),
    ("disabled", False, True, "yes", True),
]
SHARED = [
    ("api_key", "POSTHOG_API_KEY", "phc_shared", "phc_shared"),
    ("host", "POSTHOG_HOST", "https://shared.example", "https://shared.example"),
    ("disabled", "POSTHOG_DISABLED", "true", True),
]


def own_variable(option: str) -> str:
    return f"OTEL_EXPORTER_POSTHOG_{option.upper()}"


def load(environ: dict[str, str] | None = None, **arguments: Any) -> Settings:
    return Settings.load({"POSTHOG_API_KEY": KEY, **(environ or {})}, **arguments)


def refusal(environ: dict[str, str] | None = None, **arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(environ, **arguments)
    return str(refused.value)


def test_the_table_of_these_tests_holds_every_option() -> None:
    named = {option.name for option in fields(Settings) if variables_of(option)}
    assert {row[0] for row in OPTIONS} == named - {"client_key"}  # which is nothing alone


def test_a_client_key_comes_with_its_certificate() -> None:
    settings = load({own_variable("client_key"): __file__}, client_certificate=__file__)
    assert (settings.client_certificate, settings.client_key) == (__file__, __file__)
    assert "client_certificate" in refusal(client_key=__file__)


def test_zstd_is_for_the_newer_contract_alone() -> None:
    assert load(compression="zstd", endpoint="v1").compression == "zstd"
    assert refusal(compression="zstd").startswith("compression is 'zstd': only endpoint='v1' takes it")


def test_a_migration_needs_an_endpoint_that_can_say_so() -> None:
    refused = refusal(historical_migration=True, endpoint="event")
    assert refused.startswith("historical_migration is True: endpoint='event' cannot say so")


def test_a_variable_that_is_misspelt_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    load({"OTEL_EXPORTER_POSTHOG_CAPTRE_CONTENT": "false"})
    assert caplog.messages == [
        "OTEL_EXPORTER_POSTHOG_CAPTRE_CONTENT is no setting of otel-posthog: "
        "did you mean OTEL_EXPORTER_POSTHOG_CAPTURE_CONTENT?"
    ]


def test_options_for_code_only_have_no_variable() -> None:
    code_only = [option.name for option in fields(Settings) if not variables_of(option)]
    assert code_only == ["session", "on_drop", "should_export"]
    assert load(should_export=callable).should_export is callable
    assert refusal(should_export="yes") == "should_export is 'yes': it must be callable."


def test_redactions_are_names_and_callables() -> None:
    def own(text: str, where: str) -> str:
        return text

    assert load(redact=own).redact == (own,)
    assert load(redact=["email", own]).redact == ("email", own)
    assert "email, phone, card, key" in refusal({own_variable("redact"): "iban"})
    assert "email, phone, card, key" in refusal(redact=3)


@pytest.mark.parametrize("value", [3, [3], {"a": "b"}])
def test_patterns_are_texts(value: Any) -> None:
    assert "names of attributes" in refusal(deny_attributes=value)


@pytest.mark.parametrize(("option", "default"), [row[:2] for row in OPTIONS if row[0] != "api_key"])
def test_default(option: str, default: Any) -> None:
    assert getattr(load(), option) == default


@pytest.mark.parametrize(("option", "argument"), [(row[0], row[2]) for row in OPTIONS])
def test_argument(option: str, argument: Any) -> None:
    assert getattr(load(**{option: argument}), option) == argument


@pytest.mark.parametrize(("option", "text", "meaning"), [(row[0], row[3], row[4]) for row in OPTIONS])
def test_variable(option: str, text: str, meaning: Any) -> None:
    assert getattr(load({own_variable(option): text}), option) == meaning


@pytest.mark.parametrize(("option", "variable", "text", "meaning"), SHARED)
def test_variable_of_posthogs_own_sdks(option: str, variable: str, text: str, meaning: Any) -> None:
    assert getattr(load({variable: text}), option) == meaning


@pytest.mark.parametrize(("option", "argument", "text"), [(row[0], row[2], row[3]) for row in OPTIONS])
def test_argument_wins_over_variable(option: str, argument: Any, text: str) -> None:
    assert getattr(load({own_variable(option): text}, **{option: argument}), option) == argument


@pytest.mark.parametrize("option", ["api_key", "host"])
def test_own_variable_wins_over_that_of_posthogs_sdks(option: str) -> None:
    own, shared = ("phc_own", "phc_shared") if option == "api_key" else ("https://own.example", "https://s.example")
    assert getattr(load({own_variable(option): own, f"POSTHOG_{option.upper()}": shared}), option) == own


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
    ("max_queue_bytes", "1", "bytes"),
    ("when_full", "block", "drop_oldest, drop_newest"),
    ("spool_dir", __file__, "directory"),
    ("rejected_dir", __file__, "directory"),
    ("compression", "brotli", "gzip, zstd, none"),
    ("proxy", "proxy.example", "URL"),
    ("certificate", "no/such/file.pem", "exists"),
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
    ("distinct_id", 17, "text"),
    ("distinct_id", " ", "text"),
    ("properties", {1: "x"}, "JSON object"),
    ("properties", ["team"], "JSON object"),
    ("session", "int", "requests.Session"),
    ("on_drop", "log", "callable"),
]


@pytest.mark.parametrize(("option", "value", "allowed"), REFUSED)
def test_a_bad_variable_is_named_with_its_value_and_what_is_allowed(option: str, value: str, allowed: str) -> None:
    message = refusal({own_variable(option): value})
    assert message.startswith(f"{own_variable(option)} is ")
    assert value in message
    assert allowed in message


@pytest.mark.parametrize(("option", "value", "allowed"), [*REFUSED, *REFUSED_ARGUMENTS])
def test_a_bad_argument_is_named_with_its_value_and_what_is_allowed(option: str, value: Any, allowed: str) -> None:
    message = refusal(**{option: value})
    assert message.startswith(f"{option} is ")
    assert str(value) in message
    assert allowed in message


def test_a_bad_variable_of_posthogs_sdks_is_named_itself() -> None:
    assert refusal({"POSTHOG_HOST": "ftp://x"}).startswith("POSTHOG_HOST is 'ftp://x'")


def test_a_bad_variable_does_not_matter_where_an_argument_wins() -> None:
    assert load({own_variable("timeout"): "soon"}, timeout=3).timeout == 3


def test_an_unknown_argument_is_refused_with_the_names_that_exist() -> None:
    message = refusal(max_batch_size=3)
    assert message.startswith("max_batch_size is no setting")
    assert "max_batch_events" in message


def test_the_exporter_refuses_what_its_settings_refuse() -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        PostHogSpanExporter(KEY, timeout="soon")


def test_a_missing_key_is_refused_with_the_variables_that_give_one() -> None:
    with pytest.raises(ConfigurationError, match="POSTHOG_API_KEY") as refused:
        Settings.load({})
    assert "OTEL_EXPORTER_POSTHOG_API_KEY" in str(refused.value)


@pytest.mark.parametrize("key", ["phc_ with space", "phc_line\nbreak", "phc_\x00", "  ", b"phc_bytes", 17])
def test_a_key_that_no_project_has_is_refused_without_being_shown(key: Any) -> None:
    message = refusal(api_key=key)
    assert message.startswith("api_key is ")
    assert str(key).strip() == "" or str(key) not in message
    assert "project API key" in message


@pytest.mark.parametrize("given", ["argument", "variable"])
def test_a_personal_key_is_refused_without_being_shown(given: str) -> None:
    secret = "phx_thePersonalSecret"
    message = refusal(api_key=secret) if given == "argument" else refusal({own_variable("api_key"): secret})
    assert "personal API key" in message
    assert "thePersonalSecret" not in message


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
    ("eu.i.posthog.com", "https://eu.i.posthog.com"),
    ("https://app.posthog.com", "https://us.i.posthog.com"),
    ("https://us.posthog.com/", "https://us.i.posthog.com"),
    ("https://eu.posthog.com", "https://eu.i.posthog.com"),
    ("app.posthog.com", "https://us.i.posthog.com"),
    ("https://APP.PostHog.com", "https://us.i.posthog.com"),
    ("https://app.posthog.com:443", "https://us.i.posthog.com"),
    ("http://localhost:8010", "http://localhost:8010"),
    ("HTTP://localhost:8010", "http://localhost:8010"),
    ("http://[::1]:8010", "http://[::1]:8010"),
    ("https://example.com/ingest", "https://example.com/ingest"),
    ("https://example.com/a/b/", "https://example.com/a/b"),
    ("example.com/ingest", "https://example.com/ingest"),
]


@pytest.mark.parametrize(("given", "used"), HOSTS)
def test_host_is_normalised(given: str, used: str) -> None:
    assert load(host=given).host == used


@pytest.mark.parametrize(("given", "used"), HOSTS)
def test_a_normalised_host_stays_as_it_is(given: str, used: str) -> None:
    assert load(host=used).host == used


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
    for option in fields(Settings):
        assert f"| `{option.name}` |" in table
        assert all(f"`{variable}`" in table for variable in variables_of(option))
