"""What is logged when a process starts to send, and what is watched for from then on."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakMethod

from otel_posthog._checks import masked, without_credentials
from otel_posthog._version import __version__
from otel_posthog.settings import Settings

logger = logging.getLogger("otel_posthog")


def log_start(settings: Settings) -> None:
    """One line at debug level with the settings that matter most."""
    logger.debug(
        "otel-posthog %s sends to %s with key %s (disabled=%s, capture_content=%s, spool_dir=%s, sample_rate=%s).",
        __version__,
        without_credentials(settings.host),
        masked(settings.api_key),
        settings.disabled,
        settings.capture_content,
        settings.spool_dir,
        settings.sample_rate,
    )


def call_later(seconds: float, method: Callable[[float], object]) -> None:
    """Call a bound method with ``seconds`` once they have passed, if its object still lives.

    Not if the process forks before: then its children do the work.
    """
    weak = WeakMethod(method)

    def call() -> None:
        alive = weak()
        if alive is not None:
            alive(seconds)

    timer = threading.Timer(seconds, call)
    timer.daemon = True
    with suppress(RuntimeError):  # no thread can be started any more
        timer.start()
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_parent=timer.cancel)


def watch_for_late_providers() -> None:
    """Report a library that sets a tracer provider from now on: the API refuses it, and merely logs that."""
    logging.getLogger("opentelemetry.trace").addFilter(_report_late_provider)


def _report_late_provider(record: logging.LogRecord) -> bool:
    # The text is that of opentelemetry-api, trace/__init__.py.
    if record.getMessage() == "Overriding of current TracerProvider is not allowed":
        logger.error(
            "A library has set up its own tracer provider after PostHog was configured, and its spans do not reach "
            "PostHog. Call otel_posthog.configure() after it."
        )
    return True
