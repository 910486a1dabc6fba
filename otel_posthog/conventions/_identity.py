"""The attributes that name the user and the session, in order of precedence."""

from __future__ import annotations

from otel_posthog.conventions import posthog

# user.id: semantic conventions, "User attributes"; enduser.id is its older name.
USER_ATTRIBUTES = (*posthog.USER, "user.id", "enduser.id")
SESSION_ATTRIBUTES = (*posthog.SESSION, "session.id", "anthropic.session.id", "gen_ai.conversation.id")
