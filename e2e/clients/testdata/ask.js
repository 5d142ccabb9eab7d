// The only argument is the test's request, as JSON. What the client sees goes to
// standard output, as lines of JSON.
export const { url, lastEventId, body, leave } = JSON.parse(process.argv[2]);

export function say(say, event = {}) {
  process.stdout.write(JSON.stringify({ say, ...event }) + "\n");
}

// stay keeps the process alive after it has left a stream, so that the server does not
// notice the process's end instead.
export function stay() {
  say("left");
  process.stdin.resume();
}
