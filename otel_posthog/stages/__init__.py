"""The stages of the pipeline: plain functions over the spans of a batch, each with a result of its own."""
