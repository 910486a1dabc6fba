"""What to do with a batch that failed temporarily: try it again, divide it, or give it up.

One event can make a host, a firewall or a proxy fail on every request that holds it. Such a batch keeps failing while
others are delivered; it is divided until the event is alone, and the event is dropped after some more attempts. In an
outage nothing else is delivered either, and batches are left as they are.
"""

from __future__ import annotations

from otel_posthog.delivery.batching import Batch
from otel_posthog.delivery.protocols import Outcome

_ATTEMPTS_WHOLE = 2  # before a batch is divided
_ATTEMPTS_ALONE = 6  # of a single event, before it is dropped
_SUCCESSES = 3  # of other requests meanwhile, by which a batch, not the host, is to blame
_BLIND_DEPTH = 3  # how often a batch is halved without any success of others


def is_to_blame(batch: Batch, outcome: Outcome, successes: int) -> bool:
    """Whether the host is well and only this batch fails; ``successes`` are those of the sender so far."""
    return outcome.may_be_one_event and _others(batch, successes) > 0


def parts(batch: Batch, outcome: Outcome, successes: int) -> list[Batch]:
    """The batch divided, or nothing if it should be tried again as it is."""
    others = _others(batch, successes)
    if outcome.may_be_one_event:
        has_failed_enough = batch.attempt >= (1 if batch.depth else _ATTEMPTS_WHOLE)
        is_worth_it = others > 0 or batch.depth < _BLIND_DEPTH
    else:
        has_failed_enough = batch.attempt > _ATTEMPTS_WHOLE
        is_worth_it = others >= _SUCCESSES
    return batch.halves() if has_failed_enough and is_worth_it else []


def is_hopeless(batch: Batch, successes: int) -> bool:
    """Whether a single event has failed often enough while others were delivered."""
    return len(batch.items) == 1 and batch.attempt >= _ATTEMPTS_ALONE and _others(batch, successes) >= _SUCCESSES


def _others(batch: Batch, successes: int) -> int:
    return 0 if batch.successes is None else successes - batch.successes
