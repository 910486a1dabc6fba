"""Every option of the exporter, once: argument name, environment variables, default, check, help text.

Precedence for each option: the argument, then ``OTEL_EXPORTER_POSTHOG_<NAME>``, then the ``POSTHOG_<NAME>``
variable where PostHog's own SDKs have one, then the default. An empty variable counts as unset, as the
OpenTelemetry specification asks (Environment Variable Specification, "Parsing empty value").
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit, urlunsplit

logger = logging.getLogger("otel_posthog")

PREFIX = "OTEL_EXPORTER_POSTHOG_"

# PostHog's application hosts serve pages, not capture; its SDKs send to the matching ingestion host instead.
_INGESTION_HOSTS = {
    "app.posthog.com": "us.i.posthog.com",
    "us.posthog.com": "us.i.posthog.com",
    "eu.posthog.com": "eu.i.posthog.com",
}


class ConfigurationError(ValueError):
    """A setting cannot be used. The message is one sentence: which setting, its value, what is allowed."""


_CREDENTIALS = re.compile(r"[^\s/'\"]*@")


def _fail(name: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is {_without_credentials(repr(value))}: {allowed}.")


def _without_credentials(text: str) -> str:
    """URLs in the text without user and password."""
    return _CREDENTIALS.sub("…@", text)


Check = Callable[[str, Any], Any]


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise _fail(name, value, "it must be a text that is not empty")


def _api_key(name: str, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith("phx_"):
        # The value is a secret: the message shows its kind only.
        raise _fail(name, "phx_…", "that is a personal API key, and capture takes the project API key (phc_…)")
    if not text or any(c.isspace() for c in text) or not text.isprintable():
        raise _fail(name, "…", "it must be a project API key (phc_…), without white space")
    return text


def _host(name: str, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    allowed = "it must be a URL such as https://us.i.posthog.com, https://eu.i.posthog.com or http://localhost:8010"
    if "://" not in text:
        text = "https://" + text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _fail(name, value, allowed) from None
    unusable = parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment
    if unusable or port == 0 or any(c.isspace() for c in text):
        raise _fail(name, value, allowed)
    netloc = _INGESTION_HOSTS.get(parts.hostname or "", parts.netloc)
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "1", "yes", "on"):
        return True
    if isinstance(value, str) and value.strip().lower() in ("false", "0", "no", "off"):
        return False
    raise _fail(name, value, "it must be true or false")


def _one_of(*allowed: str) -> Check:
    def check(name: str, value: Any) -> str:
        text = value.strip().lower() if isinstance(value, str) else value
        if text in allowed:
            return str(text)
        raise _fail(name, value, f"it must be one of {', '.join(allowed)}")

    return check


def _number(kind: type[int] | type[float], low: float, high: float, unit: str) -> Check:
    def check(name: str, value: Any) -> int | float:
        try:
            number = kind(value) if not isinstance(value, bool) else math.nan
            if isinstance(value, float) and number != value:
                number = math.nan  # a fraction where a whole number is wanted
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if low <= number <= high:
            return number
        what = "a whole number" if kind is int else "a number"
        raise _fail(name, value, f"it must be {what} of {unit} from {low:,} to {high:,}")

    return check


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    given = value
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    if isinstance(given, Mapping) and all(isinstance(key, str) for key in given):
        return dict(given)
    raise _fail(name, value, 'it must be a JSON object such as {"team": "search"}')


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if isinstance(given, Iterable) and not isinstance(given, Mapping):
        found = [pattern.strip() for pattern in given if isinstance(pattern, str)] if given else []
        if len(found) == len(list(given)):
            return tuple(filter(None, found))
    raise _fail(name, value, "it must be names of attributes, with * for any text, such as http.*,db.statement")


# What can be redacted without code of one's own; the patterns themselves are in `privacy`.
REDACTIONS = ("email", "phone", "card", "key")


def _redactions(name: str, value: Any) -> tuple[Any, ...]:
    given = value.split(",") if isinstance(value, str) else [value] if callable(value) else value
    if isinstance(given, (list, tuple)):
        found = [item.strip().lower() if isinstance(item, str) else item for item in given]
        if all(callable(item) or item in REDACTIONS for item in found):
            return tuple(found)
    allowed = f"it must be one or more of {', '.join(REDACTIONS)}, or a callable (text, where) -> text"
    raise _fail(name, value, allowed)


def _callable(name: str, value: Any) -> Any:
    if callable(value):
        return value
    raise _fail(name, value, "it must be callable")


def _session(name: str, value: Any) -> Any:
    if callable(getattr(value, "post", None)) and callable(getattr(value, "close", None)):
        return value
    raise _fail(name, value, "it must be a requests.Session")


def _file(name: str, value: Any) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(text, str) and os.path.isfile(text):
        return text
    raise _fail(name, value, "it must be the path of a file that exists")


def _directory(name: str, value: Any) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(text, str) and text.strip() and (os.path.isdir(text) or not os.path.exists(text)):
        return text
    raise _fail(name, value, "it must be the path of a directory")


def _proxy(name: str, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith(("http://", "https://", "socks5://", "socks5h://")):
        return text
    raise _fail(name, value, "it must be a URL such as http://proxy.example:3128")


def _option(
    default: Any,
    check: Check,
    help: str,
    posthog: str | None = None,
    secret: bool = False,
    code_only: bool = False,
) -> Any:
    """A row of the table of options; ``posthog`` is the variable of PostHog's own SDKs, if there is one.

    ``code_only`` options have no variable.
    """
    metadata = {"check": check, "help": help, "posthog": posthog, "secret": secret, "code_only": code_only}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """All options of the exporter, checked. Build one with :meth:`load`; docs/options.md lists them.

    Raises:
        ConfigurationError: an option's value cannot be used.
    """

    api_key: str = _option("", _api_key, "Project API key (`phc_…`). Required.", "POSTHOG_API_KEY", secret=True)
    host: str = _option(
        "https://us.i.posthog.com",
        _host,
        "Where PostHog ingests: US, EU (`https://eu.i.posthog.com`), self-hosted or a reverse proxy; "
        "a path prefix is kept.",
        "POSTHOG_HOST",
    )
    endpoint: str = _option(
        "auto",
        _one_of("auto", "ai", "batch", "v1", "event"),
        "`auto` sends to PostHog's AI endpoint, which takes events of 8 MiB, and to `/batch/` where an installation "
        "does not serve that; `ai` and `batch` are one of the two only; `v1` is the newer contract that answers for "
        "each event; `event` sends one event a request to `/i/v0/e/`, for proxies that forward only that.",
    )
    timeout: float = _option(
        10.0,
        _number(float, 0.001, 3600, "seconds"),
        "Seconds that one export of the plain exporter may take, its retries included, and a shutdown by default.",
    )
    retry_for: float = _option(
        600.0,
        _number(float, 0, 86_400, "seconds"),
        "Seconds for which the processor tries to deliver a batch. What comes meanwhile waits in the queue.",
    )
    max_retries: int | None = _option(
        None, _number(int, 0, 1000, "retries"), "The most retries of a request. Default: as many as the time allows."
    )
    max_queue_size: int = _option(
        50_000,
        _number(int, 1, 10_000_000, "spans"),
        "The most spans that wait in the processor's queue.",
        "OTEL_BSP_MAX_QUEUE_SIZE",
    )
    max_queue_bytes: int = _option(
        64 * 1024 * 1024,
        _number(int, 1024, 2**40, "bytes"),
        "The most bytes of spans, about, that wait in the processor's queue.",
    )
    when_full: str = _option(
        "drop_oldest",
        _one_of("drop_oldest", "drop_newest"),
        "What goes when the queue or the spool is full: `drop_oldest` or `drop_newest`.",
    )
    spool_dir: str | None = _option(
        None,
        _directory,
        "A directory in which events are kept until PostHog has answered for them, over restarts and crashes.",
    )
    max_spool_bytes: int = _option(
        256 * 1024 * 1024, _number(int, 1024, 2**40, "bytes"), "The most bytes of events in the spool."
    )
    max_spool_age: float = _option(
        7 * 86_400.0, _number(float, 1, 10**9, "seconds"), "Seconds after which an event in the spool is dropped."
    )
    rejected_dir: str | None = _option(
        None,
        _directory,
        "A directory in which events that could not be delivered for good are kept with the reason, up to "
        "`max_spool_bytes`. They hold content.",
    )
    compression: str = _option(
        "gzip",
        _one_of("gzip", "zstd", "none"),
        'How request bodies are compressed: `gzip`, `none` or, with `endpoint="v1"` and the extra '
        "`otel-posthog[zstd]`, `zstd`.",
    )
    proxy: str | None = _option(None, _proxy, "URL of an HTTP proxy. Default: `HTTPS_PROXY` and its like.", secret=True)
    certificate: str | None = _option(None, _file, "PEM file with the certificates of the authorities to trust.")
    client_certificate: str | None = _option(None, _file, "PEM file with a client certificate.")
    client_key: str | None = _option(None, _file, "PEM file with the client certificate's key.")
    session: Any = _option(None, _session, "A `requests.Session` of your own to send with.", code_only=True)
    on_drop: Any = _option(
        None,
        _callable,
        "Called with event name, uuid and reason of each event that is lost. The name is empty for a span that was "
        "dropped from the queue.",
        code_only=True,
    )
    max_batch_bytes: int = _option(
        5 * 1024 * 1024,
        _number(int, 1024, 20 * 1024 * 1024, "bytes"),
        "The largest request body, in bytes before compression. PostHog refuses more than 20 MiB.",
    )
    max_batch_events: int = _option(500, _number(int, 1, 10_000, "events"), "The most events in one request.")
    historical_migration: bool = _option(
        False,
        _flag,
        "Whether the events are a migration of old ones: PostHog then takes them on a slower way of their own. For "
        'backfills only, and not with `endpoint="event"`.',
    )
    capture_content: bool = _option(
        True,
        _flag,
        "Whether prompts, outputs, tool arguments and results, documents and error messages are sent.",
    )
    capture_spans: bool = _option(
        True,
        _flag,
        "Whether AI spans other than LLM calls and embeddings (agents, tools, retrievals…) are sent.",
    )
    capture_unmapped: bool = _option(
        True, _flag, "Whether attributes without a PostHog property are passed through under their own name."
    )
    allow_attributes: tuple[str, ...] = _option(
        (),
        _patterns,
        "Of the attributes without a PostHog property only those that match one of these patterns are passed through; "
        "none given: all.",
    )
    deny_attributes: tuple[str, ...] = _option(
        (),
        _patterns,
        "Attributes that match one of these patterns are not read at all, such as `gen_ai.system_instructions` or "
        "`http.*`.",
    )
    redact: tuple[str | Callable[[str, str], str], ...] = _option(
        (),
        _redactions,
        "What is taken out of content before it leaves the process: `email`, `phone`, `card`, `key`, and callables "
        "`(text, where) -> text`.",
    )
    keep_media: int = _option(
        0,
        _number(int, 0, 20 * 1024 * 1024, "bytes"),
        "Images, audio and files inside messages are sent up to this size in bytes; larger ones are replaced by their "
        "type, size and hash.",
    )
    deduplicate: bool = _option(
        True, _flag, "Whether a call that several instrumentations have recorded is counted once."
    )
    remote_parents: bool = _option(
        True,
        _flag,
        "Whether an AI span below another service's span keeps that as its parent; `false` where that service does not "
        "send its spans to PostHog.",
    )
    sample_rate: float = _option(
        1.0,
        _number(float, 0, 1, "traces, as a share,"),
        "The share of traces that is sent, whole traces by their id; `$ai_sample_rate` on events says how to scale.",
    )
    sample_errors: bool = _option(
        False, _flag, "Whether traces with an error are sampled like others; by default all of them are sent."
    )
    should_export: Any = _option(
        None, _callable, "Asked for each AI span, a `ReadableSpan`, whether it is sent.", code_only=True
    )
    distinct_id: str | None = _option(None, _text, "The user of every span that names none. Default: anonymous events.")
    properties: Mapping[str, Any] = _option(
        dict, _mapping, "Properties added to every event; the environment takes a JSON object."
    )
    disabled: bool = _option(
        False, _flag, "Map and send nothing. `OTEL_SDK_DISABLED=true` does the same.", "POSTHOG_DISABLED"
    )

    def __repr__(self) -> str:
        shown = (f"{o.name}={getattr(self, o.name)!r}" for o in fields(self) if not o.metadata["secret"])
        return _without_credentials(f"Settings({', '.join(shown)})")

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if value is not None:
                object.__setattr__(self, option.name, option.metadata["check"](option.name, value))
        if self.compression == "zstd" and self.endpoint != "v1":
            raise _fail("compression", self.compression, "only endpoint='v1' takes it")
        if self.historical_migration and self.endpoint == "event":
            raise _fail("historical_migration", True, "endpoint='event' cannot say so")
        if self.client_key is not None and self.client_certificate is None:
            raise _fail("client_key", self.client_key, "it must come with client_certificate")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
        """Settings from arguments and the environment; an argument of ``None`` counts as not given.

        Raises:
            ConfigurationError: a value cannot be used, an argument is unknown or no API key is given.
        """
        environ = os.environ if environ is None else environ
        known = {option.name: option for option in fields(cls)}
        for name in arguments:
            if name not in known:
                likely = _like(name, known, 3) or known
                raise ConfigurationError(f"{name} is no setting: it must be one of {', '.join(likely)}.")
        values: dict[str, Any] = {}
        for name, option in known.items():
            given = arguments.get(name)
            if given is not None:
                values[name] = given
                continue
            for variable in variables_of(option):
                if environ.get(variable, "").strip():
                    # Checked under the variable's name, so that a mistake is reported where it was made.
                    values[name] = option.metadata["check"](variable, environ[variable])
                    break
        _warn_of_unknown(environ, known.values())
        if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            values["disabled"] = True
        if "api_key" not in values:
            if not values.get("disabled"):
                raise ConfigurationError(
                    "api_key is missing: pass the project API key (phc_…) or set POSTHOG_API_KEY "
                    "(or OTEL_EXPORTER_POSTHOG_API_KEY)."
                )
            values["api_key"] = "phc_disabled"
        return cls(**values)


def _warn_of_unknown(environ: Mapping[str, str], options: Iterable[Any]) -> None:
    """A variable that is misspelt does nothing, which nobody would see; it is no error, as it may be another
    version's."""
    known = [name for option in options for name in variables_of(option)]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            likely = _like(name, known, 1)
            logger.warning(
                "%s is no setting of otel-posthog%s", name, f": did you mean {likely[0]}?" if likely else "."
            )


def _like(name: str, known: Iterable[str], count: int) -> list[str]:
    import difflib  # for mistakes only

    return difflib.get_close_matches(name, list(known), n=count)


def variables_of(option: Any) -> tuple[str, ...]:
    """The environment variables of a field of :class:`Settings`, first one wins."""
    if option.metadata["code_only"]:
        return ()
    own = PREFIX + option.name.upper()
    shared = option.metadata["posthog"]
    return (own, shared) if shared else (own,)


def options_table() -> str:
    """The table of docs/options.md, in Markdown."""
    rows = ["| argument | environment variable | default | what it does |", "| --- | --- | --- | --- |"]
    for option in fields(Settings):
        variables = " or ".join(f"`{name}`" for name in variables_of(option))
        default = option.default if option.default is not MISSING else {}
        shown = "" if default in (None, "", ()) else f"`{json.dumps(default)}`"
        rows.append(f"| `{option.name}` | {variables} | {shown} | {option.metadata['help']} |")
    return "\n".join(rows)
