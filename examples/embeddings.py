"""Embeddings become ``$ai_embedding`` events.

Environment: POSTHOG_API_KEY, POSTHOG_HOST, OPENAI_API_KEY (OPENAI_BASE_URL for a server of your own).
"""

from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor

import otel_posthog

posthog = otel_posthog.configure()
OpenAIInstrumentor().instrument()

vectors = OpenAI().embeddings.create(model="text-embedding-3-small", input=["alpha particle", "beta decay"])
print(len(vectors.data), "vectors")
posthog.shutdown()
