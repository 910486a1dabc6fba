"""The distinct_ids that PostHog accepts; a refused one counts as none."""

from __future__ import annotations

# distinct_ids that PostHog refuses, in any case: they come from bugs and would merge strangers into one person.
# Source: https://posthog.com/docs/product-analytics/identify, and the list in its ingestion.
REFUSED = frozenset(
    ("anonymous", "guest", "none", "null", "undefined", "true", "false", "0", "id", "user", "system", "backend",
     "email", "distinct_id", "distinctid", "not_authenticated", "[object object]", "nan", "nil", "''", '""')
)  # fmt: skip
MAX_DISTINCT_ID = 200  # characters; PostHog truncates longer ones


def usable(distinct_id: str | None) -> str | None:
    """The distinct_id as PostHog accepts it, ``None`` if it would refuse it."""
    if distinct_id is None:
        return None
    trimmed = distinct_id.strip()[:MAX_DISTINCT_ID]
    return trimmed if trimmed and trimmed.lower() not in REFUSED else None
