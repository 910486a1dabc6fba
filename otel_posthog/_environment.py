"""Environment variables that look like ours and do nothing: what to say about them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

logger = logging.getLogger("otel_posthog")

PREFIX = "OTEL_EXPORTER_POSTHOG_"
SHORT_PREFIX = "POSTHOG_"
_WRONG_PREFIX = "OTEL_POSTHOG_"


def is_foreign(variable: str, value: str) -> bool:
    """Whether a variable named like one of ours was set for another program.

    Some tools keep PostHog's URL in ``POSTHOG_ENDPOINT``.
    """
    return variable == SHORT_PREFIX + "ENDPOINT" and "://" in value


def misnamed_key(environ: Mapping[str, str]) -> str:
    """A hint for the message about a missing key, if a project key is in a variable with another name."""
    for name, value in sorted(environ.items()):
        if "POSTHOG" in name and value.strip().startswith("phc_"):
            return f" ({name} is set, but otel-posthog does not read it)"
    return ""


def warn_of_ignored(environ: Mapping[str, str], known: Collection[str], default_host: str | None) -> None:
    """Warn of variables that are probably meant for us and have no effect.

    ``default_host`` is the host in use, if no option set it. PostHog's own SDKs and tools have variables of similar
    names, so this is never an error.
    """
    for name, value in sorted(environ.items()):
        if not value.strip() or (name in known and not is_foreign(name, value)):
            continue
        if _names_a_host(name) and "://" in value:
            if default_host is not None and value.strip().rstrip("/") != default_host:
                logger.warning(
                    "%s is not read by otel-posthog, which sends to %s: set POSTHOG_HOST.", name, default_host
                )
            continue
        ours = name.startswith((PREFIX, _WRONG_PREFIX))
        likely = _similar_variable(name, known) if ours or name.startswith(SHORT_PREFIX) else None
        if likely:
            logger.warning("%s is not an option of otel-posthog: did you mean %s?", name, likely)
        elif ours:
            logger.warning("%s is not an option of otel-posthog.", name)


def _names_a_host(name: str) -> bool:
    return "POSTHOG" in name and name.endswith(("_HOST", "_URL", "_ENDPOINT")) and "_UI_" not in name


def _similar_variable(name: str, known: Iterable[str]) -> str | None:
    """The variable that was probably meant, with the prefix that was used."""
    prefix = PREFIX if name.startswith(PREFIX) else SHORT_PREFIX
    option = closest(_without_prefix(name), [_without_prefix(k) for k in known if k.startswith(prefix)])
    return option and prefix + option


def _without_prefix(name: str) -> str:
    for prefix in (PREFIX, _WRONG_PREFIX, SHORT_PREFIX):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` is probably a misspelling of."""
    import difflib  # for mistakes only

    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)), None)
