"""PostHog beside the backend that you have: both see the spans, neither knows of the other.

Environment: POSTHOG_API_KEY, POSTHOG_HOST, OPENAI_API_KEY, and OTEL_EXPORTER_OTLP_ENDPOINT for the other backend.
"""

from openai import OpenAI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_posthog import PostHogSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
provider.add_span_processor(PostHogSpanProcessor())
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument()

OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "What is the capital of France?"}]
)
provider.shutdown()
