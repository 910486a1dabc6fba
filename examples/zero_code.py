"""An app that knows nothing of telemetry. The environment does it all:

    OTEL_TRACES_EXPORTER=posthog OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true \\
    POSTHOG_API_KEY=phc_… opentelemetry-instrument python -m examples.zero_code
"""

from openai import OpenAI

answer = OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "What is the capital of France?"}]
)
print(answer.choices[0].message.content)
