// To be run with --experimental-eventsource.
import { watch } from "./watch.js";

watch(globalThis.EventSource);
