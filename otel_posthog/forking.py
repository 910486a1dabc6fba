"""What has to happen around a fork, for as long as the object lives that it happens to."""

from __future__ import annotations

import os
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


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    reference = WeakMethod(method)

    def call() -> None:
        found = reference()
        if found is not None:
            found()

    return call
