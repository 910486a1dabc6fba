"""The real clients through the scenarios, with a record of each call: the way in.

Each function calls a fake LLM at ``base_url`` (as ``FakeLLM.url``) and returns what a recording
has under ``calls``. A client is imported when it is driven, so that none has to be installed.

with FakeLLM() as llm:
    calls = drive_openai_chat(llm.url, ["plain", "err429"], exporter_ids)
"""

from .drive_anthropic import ANTHROPIC_STEPS, drive_anthropic
from .drive_frameworks import drive_langchain, drive_pydantic_ai
from .drive_gemini import GEMINI_STEPS, drive_gemini
from .drive_openai import (
    CHAT_STEPS,
    EMBEDDING_STEPS,
    drive_openai_chat,
    drive_openai_embeddings,
)
from .drive_responses import RESPONSES_STEPS, drive_openai_responses
from .steps import Record, SpanIds, Step

__all__ = [
    "ANTHROPIC_STEPS",
    "CHAT_STEPS",
    "EMBEDDING_STEPS",
    "GEMINI_STEPS",
    "RESPONSES_STEPS",
    "Record",
    "SpanIds",
    "Step",
    "drive_anthropic",
    "drive_gemini",
    "drive_langchain",
    "drive_openai_chat",
    "drive_openai_embeddings",
    "drive_openai_responses",
    "drive_pydantic_ai",
]
