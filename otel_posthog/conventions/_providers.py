"""Provider names: what instrumentations write, in PostHog's vocabulary.

Sources: OpenTelemetry semantic conventions 1.37 ``gen_ai.provider.name`` and its predecessor ``gen_ai.system``;
OpenInference ``llm.provider``; LiteLLM; Vercel AI SDK provider ids; the recordings. Unknown names are kept.
"""

from __future__ import annotations

import re

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
    "google-genai": "gemini",
    "google_ai_studio": "gemini",
    "google-ai-studio": "gemini",
    "googleai": "gemini",
    "gcp.vertex_ai": "vertex_ai",
    "google.vertex": "vertex_ai",
    "google-vertex": "vertex_ai",
    "vertex_ai": "vertex_ai",
    "vertexai": "vertex_ai",
    "mistral": "mistral",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "togetherai": "together",
    "together_ai": "together",
    "x_ai": "xai",
    "xai": "xai",
    "az.ai.agents": "azure",
    "azure.ai.agents": "azure",
    "moonshot_ai": "moonshot",
    "ibm.watsonx.ai": "watsonx",
    "huggingface_hub": "huggingface",
    "hugging_face": "huggingface",
}


# Frameworks that name themselves where the provider belongs, and the name of each.
_FRAMEWORKS = {
    "langchain": "langchain",
    "langgraph": "langgraph",
    "crewai": "crewai",
    "autogen": "autogen",
    "ag2": "ag2",
    "llamaindex": "llamaindex",
    "llama_index": "llamaindex",
    "haystack": "haystack",
    "strands_agents": "strands-agents",
    "strands": "strands-agents",
    "microsoft.agent_framework": "agent-framework",
    "agent_framework": "agent-framework",
    "semantic_kernel": "semantic-kernel",
    "microsoft.semantic_kernel": "semantic-kernel",
    "gcp.vertex.agent": "google-adk",
    "google_adk": "google-adk",
    "openai_agents": "openai-agents",
    "pydantic_ai": "pydantic-ai",
    "smolagents": "smolagents",
    "dspy": "dspy",
    "agno": "agno",
    "livekit": "livekit",
    "pipecat": "pipecat",
    "mastra": "mastra",
    "beeai": "beeai",
    "mirascope": "mirascope",
    "instructor": "instructor",
    "litellm": "litellm",
}

# Hosts of providers' APIs: some libraries write the base URL's host as the provider (LiveKit Agents 1.8).
_HOSTS = (
    ("api.openai.com", "openai"),
    (".openai.azure.com", "azure"),
    (".azure.com", "azure"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("aiplatform.googleapis.com", "vertex_ai"),
    (".amazonaws.com", "bedrock"),
    ("api.mistral.ai", "mistral"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "xai"),
    ("openrouter.ai", "openrouter"),
    ("api.together.xyz", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cerebras.ai", "cerebras"),
)
_HOST = re.compile(
    r"(?:https?://)?([\w-]+(?:\.[\w-]+)*\.(?:com|ai|net|org|io|xyz|dev|cn)|localhost|[\d.]+)(?::\d+)?(?:/.*)?"
)


def provider_of(raw: str | None) -> str | None:
    """PostHog's name for a provider; unknown names in lower case, ``None`` for none."""
    name = (raw or "").strip().lower()
    if not name:
        return None
    known = _NAMES.get(name)
    if known is not None or ("." not in name and name != "localhost"):
        return known or name
    host = _HOST.fullmatch(name)
    if host is not None:
        return next((provider for end, provider in _HOSTS if host[1].endswith(end)), None)
    # Vercel's ids end in the API they speak: openai.chat, openai.responses, anthropic.messages.
    head = name.rpartition(".")[0]
    return _NAMES.get(head) or (head if head.isalpha() else name)


def set_provider(operation: Operation, raw: str | None) -> None:
    """Set the provider, in PostHog's vocabulary, if it is not known yet; a framework's name is not a provider."""
    if raw is None:
        return
    framework = _FRAMEWORKS.get(raw.lower().replace("-", "_").replace(" ", "_"))
    if framework is not None:
        operation.framework = operation.framework or framework
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
    """The provider whose client is instrumented by a scope."""
    if not scope.startswith(("opentelemetry.instrumentation.", "openinference.instrumentation.", "openlit.")):
        return None
    return next((provider for part, provider in _SCOPE_PROVIDERS if part in scope), None)


# The API that a client calls, which some frameworks append to the model (Mirascope 2.8: "openai/gpt-4o:completions").
_APIS = (":completions", ":responses", ":chat")


def model_name(raw: str | None) -> str | None:
    """The model's name without Google's resource path or the name of an API, so that it has a price."""
    if raw is None or (":" not in raw and "/" not in raw):
        return raw
    for api in _APIS:
        raw = raw.removesuffix(api)
    return raw.rpartition("models/")[2] or raw


# Names that say through whom a model is called, not whose it is (official instrumentation of Portkey).
GATEWAYS = frozenset(("portkey", "portkey_ai", "helicone"))

GOOGLE = frozenset(("gemini", "vertex_ai"))

# Prefixes of model names that only one maker uses.
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


# Bedrock's model ids begin with the maker, after an optional region.
_BEDROCK = re.compile(r"(?:[a-z]{2,6}\.)?(?:anthropic|amazon|meta|cohere|mistral|ai21|deepseek|qwen)\.")


def maker_of(model: str | None) -> str | None:
    """The maker of a model, for spans without a provider (Langfuse, MLflow): it decides PostHog's price."""
    name = (model or "").lower()
    if _BEDROCK.match(name):
        return "bedrock"
    route, slash, rest = name.partition("/")
    if slash and (provider := _NAMES.get(route) or _ROUTES.get(route)) is not None:
        return provider
    name = rest.rpartition("/")[2] if slash else name
    return next((maker for prefix, maker in _MAKERS if name.startswith(prefix)), None)


_ROUTES = {maker: maker for _, maker in _MAKERS}
