"""The bridge's subcommands of `otel-posthog`, a file each."""
