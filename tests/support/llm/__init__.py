"""A fake LLM: the HTTP APIs of OpenAI, Anthropic and Gemini, with scripted conversations.

``FakeLLM`` serves them, ``SCENARIOS`` is what they say, ``drive`` calls them with the real clients.
"""

from .scenarios import BY_NAME, SCENARIOS, Scenario, ToolCall, Usage
from .server import FakeLLM

__all__ = ["BY_NAME", "SCENARIOS", "FakeLLM", "Scenario", "ToolCall", "Usage"]
