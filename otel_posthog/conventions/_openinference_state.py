"""Input and output of OpenInference spans other than text generations."""

from __future__ import annotations

from otel_posthog._model import Json, Message
from otel_posthog.conventions._attributes import Attributes, parse_json, to_str
from otel_posthog.conventions._indexed import listed, nested
from otel_posthog.conventions._json import loads
from otel_posthog.conventions._langchain import content_of_message
from otel_posthog.conventions._messages import messages_of


def value_of(attributes: Attributes, side: str) -> Json:
    """The raw payload; with the type JSON a text is quoted."""
    value = attributes.take(parse_json, f"{side}.value")
    if isinstance(value, str) and value[:1] == '"' and attributes.peek(f"{side}.mime_type") == "application/json":
        try:
            return loads(value)
        except ValueError:
            return value
    return value


def arguments_of(value: Json) -> Json:
    """What a tool was called with, without the names of Python's own parameters."""
    if not isinstance(value, dict) or not value.keys() <= {"args", "kwargs", "sanitize_inputs_outputs"}:
        return value
    return value.get("args") or value.get("kwargs") if not (value.get("args") and value.get("kwargs")) else value


def result_of(value: Json) -> Json:
    """What a step returned, without LangChain's envelope."""
    inner = value["output"] if isinstance(value, dict) and value.keys() == {"output"} else value
    found = content_of_message(inner)
    return value if found is inner else found


def documents_of(attributes: Attributes, prefix: str) -> Json:
    found = listed(nested(attributes.take_prefix(prefix)))
    documents = [item.get("document", item) if isinstance(item, dict) else item for item in found]
    for document in documents:
        if isinstance(document, dict) and isinstance(document.get("metadata"), str):
            document["metadata"] = parse_json(document["metadata"])
    return documents or None


def embedded_texts(attributes: Attributes) -> list[Message] | None:
    """The embedded texts, without the vectors."""
    texts = []
    for item in listed(nested(attributes.take_prefix("embedding.embeddings."))):
        embedding = item.get("embedding") if isinstance(item, dict) else None
        if isinstance(embedding, dict) and isinstance(embedding.get("text"), str):
            texts.append(embedding["text"])
    single = attributes.take(to_str, "embedding.text")
    attributes.drop("embedding.vector")
    return messages_of(texts or ([single] if single else None))
