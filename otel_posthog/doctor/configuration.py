"""Checks of versions, settings and environment variables. Nothing is sent."""

from __future__ import annotations

import difflib
import logging
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

from opentelemetry.sdk import environment_variables as sdk_variables

from otel_posthog._checks import masked
from otel_posthog._version import __version__
from otel_posthog.doctor._report import Line, Setup
from otel_posthog.settings import ConfigurationError, Settings, options


def load_settings(environ: Mapping[str, str]) -> tuple[Settings | None, str | None, list[str]]:
    """Settings from the environment, or the mistake in them; and the warnings that were logged."""
    with captured_messages() as messages:
        try:
            return Settings.load(environ), None, messages
        except ConfigurationError as error:
            return None, str(error), messages


@contextmanager
def captured_messages() -> Iterator[list[str]]:
    """The warnings and errors that the package logs meanwhile; they are lines of the report instead of the log's."""
    log = logging.getLogger("otel_posthog")
    handler = _Messages()
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield handler.messages
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def check_versions(setup: Setup) -> Iterator[Line]:
    """The versions of everything, and the interpreter that was asked."""
    packages = [
        f"{name} {found}" for name in ("opentelemetry-sdk", "opentelemetry-distro") if (found := _version(name))
    ]
    ours = f"otel-posthog {__version__}"
    yield Line("versions", "ok", f"{', '.join([ours, f'Python {platform.python_version()}', *packages])}")
    yield Line("versions", "info", f"interpreter: {sys.executable}")


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def check_settings(setup: Setup) -> Iterator[Line]:
    """Whether the settings can be used, and where each of them came from."""
    for warning in setup.warnings:
        yield Line("settings", "warning", warning)
    if setup.settings is None:
        yield Line("settings", "fault", setup.error or "", _fix_of(setup.error or ""))
        return
    settings = setup.settings
    if settings.disabled:
        source = settings.sources.get("disabled")
        yield Line("settings", "fault", f"Nothing is sent: {source} switches the export off.", f"unset {source}")
    if "host" not in settings.sources:
        yield Line(
            "settings",
            "info",
            f"host = {settings.host} (default); for an EU project: export POSTHOG_HOST=https://eu.i.posthog.com",
        )
    elif (given := setup.environ.get(settings.sources["host"], "")) and _is_app_host(given):
        yield Line("settings", "info", f"{given.strip()} is PostHog's app: events are sent to {settings.host}.")
    for option in options():
        if source := settings.sources.get(option.name):
            yield Line("settings", "info", f"{option.name} = {_shown(option, settings)} ({source})")
    if not settings.api_key.startswith("phc_"):
        yield Line("settings", "warning", "The project API key does not start with phc_, as keys of new projects do.")
    if not settings.capture_content:
        yield Line("settings", "info", "Prompts and outputs are not sent (capture_content).")


def _fix_of(error: str) -> str | None:
    return "export POSTHOG_API_KEY=phc_…  # Project settings → Project API key" if "api" in error.lower() else None


def _is_app_host(text: str) -> bool:
    return any(name in text.lower() for name in ("app.posthog.com", "us.posthog.com", "eu.posthog.com"))


def _shown(option: Any, settings: Settings) -> str:
    value = getattr(settings, option.name)
    if option.name == "api_key":
        return masked(value)
    return "set" if option.metadata["secret"] else str(value)


CMC = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
# Variables outside of the SDK's module that matter here, and what they do.
_EFFECTS = {
    "OTEL_SDK_DISABLED": "switches all of OpenTelemetry off if true",
    "OTEL_TRACES_EXPORTER": "where opentelemetry-instrument sends spans",
    "OTEL_LOGS_EXPORTER": "where opentelemetry-instrument sends log records",
    "OTEL_METRICS_EXPORTER": "where opentelemetry-instrument sends metrics",
    "OTEL_TRACES_SAMPLER": "which traces are recorded; spans that are not sampled are not exported",
    "OTEL_TRACES_SAMPLER_ARG": "argument of the sampler",
    "OTEL_SERVICE_NAME": "name of the service on all spans",
    "OTEL_RESOURCE_ATTRIBUTES": "attributes of all spans, such as user.id",
    "OTEL_BSP_SCHEDULE_DELAY": "milliseconds between two exports",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "spans in a batch",
    "OTEL_BSP_MAX_QUEUE_SIZE": "spans in the queue",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "characters after which prompts and answers are cut",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "characters after which prompts and answers are cut",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "attributes after which messages are lost",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "attributes after which messages are lost",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "instrumentations that opentelemetry-instrument leaves out",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "which GenAI conventions instrumentations write",
    CMC: "whether OpenTelemetry's instrumentations record prompts and answers",
}


def check_variables(setup: Setup) -> Iterator[Line]:
    """Variables of OpenTelemetry that matter: what they do here, and what is wrong with them."""
    environ = setup.environ
    for name, effect in _EFFECTS.items():
        if value := environ.get(name, "").strip():
            yield Line("variables", "info", f"{name}={value}: {effect}")
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" and "disabled" not in _sources(setup):
        yield Line("variables", "fault", "Tracing is switched off by OTEL_SDK_DISABLED.", "unset OTEL_SDK_DISABLED")
    yield from _sampler(environ)
    yield from _exporters(environ)
    yield from _misspelt(environ)


def _sources(setup: Setup) -> Mapping[str, str]:
    return setup.settings.sources if setup.settings else {}


def _sampler(environ: Mapping[str, str]) -> Iterator[Line]:
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    argument = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if sampler in ("always_off", "parentbased_always_off"):
        yield Line(
            "variables",
            "fault",
            f"Tracing is switched off by OTEL_TRACES_SAMPLER={sampler}.",
            "unset OTEL_TRACES_SAMPLER",
        )
    elif sampler.endswith("traceidratio") and argument not in ("", "1", "1.0"):
        yield Line(
            "variables",
            "warning",
            f"OTEL_TRACES_SAMPLER keeps a share of {argument} of all traces; the rest never reaches PostHog.",
            "sample with POSTHOG_SAMPLE_RATE instead, which keeps errors and says how to scale totals",
        )


def _exporters(environ: Mapping[str, str]) -> Iterator[Line]:
    """`OTEL_*_EXPORTER` against the exporters that are installed."""
    zero_code = "posthog" in _names(environ, "traces")
    distro = _version("opentelemetry-distro") is not None
    for signal in ("traces", "logs", "metrics"):
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        installed = {entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")}
        for name in _names(environ, signal):
            if _resolved(name, signal, environ) in installed | {"none"}:
                continue
            likely = difflib.get_close_matches(name, sorted(installed), n=1)
            fix = f"export {variable}={likely[0]}" if likely and not name.startswith("otlp") else f"unset {variable}"
            yield Line(
                "variables",
                "fault",
                f"{variable}={name}: no installed package has this exporter.",
                _otlp_fix(installed) if name == "otlp" else fix,
            )
        # opentelemetry-distro sets "otlp" where nothing is set.
        is_unset = zero_code and distro and not _names(environ, signal)
        if is_unset and _resolved("otlp", signal, environ) not in installed:
            yield Line(
                "variables",
                "fault",
                f"{variable} is not set: opentelemetry-instrument then needs the otlp exporter, which is not "
                "installed, and sets nothing up.",
                f"export {variable}=none",
            )
    if distro and not _names(environ, "traces"):
        yield Line(
            "variables",
            "info",
            "OTEL_TRACES_EXPORTER is not set: opentelemetry-instrument does not send to PostHog by itself "
            "(otel_posthog.configure() needs no variable).",
        )


def _resolved(name: str, signal: str, environ: Mapping[str, str]) -> str:
    """The name of the entry point: the SDK completes "otlp" with the protocol, which is gRPC by default."""
    if name != "otlp":
        return name
    protocol = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL"
    )
    return "otlp_proto_http" if protocol and protocol.startswith("http") else "otlp_proto_grpc"


def _otlp_fix(installed: set[str]) -> str:
    if "otlp_proto_http" in installed:
        return "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    return "pip install opentelemetry-exporter-otlp"


def _names(environ: Mapping[str, str], signal: str) -> list[str]:
    return [name.strip() for name in environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(",") if name.strip()]


def _misspelt(environ: Mapping[str, str]) -> Iterator[Line]:
    known = {name for name in vars(sdk_variables) if name.startswith("OTEL_")} | set(_EFFECTS)
    known |= {"OTEL_PROPAGATORS", "OTEL_PYTHON_CONFIGURATOR", "OTEL_PYTHON_DISTRO", "OTEL_PYTHON_LOG_LEVEL"}
    for name in sorted(environ):
        if not name.startswith("OTEL_") or name.startswith("OTEL_EXPORTER_POSTHOG_") or name in known:
            continue
        # Instrumentations have variables of their own, so only a near miss is worth a line.
        if likely := difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.93):
            yield Line("variables", "warning", f"{name} is not known to OpenTelemetry: did you mean {likely[0]}?")
