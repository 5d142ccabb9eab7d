// Calls the tool of each MCP server, as clients before and since revision 2026-07-28 do.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

async function call({ client: mode, base, timeout }) {
  const result = { client: mode, base, text: "", error: "", revision: "" };
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(base + "/mcp"), {
      reconnectionOptions: { initialReconnectionDelay: 10, maxReconnectionDelay: 10, reconnectionDelayGrowFactor: 1, maxRetries: 1 },
    }));
    result.revision = client.getNegotiatedProtocolVersion();
    const { tools } = await client.listTools();
    const seen = [];
    const answer = await client.callTool({ name: tools[0].name, arguments: {} }, {
      onprogress: (p) => seen.push(p.progress), timeout, resetTimeoutOnProgress: false,
    });
    result.text = `${seen.join(" ")}, then ${answer.isError ? "failed: " : ""}${answer.content[0].text}`;
  } catch (e) {
    result.error = `${e.constructor.name}: ${e.message}`;
  }
  await client.close().catch(() => {});
  console.log(JSON.stringify(result));
}

const calls = [];
for await (const line of (await import("node:readline")).createInterface({ input: process.stdin })) calls.push(call(JSON.parse(line)));
await Promise.all(calls);
