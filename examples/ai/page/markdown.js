// render makes elements of the Markdown that models write: paragraphs, headings, lists,
// quotes, code, bold and italics. It never makes HTML of the text, so the text can be
// anything, and it may end anywhere.
export function render(text) {
  const out = document.createDocumentFragment();
  const add = (name, parent = out) => parent.appendChild(document.createElement(name));
  let open; // the list, quote or paragraph that the next line may belong to
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const item = /^\s*(?:[-*]|(\d+)[.)])\s+(.*)/.exec(line);
    const heading = /^#{1,6}\s+(.*)/.exec(line);
    const quote = /^>\s?(.*)/.exec(line);
    if (/^\s*```/.test(line)) {
      const end = lines.findIndex((l, n) => n > i && /^\s*```\s*$/.test(l));
      const last = end < 0 ? lines.length : end;
      add("code", add("pre")).textContent = lines.slice(i + 1, last).join("\n");
      i = last;
      open = undefined;
    } else if (line.trim() === "") {
      if (!/^\s*(?:[-*]|\d+[.)])\s/.test(lines[i + 1] ?? "")) open = undefined;
    } else if (heading) {
      inline(add("h3"), heading[1]);
      open = undefined;
    } else if (item) {
      const name = item[1] ? "OL" : "UL";
      if (open?.tagName !== name) {
        open = add(name);
        if (item[1]) open.start = Number(item[1]);
      }
      inline(add("li", open), item[2]);
    } else if (quote) {
      if (open?.tagName !== "BLOCKQUOTE") open = add("blockquote");
      else add("br", open);
      inline(open, quote[1]);
    } else {
      if (open?.tagName !== "P") open = add("p");
      else open.append("\n");
      inline(open, line);
    }
  }
  return out;
}

function inline(parent, text) {
  for (const part of text.split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)/)) {
    const [mark] = /^(`|\*\*|\*)/.exec(part) ?? [];
    const name = { "`": "code", "**": "strong", "*": "em" }[mark];
    if (!name || !part.endsWith(mark) || part.length <= 2 * mark.length) parent.append(part);
    else parent.appendChild(document.createElement(name)).textContent = part.slice(mark.length, -mark.length);
  }
}
