// LangChain.js, instrumented by OpenInference, against the LLM at LLM_URL.
import { setUser } from "@arizeai/openinference-core";
import { LangChainInstrumentation } from "@arizeai/openinference-instrumentation-langchain";
import * as manager from "@langchain/core/callbacks/manager";
import { ChatOpenAI } from "@langchain/openai";
import { context } from "@opentelemetry/api";
import { provider } from "./provider.mjs";

new LangChainInstrumentation({ tracerProvider: provider }).manuallyInstrument(manager);

const model = new ChatOpenAI({
  model: "gpt-4o-mini",
  apiKey: "any",
  configuration: { baseURL: `${process.env.LLM_URL}/v1` },
});
const asUser = setUser(context.active(), { userId: "ada" });
const result = await context.with(asUser, () => model.invoke(process.env.PROMPT));
console.log(result.content);
await provider.shutdown();
