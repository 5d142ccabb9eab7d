// events reads an event stream from the body of a fetch response, as the HTML
// standard parses one (section 9.2.6), and yields { id, type, data }.
//
// It returns at a clean end, and throws if the response breaks off. An EventSource,
// which reconnects after either, does not tell them apart.
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = ""; // the beginning of an unfinished line
  let afterCR = false;
  let id = "", type = "", data = [];
  try {
    for (;;) {
      let { value, done } = await reader.read();
      if (done) return; // an unfinished event is dropped
      if (value === "") continue;
      if (afterCR && value[0] === "\n") value = value.slice(1);
      afterCR = value.endsWith("\r");
      const lines = (rest + value).split(/\r\n|\r|\n/);
      rest = lines.pop();

      for (const line of lines) {
        if (line === "") {
          if (data.length > 0) yield { id, type: type || "message", data: data.join("\n") };
          type = "";
          data = [];
          continue;
        }
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon);
        const field = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "data") data.push(field);
        else if (name === "event") type = field;
        else if (name === "id" && !field.includes("\0")) id = field;
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // its error is known already
  }
}
