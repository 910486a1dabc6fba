"""Checks of option values: each takes the name under which the value was given, and returns the value to use.

A value that cannot be used raises :class:`ConfigurationError`. A host that can be corrected is, with a warning.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

logger = logging.getLogger("otel_posthog")

Check = Callable[[str, Any], Any]


class ConfigurationError(ValueError):
    """An option cannot be used. The message is one sentence: which option, what is allowed, what was given."""


_CREDENTIALS = re.compile(r"[^\s/'\"]*@")
_LONGEST_VALUE = 100  # characters of a value in a message


def refuse(name: str, value: object, allowed: str) -> ConfigurationError:
    """The error for ``value``; the message reads "NAME must be ALLOWED, not VALUE."."""
    shown = without_credentials(repr(value))
    if len(shown) > _LONGEST_VALUE:
        shown = shown[:_LONGEST_VALUE] + "…"
    return ConfigurationError(f"{name} must be {allowed}, not {shown}.")


def without_credentials(text: str) -> str:
    """The text with user and password removed from the URLs in it."""
    return _CREDENTIALS.sub("…@", text)


def string(name: str, value: Any) -> str:
    """A non-empty string, without the white space around it."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise refuse(name, value, "a non-empty string")


# What a project API key looks like today. Older projects have keys without the prefix.
_PROJECT_KEY = re.compile(r"phc_[A-Za-z0-9]{32,}")
_LONGEST_KEY = 64  # bytes; PostHog answers 401 to longer ones
_FOREIGN_KEYS = {
    "phx_": "a personal API key (phx_…)",
    "phs_": "a feature flags secure API key (phs_…)",
    "pha_": "an OAuth access token (pha_…)",
    "phr_": "an OAuth refresh token (phr_…)",
    "sk-lf-": "a Langfuse key (sk-lf-…)",
    "pk-lf-": "a Langfuse key (pk-lf-…)",
    "sk-ant-": "an Anthropic key (sk-ant-…)",
    "sk-": "an OpenAI key (sk-…)",
    "lsv2_": "a LangSmith key (lsv2_…)",
    "pylf_": "a Logfire token (pylf_…)",
    "AIza": "a Google API key (AIza…)",
    "gsk_": "a Groq key (gsk_…)",
}
_PLACEHOLDER = re.compile(
    r"[<>{}$\[\]]|\.\.\.|…|your|key.?here|project.?(api.?key|token)|placeholder|change.?me|^(phc_?)?(x{3,}|\*+)?$",
    re.IGNORECASE,
)


def api_key(name: str, value: Any) -> str:
    """A project API key. Only its shape is checked, and the message never shows the value."""
    allowed = f"{name} must be a project API key (phc_…)"
    if not isinstance(value, str):
        raise ConfigurationError(f"{allowed}, not a value of type {type(value).__name__}.")
    key = value.strip()
    if _PROJECT_KEY.fullmatch(key) and len(key) <= _LONGEST_KEY and not _PLACEHOLDER.match(key):
        return key
    for prefix, kind in _FOREIGN_KEYS.items():
        if key.startswith(prefix):
            raise ConfigurationError(f"{allowed}, not {kind}.")
    if not key:
        raise ConfigurationError(f"{allowed}, not an empty string.")
    if key[0] in "'\"`" or key[-1] in "'\"`":
        raise ConfigurationError(f"{allowed} without quotes around it.")
    if _PLACEHOLDER.search(key):
        raise ConfigurationError(f"{allowed}, not a placeholder: copy the key from the project's settings in PostHog.")
    if not key.isascii() or not key.isprintable() or any(c.isspace() for c in key):
        raise ConfigurationError(f"{allowed} in printable ASCII without white space.")
    if len(key) > _LONGEST_KEY:
        raise ConfigurationError(f"{allowed} of at most {_LONGEST_KEY} characters, not of {len(key)}.")
    return key


# PostHog's app hosts serve pages; its SDKs send to the matching ingestion host instead.
_INGESTION_HOSTS = {
    "app.posthog.com": "us.i.posthog.com",
    "us.posthog.com": "us.i.posthog.com",
    "eu.posthog.com": "eu.i.posthog.com",
}
_LOOPBACK = re.compile(r"(localhost|127\.[\d.]+|\[::1\]|0\.0\.0\.0)(:|/|$)")
# Paths of capture endpoints and of pages in PostHog, which are not part of the host.
_LEFTOVER = re.compile(r"/(batch|capture|i/v[01](/.*)?|projects?/(\d+|@current)(/.*)?)$")


def host(name: str, value: Any) -> str:
    """The base URL without a trailing slash. Logs a warning if scheme or path had to be corrected."""
    allowed = "a URL such as https://us.i.posthog.com, https://eu.i.posthog.com or http://localhost:8010"
    text = value.strip() if isinstance(value, str) else ""
    url = text if "://" in text else ("http://" if _LOOPBACK.match(text) else "https://") + text
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refuse(name, value, allowed) from None
    unusable = parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment
    if unusable or port == 0 or any(c.isspace() or c in "'\"<>{}$" for c in text):
        raise refuse(name, value, allowed)
    hostname = parts.hostname or ""
    path = parts.path.rstrip("/")
    kept = "" if hostname.endswith(".posthog.com") else _LEFTOVER.sub("", path).rstrip("/")
    base = urlunsplit((parts.scheme, _INGESTION_HOSTS.get(hostname, parts.netloc), kept, "", ""))
    if kept != path:
        logger.warning("%s should end before %s: using %s.", name, path[len(kept) :], without_credentials(base))
    elif url != text:
        logger.warning("%s has no scheme: using %s.", name, without_credentials(base))
    return base


def boolean(name: str, value: Any) -> bool:
    """``True`` or ``False``, or the usual words for them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "1", "yes", "on"):
        return True
    if isinstance(value, str) and value.strip().lower() in ("false", "0", "no", "off"):
        return False
    raise refuse(name, value, "true or false")


def one_of(*allowed: str) -> Check:
    """One of these words, in any case."""

    def check(name: str, value: Any) -> str:
        text = value.strip().lower() if isinstance(value, str) else value
        if text in allowed:
            return str(text)
        raise refuse(name, value, f"one of {', '.join(allowed)}")

    return check


def number(kind: type[int] | type[float], low: float, high: float, unit: str) -> Check:
    """A number in these bounds, both included."""
    what = "a whole number" if kind is int else "a number"

    def check(name: str, value: Any) -> int | float:
        try:
            result = kind(value) if not isinstance(value, bool) else math.nan
            if isinstance(value, float) and result != value:
                result = math.nan  # a fraction where a whole number is wanted
        except (TypeError, ValueError, OverflowError):
            result = math.nan
        if low <= result <= high:
            return result
        raise refuse(name, value, f"{what}{unit and f' of {unit}'} from {low:,} to {high:,}")

    return check


def json_object(name: str, value: Any) -> Mapping[str, Any]:
    """A mapping with string keys, or such a JSON object; copied."""
    given = value
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    if isinstance(given, Mapping) and all(isinstance(key, str) for key in given):
        return dict(given)
    raise refuse(name, value, 'a JSON object such as {"team": "search"}')


def patterns(name: str, value: Any) -> tuple[str, ...]:
    """Names of attributes with ``*`` as a wildcard; text is split at commas."""
    given = value.split(",") if isinstance(value, str) else value
    if isinstance(given, Iterable) and not isinstance(given, Mapping):
        items = list(given)
        if all(isinstance(item, str) for item in items):
            return tuple(filter(None, (item.strip() for item in items)))
    raise refuse(name, value, "a list of attribute names, in which * is a wildcard, such as http.*,db.statement")


# Names of the built-in patterns for `redact`; the patterns themselves are in `otel_posthog.events.privacy`.
REDACTIONS = ("email", "phone", "card", "key")


def redactions(name: str, value: Any) -> tuple[Any, ...]:
    """Names from :data:`REDACTIONS` and callables; text is split at commas."""
    given = value.split(",") if isinstance(value, str) else [value] if callable(value) else value
    if isinstance(given, (list, tuple)):
        found = [item.strip().lower() if isinstance(item, str) else item for item in given]
        if all(callable(item) or item in REDACTIONS for item in found):
            return tuple(found)
    raise refuse(name, value, f"one or more of {', '.join(REDACTIONS)}, or a callable (text, where) -> text")


def function(name: str, value: Any) -> Any:
    """Anything callable."""
    if callable(value):
        return value
    raise refuse(name, value, "callable")


def session(name: str, value: Any) -> Any:
    """A ``requests.Session``, or what looks like one."""
    if callable(getattr(value, "post", None)) and callable(getattr(value, "close", None)):
        return value
    raise refuse(name, value, "a requests.Session")


def file(name: str, value: Any) -> str:
    """The path of a file that exists."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(text, str) and os.path.isfile(text):
        return text
    raise refuse(name, value, "the path of an existing file")


def directory(name: str, value: Any) -> str:
    """The path of a directory, which need not exist yet."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(text, str) and text.strip() and (os.path.isdir(text) or not os.path.exists(text)):
        return text
    raise refuse(name, value, "the path of a directory")


def proxy(name: str, value: Any) -> str:
    """The URL of an HTTP or SOCKS proxy."""
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith(("http://", "https://", "socks5://", "socks5h://")):
        return text
    raise refuse(name, value, "a URL such as http://proxy.example:3128")


def masked(key: str) -> str:
    """A key for logs: enough of it to tell two keys apart."""
    return f"{key[:8]}…{key[-4:]}" if len(key) >= 24 else f"{key[:4]}…"
