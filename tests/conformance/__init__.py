"""PostHog's own conformance suite for SDKs, run by hand; see adapter.py."""
