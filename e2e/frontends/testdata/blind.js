import { createServer } from "node:net";

// blind reports whether fetch takes a response for whole that says Connection: close and is
// broken off.
export async function blind() {
  const server = createServer((socket) => socket.once("data", () => {
    socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n");
  }));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  try {
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
    return await answer.text() === "a";
  } catch {
    return false;
  } finally {
    server.close();
  }
}
