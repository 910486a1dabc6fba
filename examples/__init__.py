"""Programs that show how to use otel_posthog; each runs against the local PostHog and a fake LLM."""
