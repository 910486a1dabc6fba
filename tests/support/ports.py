"""Ports for servers that must know theirs before they start, or start again on the same one."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A port that nothing listens on, below those that systems give to outgoing connections: it stays free."""
    choice = random.SystemRandom()  # random itself has the same seed in every worker
    while True:
        port = choice.randrange(20_000, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
