// What the test asks for is the only argument, as JSON; what the client sees goes
// to the standard output, a line of JSON each.
export const { url, lastEventId, body, leave } = JSON.parse(process.argv[2]);

export function say(say, event = {}) {
  process.stdout.write(JSON.stringify({ say, ...event }) + "\n");
}

// stay keeps the process alive after it has left a stream, so that its end is not
// what the server notices.
export function stay() {
  say("left");
  process.stdin.resume();
}
