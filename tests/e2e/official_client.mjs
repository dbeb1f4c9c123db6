// Every kind of call through the official JavaScript client; prints one JSON object of what it made of the answers.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0, timeout: 30000 });
const hello = [{ role: "user", content: "hello" }];
const lost = [{ role: "user", content: "my card was stolen" }];
const tools = ["weather", "forecast"].map((name) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: {} } },
}));
const found = {};

const chat = await client.chat.completions.create({
  model: "far", messages: hello, n: 3, logprobs: true, my_field: [1, { b: null }],
});
found.chat = chat.choices.map((choice) => choice.message.content);
found.tokens = chat.choices[2].logprobs.content.map((each) => each.token);
found.extra = chat.x_extra;
found.asked = chat.asked.my_field;

let said = "";
const stream = await client.chat.completions.create({
  model: "far", messages: hello, stream: true, stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  said += chunk.choices[0]?.delta?.content ?? "";
  found.usage = chunk.usage?.total_tokens;
}
found.streamed = said;

const called = await client.chat.completions.create({ model: "far", messages: hello, tools });
found.tools = called.choices[0].message.tool_calls.map((call) => [call.function.name, call.function.arguments]);
const runner = client.chat.completions.stream({ model: "far", messages: hello, tools });
const final = await runner.finalChatCompletion();
found.streamedTools = final.choices[0].message.tool_calls.map((call) => call.function.arguments);

const properties = { name: { type: "string" }, country: { type: "string" } };
const schema = { name: "city", schema: { type: "object", properties } };
const parsed = await client.chat.completions.parse({
  model: "far", messages: hello, response_format: { type: "json_schema", json_schema: schema },
});
found.parsed = JSON.parse(parsed.choices[0].message.content);

const days = [];
const running = client.chat.completions.runTools(
  {
    model: "far",
    messages: hello,
    tools: tools.map((tool) => ({
      type: "function",
      function: { ...tool.function, parse: JSON.parse, function: (given) => { days.push(given.days); return "sunny"; } },
    })),
  },
  { maxChatCompletions: 1 },
);
await running.done().catch(() => {});
found.runTools = days.slice(0, 2);

found.local = (await client.chat.completions.create({ model: "auto", messages: lost })).choices[0].message.content;
const completion = await client.completions.create({
  model: "loans", prompt: ["apply for a mortgage", "repay my loan early"],
});
found.completion = completion.choices.map((choice) => choice.text);
const vector = (await client.embeddings.create({ model: "cards", input: "my card was stolen" })).data[0].embedding;
found.embedding = vector.reduce((sum, each) => sum + each * each, 0);
const response = client.responses.stream({ model: "cards", input: "my card was stolen" });
const kinds = [];
for await (const event of response) kinds.push(event.type);
found.response = [(await response.finalResponse()).output_text, kinds[0], kinds.at(-1)];
found.models = [];
for await (const model of client.models.list()) found.models.push(model.id);

found.errors = {};
for (const [model, change] of [["nope", {}], ["cards", { n: 2 }], ["busy", {}]]) {
  try {
    await client.chat.completions.create({ model, messages: lost, ...change });
  } catch (error) {
    found.errors[model] = [error.status, error.code, error.constructor.name];
  }
}

const aborting = new AbortController();
try {
  const endless = await client.chat.completions.create({ model: "far", messages: hello, stream: true }, { signal: aborting.signal });
  aborting.abort();
  for await (const chunk of endless) void chunk;
  found.aborted = aborting.signal.aborted;
} catch (error) {
  found.aborted = error instanceof OpenAI.APIUserAbortError;
}
console.log(JSON.stringify(found));
