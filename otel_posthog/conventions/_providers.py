"""Provider names: what instrumentations write, in PostHog's vocabulary.

Sources: OpenTelemetry semantic conventions 1.37 ``gen_ai.provider.name`` and its predecessor ``gen_ai.system``;
OpenInference ``llm.provider``; LiteLLM; Vercel AI SDK provider ids; the recordings. Unknown names are kept.
"""

from __future__ import annotations

from otel_posthog._model import Operation

_NAMES = {
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure": "azure",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "azure_ai": "azure",
    "aws": "bedrock",
    "aws.bedrock": "bedrock",
    "amazon-bedrock": "bedrock",
    "amazon_bedrock": "bedrock",
    "bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "gcp": "gemini",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "gemini": "gemini",
    "google": "gemini",
    "google_genai": "gemini",
    "google-gla": "gemini",
    "google_generativeai": "gemini",
    "google.generative-ai": "gemini",
    "gcp.vertex_ai": "vertex_ai",
    "google.vertex": "vertex_ai",
    "google-vertex": "vertex_ai",
    "vertex_ai": "vertex_ai",
    "vertexai": "vertex_ai",
    "mistral": "mistral",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "x_ai": "xai",
    "xai": "xai",
    "moonshot_ai": "moonshot",
    "ibm.watsonx.ai": "watsonx",
    "huggingface_hub": "huggingface",
    "hugging_face": "huggingface",
}


# Frameworks that name themselves where the provider belongs (OpenLLMetry for LangGraph, CrewAI; AutoGen).
FRAMEWORKS = frozenset(("langchain", "langgraph", "crewai", "autogen", "llamaindex", "llama_index", "haystack"))


def provider_of(raw: str | None) -> str | None:
    """PostHog's name for a provider; an unknown one is returned in lower case, nothing stays nothing."""
    if not raw:
        return None
    name = raw.strip().lower()
    known = _NAMES.get(name)
    if known is None and "." in name:
        # Vercel's ids end in the API they speak: openai.chat, openai.responses, anthropic.messages.
        head = name.rpartition(".")[0]
        known = _NAMES.get(head) or (head if head.isalpha() else None)
    return known or name or None


def set_provider(operation: Operation, raw: str | None) -> None:
    """Set the provider, in PostHog's vocabulary, if it is not known yet; a framework's name is no provider."""
    if raw is not None and raw.lower() in FRAMEWORKS:
        operation.framework = operation.framework or raw.lower()
    elif operation.provider is None:
        operation.provider = provider_of(raw)


# Provider by instrumentation scope, for spans whose provider attribute was evicted by attribute limits.
_SCOPE_PROVIDERS = (
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("google_genai", "gemini"),
    ("google_generativeai", "gemini"),
    ("vertexai", "vertex_ai"),
    ("bedrock", "bedrock"),
    ("mistral", "mistral"),
    ("cohere", "cohere"),
    ("groq", "groq"),
    ("ollama", "ollama"),
)


def provider_of_scope(scope: str) -> str | None:
    """The provider whose client an instrumentation scope is about."""
    if not scope.startswith(("opentelemetry.instrumentation.", "openinference.instrumentation.", "openlit.")):
        return None
    return next((provider for part, provider in _SCOPE_PROVIDERS if part in scope), None)


# The API that a client calls, which some frameworks append to the model (Mirascope 2.8: "openai/gpt-4o:completions").
_APIS = (":completions", ":responses", ":chat")


def model_name(raw: str | None) -> str | None:
    """The model's name without Google's resource path or the name of an API, so that it has a price."""
    if raw is None:
        return None
    for api in _APIS:
        raw = raw.removesuffix(api)
    return raw.rpartition("models/")[2] or raw


GOOGLE = frozenset(("gemini", "vertex_ai"))

# Names that one maker alone gives to its models.
_MAKERS = (
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4-", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "gemini"),
    ("mistral-", "mistral"),
    ("command-", "cohere"),
    ("grok-", "xai"),
    ("deepseek-", "deepseek"),
)


def maker_of(model: str | None) -> str | None:
    """Who makes a model, where nothing says who served it (Langfuse, MLflow): PostHog's prices go by it."""
    name = (model or "").lower()
    return next((maker for prefix, maker in _MAKERS if name.startswith(prefix)), None)
