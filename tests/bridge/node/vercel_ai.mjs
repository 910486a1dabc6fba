// The Vercel AI SDK with a tool, its telemetry on, against the LLM at LLM_URL.
import { createOpenAI } from "@ai-sdk/openai";
import { OpenTelemetry } from "@ai-sdk/otel";
import { generateText, registerTelemetry, stepCountIs, tool } from "ai";
import { z } from "zod";
import { provider } from "./provider.mjs";

registerTelemetry(new OpenTelemetry({ runtimeContext: true }));

const openai = createOpenAI({ baseURL: `${process.env.LLM_URL}/v1`, apiKey: "any" });
const result = await generateText({
  model: openai.chat("gpt-4o-mini"),
  prompt: process.env.PROMPT,
  tools: {
    get_weather: tool({
      description: "The weather in a city.",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => ({ city, celsius: 21 }),
    }),
  },
  stopWhen: stepCountIs(3),
  runtimeContext: { userId: "ada" },
  telemetry: { includeRuntimeContext: { userId: true } },
});
console.log(result.text);
await provider.shutdown();
