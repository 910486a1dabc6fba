"""An Anthropic client under OpenInference. The Anthropic SDK traces itself too: it is still one call.

Environment: POSTHOG_API_KEY, POSTHOG_HOST, ANTHROPIC_API_KEY (ANTHROPIC_BASE_URL for a server of your own).
"""

from anthropic import Anthropic
from openinference.instrumentation.anthropic import AnthropicInstrumentor

import otel_posthog

posthog = otel_posthog.configure()
AnthropicInstrumentor().instrument()

answer = Anthropic().messages.create(
    model="claude-sonnet-4-5",
    max_tokens=64,
    messages=[{"role": "user", "content": "What is the capital of France?"}],
)
print(answer.content[0].text)  # type: ignore[union-attr]
posthog.shutdown()
