import { EventSource } from "eventsource";
import { watch } from "./watch.js";

watch(EventSource);
