// Validates OpenAPI documents, and events against a schema in each of them. Standard input
// has the documents by name, the path of the schema, and the events.
import { readFileSync, writeFileSync } from "node:fs";
import { validate } from "@hyperjump/json-schema/openapi-3-2";

const { documents, path, events } = JSON.parse(readFileSync(0, "utf8"));

// faults returns what is wrong with a value, or null.
async function faults(schema, value) {
  const output = await validate(schema, value, "BASIC");
  return output.valid ? null : output.errors;
}

// faultsOf returns what is wrong with an event. The data is JSON if its schema says so, and
// then it has a schema of its own.
async function faultsOf(at, count, event) {
  const wrong = await faults(at, event);
  for (let i = 0; !wrong && i < count; i++) {
    const type = `${at}/oneOf/${i}`;
    const content = `${type}/properties/data/contentSchema`;
    if (!(await faults(type, event)) && (await defined(content))) return faults(content, JSON.parse(event.data));
  }
  return wrong;
}

async function defined(schema) {
  try {
    await validate(schema);
    return true;
  } catch {
    return false;
  }
}

const answers = {};
for (const [name, text] of Object.entries(documents)) {
  const document = JSON.parse(text);
  const answer = { document: await faults("https://spec.openapis.org/oas/3.2/schema-base", document), events: [] };
  answers[name] = answer;
  if (answer.document) continue;
  writeFileSync(`${name}.openapi.json`, text);
  const steps = path.split("/").slice(1);
  const item = steps.reduce((value, step) => value[step.replaceAll("~1", "/")], document);
  for (const event of events) answer.events.push(await faultsOf(`./${name}.openapi.json#${path}`, item.oneOf.length, event));
}
console.log(JSON.stringify(answers));
