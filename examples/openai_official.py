"""An OpenAI client under OpenTelemetry's official instrumentation, sent to PostHog with one line.

Environment: POSTHOG_API_KEY, POSTHOG_HOST, OPENAI_API_KEY (OPENAI_BASE_URL for a server of your own).
"""

import os

# In its default mode the instrumentation writes prompts and answers in log records, if it is told to.
os.environ.setdefault("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")

from openai import OpenAI
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

import otel_posthog

posthog = otel_posthog.configure()
OpenAIInstrumentor().instrument()

answer = OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "What is the capital of France?"}]
)
print(answer.choices[0].message.content)
posthog.shutdown()
