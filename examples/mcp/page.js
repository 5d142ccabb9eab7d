// A page that calls a tool. It has no build: index.html says where the package is.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const client = new Client({ name: "page", version: "1" }, { versionNegotiation: { mode: "auto" } });
const form = document.querySelector("form");
const button = form.querySelector("button");
const bar = document.querySelector("progress");
const says = document.querySelector("main p");

form.addEventListener("submit", async (e) => {
  e.preventDefault();
  button.disabled = true;
  says.className = says.textContent = "";
  try {
    const onprogress = ({ progress, total }) => {
      bar.max = total;
      bar.value = progress;
      says.textContent = `${progress} of ${total}`;
    };
    const { content, isError } = await client.callTool({ name: "report", arguments: {} }, { onprogress });
    says.textContent = content[0].text;
    says.className = isError ? "error" : "";
  } catch (e) {
    says.textContent = e.message;
    says.className = "error";
  }
  button.disabled = false;
});

await client.connect(new StreamableHTTPClientTransport(new URL("mcp", location.href)));
says.textContent = `Connected, with revision ${client.getNegotiatedProtocolVersion()} of the protocol.`;
button.disabled = false;
