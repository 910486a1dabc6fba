"""The bridge: OTLP from any language, a Collector, Kafka or files, through the same pipeline and delivery."""
