"""Inside an app that `otel-posthog doctor -- COMMAND` runs: counts spans, and what is sent, and writes a report.

It adds a span processor to every provider, a handler to the loggers, and writes a JSON file every second and at exit.
Nothing here is imported unless :data:`VARIABLE` is set or ``opentelemetry-instrument`` starts the app.
"""

from __future__ import annotations

import os

VARIABLE = "_POSTHOG_DOCTOR_DIRECTORY"  # where the reports go, a file for each process


def observe_if_asked() -> None:
    """Start observing if the doctor runs this app. Also an entry point, ``opentelemetry_pre_instrument``."""
    directory = os.environ.get(VARIABLE)
    if directory:
        from otel_posthog.doctor._observer import start

        start(directory)
