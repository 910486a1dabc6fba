"""The options: one table with the name, default, check, help text and extra variable of each.

Precedence for each option: the argument, then ``OTEL_EXPORTER_POSTHOG_<NAME>``, then ``POSTHOG_<NAME>``, then the
OpenTelemetry SDK's variable if there is one, then the default. An empty variable counts as unset, as the OpenTelemetry
specification asks (Environment Variable Specification, "Parsing empty value").
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, get_args

from typing_extensions import Unpack

from otel_posthog import _checks
from otel_posthog._checks import Check, ConfigurationError, refuse
from otel_posthog._environment import PREFIX, SHORT_PREFIX, closest, is_foreign, misnamed_key, warn_of_ignored
from otel_posthog._options import Compression, Endpoint, Options, Redaction, WhenFull

if TYPE_CHECKING:
    import requests
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["ConfigurationError", "Options", "Settings", "options", "variables_of"]

logger = logging.getLogger("otel_posthog")

_MIB = 1024 * 1024

# Options that were renamed; the old name still works, with a warning.
RENAMED = {"max_queue_bytes": "max_memory_bytes"}


def _option(
    default: Any,
    check: Check,
    help: str,
    *,
    sdk: str | None = None,
    secret: bool = False,
    code_only: bool = False,
) -> Any:
    """A row of the table. ``sdk`` is the OpenTelemetry SDK's variable for the same; ``code_only`` options have none."""
    metadata = {"check": check, "help": help, "sdk": sdk, "secret": secret, "code_only": code_only}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """All options, checked. Build one with :meth:`load`; docs/options.md lists them.

    ``sources`` says where each value came from: the name of a variable, or ``"argument"``; options with their default
    are missing.

    Raises:
        ConfigurationError: an option's value cannot be used.
    """

    api_key: str = _option("", _checks.api_key, "Project API key (`phc_…`). Required.", secret=True)
    host: str = _option(
        "https://us.i.posthog.com",
        _checks.host,
        "Base URL of PostHog: US, EU (`https://eu.i.posthog.com`), self-hosted or a reverse proxy; its path prefix "
        "is kept.",
    )
    endpoint: Endpoint = _option(
        "auto",
        _checks.one_of(*get_args(Endpoint)),
        "`auto` uses PostHog's AI endpoint, which accepts events of up to 8 MiB, and falls back to `/batch/` where an "
        "installation does not serve it. `ai` and `batch` use only that one; `v1` is the newer API, which answers for "
        "each event; `event` sends one event per request to `/i/v0/e/`, for proxies that forward nothing else.",
    )
    timeout: float = _option(
        10.0,
        _checks.number(float, 0.001, 3600, "seconds"),
        "Seconds that one export of the plain exporter may take, retries included. Also the default for a shutdown.",
    )
    retry_for: float = _option(
        600.0,
        _checks.number(float, 0, 86_400, "seconds"),
        "Seconds for which the processor retries a batch. New spans wait in the queue meanwhile.",
    )
    max_retries: int | None = _option(
        None,
        _checks.number(int, 0, 1000, "retries"),
        "Maximum number of retries of a request. Default: as many as the time allows.",
    )
    hold: float = _option(
        10.0,
        _checks.number(float, 0, 3600, "seconds"),
        "Seconds that an ended AI span waits for the rest of its trace, so that parents, user and duplicates are "
        "known.",
    )
    max_memory_bytes: int = _option(
        128 * _MIB,
        _checks.number(int, 1024, 2**40, "bytes"),
        "Approximate limit, in bytes, of what open traces, long traces and queued spans hold together.",
    )
    max_queue_size: int = _option(
        50_000,
        _checks.number(int, 1, 10_000_000, "spans"),
        "Maximum number of spans in the processor's queue.",
        sdk="OTEL_BSP_MAX_QUEUE_SIZE",
    )
    when_full: WhenFull = _option(
        "drop_oldest",
        _checks.one_of(*get_args(WhenFull)),
        "What is dropped when the queue or the spool is full: `drop_oldest` or `drop_newest`.",
    )
    spool_dir: str | None = _option(
        None,
        _checks.directory,
        "Directory in which events are kept until PostHog has accepted them, across restarts and crashes.",
    )
    max_spool_bytes: int = _option(
        256 * _MIB, _checks.number(int, 1024, 2**40, "bytes"), "Maximum size of the spool, in bytes of events."
    )
    max_spool_age: float = _option(
        7 * 86_400.0,
        _checks.number(float, 1, 10**9, "seconds"),
        "Seconds after which an event in the spool is dropped.",
    )
    rejected_dir: str | None = _option(
        None,
        _checks.directory,
        "Directory in which permanently failed events are kept with the reason, up to `max_spool_bytes`. They contain "
        "content.",
    )
    compression: Compression = _option(
        "gzip",
        _checks.one_of(*get_args(Compression)),
        'Compression of request bodies: `gzip`, `none` or, with `endpoint="v1"` and the extra `otel-posthog[zstd]`, '
        "`zstd`.",
    )
    proxy: str | None = _option(
        None, _checks.proxy, "URL of an HTTP proxy. Default: `HTTPS_PROXY` and related variables.", secret=True
    )
    certificate: str | None = _option(None, _checks.file, "PEM file with the certificate authorities to trust.")
    client_certificate: str | None = _option(None, _checks.file, "PEM file with a client certificate.")
    client_key: str | None = _option(None, _checks.file, "PEM file with the client certificate's key.")
    session: requests.Session | None = _option(
        None, _checks.session, "A `requests.Session` of your own to send with.", code_only=True
    )
    on_drop: Callable[[str, str, str], object] | None = _option(
        None,
        _checks.function,
        "Called with event name, uuid and reason of each dropped event. The name is empty for a span that was dropped "
        "from the queue.",
        code_only=True,
    )
    max_batch_bytes: int = _option(
        5 * _MIB,
        _checks.number(int, 1024, 20 * _MIB, "bytes"),
        "Maximum size of a request body in bytes, before compression. PostHog refuses more than 20 MiB.",
    )
    max_batch_events: int = _option(
        10_000,
        _checks.number(int, 1, 10_000, "events"),
        "Maximum number of events in a request; usually `max_batch_bytes` is reached first.",
    )
    max_concurrent_requests: int = _option(
        4, _checks.number(int, 1, 64, "requests"), "Maximum number of requests that are under way at once."
    )
    accept_empty_answers: bool = _option(
        False,
        _checks.boolean,
        "Whether a 2xx answer without a body counts as delivered, for proxies that drop PostHog's answer. By default "
        "such events are sent again, since the proxy may have answered by itself.",
    )
    historical_migration: bool = _option(
        False,
        _checks.boolean,
        "Whether the events are a backfill of old ones: PostHog routes them to its historical import pipeline. Not "
        'with `endpoint="event"`.',
    )
    capture_content: bool = _option(
        True,
        _checks.boolean,
        "Whether prompts, outputs, tool arguments and results, documents and error messages are sent.",
    )
    capture_spans: bool = _option(
        True,
        _checks.boolean,
        "Whether AI spans other than LLM calls and embeddings (agents, tools, retrievals…) are sent.",
    )
    capture_unmapped: bool = _option(
        True, _checks.boolean, "Whether attributes without a PostHog property are passed through under their own name."
    )
    allow_attributes: tuple[str, ...] = _option(
        (),
        _checks.patterns,
        "Patterns of the attributes without a PostHog property that are passed through. Default: all of them.",
    )
    deny_attributes: tuple[str, ...] = _option(
        (),
        _checks.patterns,
        "Patterns of attributes that are never read, such as `gen_ai.system_instructions` or `http.*`.",
    )
    redact: tuple[Redaction, ...] = _option(
        (),
        _checks.redactions,
        "What is removed from content before it leaves the process: `email`, `phone`, `card`, `key`, and callables "
        "`(text, where) -> text`.",
    )
    keep_media: int = _option(
        0,
        _checks.number(int, 0, 20 * _MIB, "bytes"),
        "Images, audio and files of up to this many bytes are sent; larger ones are replaced by type, size and hash.",
    )
    deduplicate: bool = _option(
        True, _checks.boolean, "Whether a call that several instrumentations recorded is counted once."
    )
    remote_parents: bool = _option(
        False,
        _checks.boolean,
        "Whether a span without an AI span above it in this process keeps the span of another service as its parent. "
        "By default it is a root of its trace: the other service's span is mostly that of an HTTP client, browser or "
        "gateway, which PostHog never receives.",
    )
    sample_rate: float = _option(
        1.0,
        _checks.number(float, 0, 1, ""),
        "Share of traces that are sent, from 0 to 1; `$ai_sample_rate` on the events says how to scale totals.",
    )
    sample_errors: bool = _option(
        False, _checks.boolean, "Whether traces with an error are sampled too. By default all of them are sent."
    )
    should_export: Callable[[ReadableSpan], bool] | None = _option(
        None,
        _checks.function,
        "Called with each AI span, a `ReadableSpan`; returns whether to send it.",
        code_only=True,
    )
    distinct_id: str | None = _option(
        None, _checks.string, "User of all spans that have none. Default: anonymous events."
    )
    properties: Mapping[str, Any] = _option(
        dict, _checks.json_object, "Properties added to every event. The variable holds a JSON object."
    )
    handle_sigterm: bool = _option(
        True,
        _checks.boolean,
        "Whether `configure()` sends what is queued when the process receives SIGTERM, before the previous handler "
        "runs.",
    )
    hints: bool = _option(
        True, _checks.boolean, "Whether to log a one-line hint if no AI spans, or AI spans without content, are seen."
    )
    disabled: bool = _option(False, _checks.boolean, "Send nothing. `OTEL_SDK_DISABLED=true` does the same.")
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        shown = (f"{o.name}={getattr(self, o.name)!r}" for o in options() if not o.metadata["secret"])
        return _checks.without_credentials(f"Settings({', '.join(shown)})")

    def __post_init__(self) -> None:
        for option in options():
            value = getattr(self, option.name)
            if value is not None:
                object.__setattr__(self, option.name, option.metadata["check"](option.name, value))
        if self.compression == "zstd" and self.endpoint != "v1":
            raise refuse("compression", self.compression, "gzip or none unless endpoint is 'v1'")
        if self.historical_migration and self.endpoint == "event":
            raise refuse("historical_migration", True, "false with endpoint='event'")
        if self.client_key is not None and self.client_certificate is None:
            raise refuse("client_key", self.client_key, "used together with client_certificate")

    @property
    def max_queue_bytes(self) -> int:
        """The former name of ``max_memory_bytes``."""
        return self.max_memory_bytes

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        api_key: str | None = None,
        host: str | None = None,
        **arguments: Unpack[Options],
    ) -> Settings:
        """Settings from arguments and the environment; an argument of ``None`` counts as not given.

        Raises:
            ConfigurationError: a value cannot be used, an argument is unknown or there is no API key.
        """
        environ = os.environ if environ is None else environ
        given = _with_new_names({"api_key": api_key, "host": host, **arguments})
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for option in options():
            name = option.name
            if given.get(name) is not None:
                values[name], sources[name] = given[name], "argument"
                continue
            for variable in variables_of(option):
                text = environ.get(variable, "").strip()
                if text and not is_foreign(variable, text):
                    # Checked under the variable's name, so that the message names it.
                    values[name], sources[name] = option.metadata["check"](variable, text), variable
                    break
        if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            values["disabled"], sources["disabled"] = True, "OTEL_SDK_DISABLED"
        if "api_key" not in values:
            if not values.get("disabled"):
                raise ConfigurationError(
                    "api_key is missing: pass the project API key (phc_…) or set POSTHOG_API_KEY"
                    f"{misnamed_key(environ)}."
                )
            values["api_key"] = "phc_disabled"
        settings = cls(**values, sources=sources)
        known = {name for option in options() for name in variables_of(option)}
        warn_of_ignored(environ, known, None if "host" in sources else settings.host)
        return settings


def _with_new_names(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under their current names; unknown ones are refused."""
    known = [option.name for option in options()]
    renamed = dict(arguments)
    for name in arguments:
        if name in RENAMED:
            logger.warning("%s is deprecated: use %s.", name, RENAMED[name])
            old = renamed.pop(name)
            renamed.setdefault(RENAMED[name], old)
        elif name not in known:
            likely = closest(name, known)
            hint = f"did you mean {likely}?" if likely else f"it must be one of {', '.join(known)}."
            raise ConfigurationError(f"{name} is not an option of otel-posthog: {hint}")
    return renamed


def options() -> tuple[Field[Any], ...]:
    """The rows of the table: the fields of :class:`Settings` that are options."""
    return tuple(row for row in fields(Settings) if row.metadata)


def variables_of(option: Field[Any]) -> tuple[str, ...]:
    """The environment variables of an option; the first that is set wins."""
    if option.metadata["code_only"]:
        return ()
    name, sdk = option.name.upper(), option.metadata["sdk"]
    former = [PREFIX + old.upper() for old, new in RENAMED.items() if new == option.name]
    return (PREFIX + name, SHORT_PREFIX + name, *former, *([sdk] if sdk else ()))
