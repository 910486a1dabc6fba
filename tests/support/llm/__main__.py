"""Serve the fake LLM until it is interrupted: ``python -m tests.support.llm --port 8123``."""

from __future__ import annotations

import argparse
import signal
import threading

from .server import FakeLLM


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.llm", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind")
    options = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with FakeLLM(options.port, host=options.host) as llm:
        print(llm.url, flush=True)
        over.wait()


if __name__ == "__main__":
    main()
