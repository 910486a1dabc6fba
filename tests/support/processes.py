"""Python in a process of its own, for what is global in OpenTelemetry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# For ``opentelemetry-instrument``, which imports what it instruments: seconds, with every library that is tested here.
ONLY_OPENAI = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "anthropic,fastapi,langchain,requests"}
NO_INSTRUMENTATION = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}

_PROGRAMS = Path(sys.executable).parent


def run_python(
    code: str, env: Mapping[str, str] | None = None, *, launcher: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code to its end; ``env`` adds to this process's environment, ``launcher`` is a program of this venv."""
    command = [sys.executable, "-c", code]
    if launcher is not None:
        command.insert(0, str(_PROGRAMS / launcher))
    return subprocess.run(
        command, env=os.environ | (env or {}), capture_output=True, text=True, timeout=60, check=False
    )
