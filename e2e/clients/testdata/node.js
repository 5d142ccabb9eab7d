// Run this with --experimental-eventsource.
import { watch } from "./watch.js";

watch(globalThis.EventSource);
