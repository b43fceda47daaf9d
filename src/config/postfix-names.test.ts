/** Tests of config/postfix-names.ts and of the registry as a whole. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { parametersOf } from "./parameters.ts";
import { POSTFIX_NAMES } from "./postfix-names.ts";
import { type ParameterName, REGISTRY } from "./registry.ts";

const NAMES = Object.keys(REGISTRY) as ParameterName[];

test("POSTFIX_NAMES holds names and nothing else", () => {
  assert.ok(POSTFIX_NAMES.size > 800);
  for (const name of POSTFIX_NAMES) assert.match(name, /^[A-Za-z0-9_]+$/);
});

test("REGISTRY: every parameter is declared in one file, and every file is in it", async () => {
  const directory = new URL("params/", import.meta.url);
  const files = readdirSync(directory).filter((name) => /(?<!\.test)\.ts$/.test(name));
  const groups: Record<string, object> = {};
  for (const file of files) {
    const exported: Record<string, object> = await import(new URL(file, directory).href);
    for (const [name, value] of Object.entries(exported)) {
      if (name.endsWith("_PARAMETERS")) groups[`${file} ${name}`] = value;
    }
  }
  const owners = new Map<string, string>();
  const twice: string[] = [];
  for (const [group, parameters] of Object.entries(groups)) {
    for (const name of Object.keys(parameters)) {
      const owner = owners.get(name);
      if (owner) twice.push(`${name}: ${owner} and ${group}`);
      owners.set(name, group);
    }
  }
  assert.deepEqual(twice, []);
  assert.equal(owners.size, NAMES.length);
});

test("REGISTRY: a parameter is Postfix's if Postfix has its name, ours if not", () => {
  const wrong = NAMES.filter((name) => (REGISTRY[name].origin === "postfix") !== POSTFIX_NAMES.has(name));
  assert.deepEqual(wrong, []);
});

test("REGISTRY: every default is a value of its own type, at every compatibility level", () => {
  for (const level of ["0", "1", "2", "3.6"]) {
    const params = parametersOf({ compatibility_level: level });
    for (const name of NAMES) assert.doesNotThrow(() => params.get(name), `${name} at level ${level}`);
  }
});

test("REGISTRY: every parameter is documented", () => {
  for (const name of NAMES) assert.ok(REGISTRY[name].doc.length > 10, name);
});

test("postern_workers is a number of processes or auto", () => {
  const workers = (text: string) => parametersOf({ postern_workers: text }).get("postern_workers");
  assert.deepEqual([workers("auto"), workers("AUTO"), workers("0"), workers("64")], ["auto", "auto", 0, 64]);
  assert.throws(() => workers("65"), /invalid postern_workers parameter value 65 > 64/);
  assert.throws(() => workers("many"), /bad numerical configuration: postern_workers = many/);
});

test("compatibility_level decides the defaults that depend on it", () => {
  const at = (level: string) => {
    const params = parametersOf({ compatibility_level: level });
    return [params.get("smtputf8_enable"), params.get("mynetworks_style")];
  };
  assert.deepEqual(at("0"), [false, "subnet"]);
  assert.deepEqual(at("1"), [true, "subnet"]);
  assert.deepEqual(at("3.5.9"), [true, "host"]);
  assert.deepEqual(at("3.6"), [true, "host"]);
  assert.throws(
    () => parametersOf({ compatibility_level: "new" }).get("compatibility_level"),
    /bad compatibility level/,
  );
});

test("syslog_name is postfix", () => {
  assert.equal(parametersOf({}).get("syslog_name"), "postfix");
});
