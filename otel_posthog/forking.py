"""What has to happen around a fork, for as long as the object lives that it happens to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from weakref import WeakMethod


def around_forks(
    *,
    before: Callable[[], None] | None = None,
    in_parent: Callable[[], None] | None = None,
    in_child: Callable[[], None],
) -> None:
    """Have bound methods called around every ``os.fork`` of this process, without keeping their object alive."""
    if hasattr(os, "register_at_fork"):
        hooks = {"before": before, "after_in_parent": in_parent, "after_in_child": in_child}
        os.register_at_fork(**{name: _weakly(method) for name, method in hooks.items() if method is not None})


def stop_at_the_end_of_a_child(owner: object, stop: Callable[[], object]) -> None:
    """In a child of multiprocessing, which runs no ``atexit``: call a bound method of ``owner`` when it ends.

    Called right after the fork; multiprocessing first forgets what its parent has registered, and then asks for more.
    """
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        call = _weakly(stop)
        multiprocessing.register_after_fork(owner, lambda _: multiprocessing.Finalize(None, call, exitpriority=0))


def _weakly(method: Callable[[], object]) -> Callable[[], None]:
    reference = WeakMethod(method)

    def call() -> None:
        found = reference()
        if found is not None:
            found()

    return call
