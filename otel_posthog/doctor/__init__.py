"""`otel-posthog doctor`: why nothing shows up in PostHog. Each check is a function that returns lines.

``configuration``, ``instrumentations``, ``network``, ``project_key`` and ``sending`` hold the checks, in this order;
``observer`` runs inside an observed app and ``observation`` reads what it wrote.
"""
