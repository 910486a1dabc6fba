"""An app that knows nothing of telemetry. The environment does it all:

export POSTHOG_API_KEY=phc_… OTEL_TRACES_EXPORTER=posthog OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none
opentelemetry-instrument python -m examples.zero_code
"""

from openai import OpenAI

answer = OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "What is the capital of France?"}]
)
print(answer.choices[0].message.content)
