// Calls a tool of each MCP server.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

async function call({ base, timeout }) {
  const result = { client: "mcp", base, text: "", error: "" };
  const client = new Client({ name: "test", version: "1" });
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(base + "/mcp"), {
      reconnectionOptions: { initialReconnectionDelay: 10, maxReconnectionDelay: 10, reconnectionDelayGrowFactor: 1, maxRetries: 1 },
    }));
    const seen = [];
    const answer = await client.callTool({ name: "count", arguments: {} }, {
      onprogress: (p) => seen.push(p.progress), timeout, resetTimeoutOnProgress: false,
    });
    result.text = `${seen.join(" ")}, then ${answer.content[0].text}`;
  } catch (e) {
    result.error = `${e.constructor.name}: ${e.message}`;
  }
  await client.close().catch(() => {});
  console.log(JSON.stringify(result));
}

const calls = [];
for await (const line of (await import("node:readline")).createInterface({ input: process.stdin })) calls.push(call(JSON.parse(line)));
await Promise.all(calls);
