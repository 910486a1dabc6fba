// A Mastra agent with a tool, against the LLM at LLM_URL.
import { createOpenAI } from "@ai-sdk/openai";
import { Mastra } from "@mastra/core";
import { Agent } from "@mastra/core/agent";
import { createTool } from "@mastra/core/tools";
import { Observability } from "@mastra/observability";
import { OtelExporter } from "@mastra/otel-exporter";
import { z } from "zod";

const openai = createOpenAI({ baseURL: `${process.env.LLM_URL}/v1`, apiKey: "any" });
const weather = createTool({
  id: "get_weather",
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, celsius: 21 }),
});
const agent = new Agent({
  id: "forecaster",
  name: "forecaster",
  instructions: "You are a forecaster.",
  model: openai.chat("gpt-4o-mini"),
  tools: { get_weather: weather },
});
const exporter = new OtelExporter({
  provider: { custom: { endpoint: `${process.env.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces`, protocol: "http/protobuf" } },
});
const mastra = new Mastra({
  agents: { forecaster: agent },
  logger: false,
  observability: new Observability({ configs: { otel: { serviceName: "weather", exporters: [exporter] } } }),
});
const result = await mastra.getAgent("forecaster").generate(process.env.PROMPT, {
  tracingOptions: { metadata: { userId: "ada" } },
});
console.log(result.text);
await mastra.shutdown();
