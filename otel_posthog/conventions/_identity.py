"""The user and session of a span, from its own attributes or those of its ancestors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog._distinct_ids import usable
from otel_posthog.conventions import posthog
from otel_posthog.conventions._attributes import to_id
from otel_posthog.conventions._placeholders import is_placeholder

# In order of precedence. user.id: semantic conventions, "User attributes"; enduser.id is its older name.
# The last ones: the user that a request to the provider names.
USER_ATTRIBUTES = (*posthog.USER, "user.id", "enduser.id", "litellm.end_user.id", "langwatch.user.id", "gen_ai.user.id",
                   "gen_ai.request.user", "gen_ai.user", "llm.user")  # fmt: skip
SESSION_ATTRIBUTES = (
    *posthog.SESSION,
    "session.id",
    "anthropic.session.id",
    "gen_ai.conversation.id",
    "conversation.id",  # Pipecat
    "gcp.vertex.agent.session_id",
    "langwatch.thread.id",
)

# Prefixes of attributes that an app names itself: Laminar 0.8, Mastra 1.71, Traceloop.
_ASSOCIATIONS = ("lmnr.association.properties.", "mastra.metadata.", "traceloop.association.properties.")
_USER_KEYS = ("user_id", "userId")
_SESSION_KEYS = ("session_id", "sessionId", "conversation_id", "thread_id", "threadId")

_USERS = (*USER_ATTRIBUTES, *(prefix + key for prefix in _ASSOCIATIONS for key in _USER_KEYS))
_SESSIONS = (*SESSION_ATTRIBUTES, *(prefix + key for prefix in _ASSOCIATIONS for key in _SESSION_KEYS))
_USER_NAMES, _SESSION_NAMES = frozenset(_USERS), frozenset(_SESSIONS)
IDENTITY_NAMES = _USER_NAMES | _SESSION_NAMES

# Microsoft Agent Framework writes the id of the previous response as the conversation's.
_RESPONSE_IDS = ("resp_", "chatcmpl-")


def user_in(attributes: Mapping[str, Any]) -> str | None:
    """The distinct_id that a span's attributes name."""
    found = attributes.keys() & _USER_NAMES
    if not found:
        return None
    return next(filter(None, (user_id(attributes[name]) for name in _USERS if name in found)), None)


def session_in(attributes: Mapping[str, Any]) -> str | None:
    """The session that a span's attributes name."""
    found = attributes.keys() & _SESSION_NAMES
    if not found:
        return None
    return next(filter(None, (session_id(attributes[name]) for name in _SESSIONS if name in found)), None)


def user_id(written: Any) -> str | None:
    """The value as a distinct_id, ``None`` if PostHog would refuse it."""
    return usable(_id(written))


def session_id(written: Any) -> str | None:
    """The value as a session id, ``None`` for scrubbed values and response ids."""
    text = _id(written)
    return None if text is None or text.startswith(_RESPONSE_IDS) else text


def _id(value: Any) -> str | None:
    if value is None:
        return None
    try:
        text = to_id(value)
    except Exception:  # no id, or an object that raises when it is looked at
        return None
    return None if is_placeholder(text) else text
