"""Which distinct_ids PostHog takes. One that it refuses counts as none, wherever it was stated."""

from __future__ import annotations

# distinct_ids that PostHog refuses, in any case: they come from bugs and would merge strangers into one person.
# Source: PostHog documentation "Identifying users", and posthog.md section 4.
REFUSED = frozenset(
    ("anonymous", "guest", "none", "null", "undefined", "true", "false", "0", "id", "user", "system", "backend",
     "email", "distinct_id", "distinctid", "not_authenticated", "[object object]", "nan", "nil", "''", '""')
)  # fmt: skip
MAX_DISTINCT_ID = 200  # characters; PostHog truncates longer ones


def usable(distinct_id: str | None) -> str | None:
    """The distinct_id as PostHog takes it, nothing if it refuses it."""
    if distinct_id is None:
        return None
    trimmed = distinct_id.strip()[:MAX_DISTINCT_ID]
    return trimmed if trimmed and trimmed.lower() not in REFUSED else None
