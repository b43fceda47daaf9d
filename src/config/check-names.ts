/** config/check-names.ts: parameters nobody knows, parameters without effect here, and $names nobody defines. */
import { nearestName } from "./edit-distance.ts";
import { POSTFIX_NAMES } from "./postfix-names.ts";
import { type ParameterName, REGISTRY } from "./registry.ts";
import type { Assignment, ConfigSnapshot, Problem } from "./snapshot.ts";

/** Parameters that exist once for each transport or service, with its name in front. */
const PER_SERVICE =
  /^(.+)_(?:(?:initial_)?destination_\w+|transport_rate_delay|delivery_slot_\w+|minimum_delivery_slots|(?:extra_)?recipient_(?:limit|refill_\w+)|time_limit|service_name)$/;

const TRANSPORTS = ["smtp", "relay", "lmtp", "local", "virtual", "error", "retry", "discard"];

/** Clients of databases that take their settings from main.cf as `<name>_<setting>`. */
const DATABASE_CLIENT = /\b(?:ldap|mysql|pgsql|sqlite|memcache|mongodb):(\w+)/g;

const REFERENCE = /\$\$|\$(?:[{(]\s*)?([A-Za-z0-9_]+)(\s*[?:])?/g;

/** The names in one configuration that need no declaration, because something uses them. */
interface Usage {
  readonly referenced: ReadonlySet<string>;
  readonly classes: ReadonlySet<string>;
  readonly services: ReadonlySet<string>;
  readonly databases: readonly string[];
}

export function checkNames(snapshot: ConfigSnapshot): Problem[] {
  const all = [...snapshot.mainCf, ...snapshot.services.flatMap(({ overrides }) => overrides)];
  const usage = usageOf(snapshot, all);
  const problems = all.flatMap((assignment) => checkName(assignment, usage));
  const defined = new Set([...all.map(({ name }) => name), ...snapshot.builtins.keys()]);
  for (const assignment of all) problems.push(...checkReferences(assignment, defined));
  return problems;
}

function usageOf(snapshot: ConfigSnapshot, all: readonly Assignment[]): Usage {
  const args = snapshot.services.flatMap((service) => service.args);
  const texts = [...all.map(({ value }) => value), ...args];
  const classes = all.filter(({ name }) => name === "smtpd_restriction_classes").flatMap(({ value }) => words(value));
  return {
    referenced: new Set(texts.flatMap((text) => referencesIn(text).map(({ name }) => name))),
    classes: new Set(classes),
    services: new Set([...TRANSPORTS, ...snapshot.services.map(({ name }) => name)]),
    databases: texts.flatMap((text) => Array.from(text.matchAll(DATABASE_CLIENT), (match) => `${match[1]}_`)),
  };
}

function words(value: string): readonly string[] {
  return value.split(/[\s,]+/).filter(Boolean);
}

function checkName({ name, value, at }: Assignment, usage: Usage): Problem[] {
  if (Object.hasOwn(REGISTRY, name)) return [];
  if (POSTFIX_NAMES.has(name)) {
    return [{ severity: "warning", at, text: `parameter ${name} is known to Postfix but has no effect here` }];
  }
  if (usage.referenced.has(name) || usage.classes.has(name)) return [];
  if (usage.databases.some((prefix) => name.startsWith(prefix))) return [];
  const owner = PER_SERVICE.exec(name)?.[1];
  if (owner !== undefined && usage.services.has(owner)) return [];
  const near = nearestName(name, [...Object.keys(REGISTRY), ...POSTFIX_NAMES]);
  const hint = near === undefined ? undefined : `did you mean ${near}?`;
  return [{ severity: "warning", at, text: `unused parameter: ${name}=${value}`, hint }];
}

/** Warns of `$name` that expands to nothing because nobody defines it. A choice on it (`${name?…}`) is no mistake. */
function checkReferences({ name, value, at }: Assignment, defined: ReadonlySet<string>): Problem[] {
  const declared = Object.hasOwn(REGISTRY, name);
  const expandedLater = declared && REGISTRY[name as ParameterName].raw === true;
  if (expandedLater || (!declared && POSTFIX_NAMES.has(name))) return [];
  return referencesIn(value)
    .filter((reference) => !reference.conditional && !isKnown(reference.name, defined))
    .map((reference) => ({
      severity: "warning",
      at,
      text: `undefined parameter: ${reference.name}`,
      hint: `$${reference.name} in ${name} expands to nothing`,
    }));
}

function isKnown(name: string, defined: ReadonlySet<string>): boolean {
  return defined.has(name) || Object.hasOwn(REGISTRY, name) || POSTFIX_NAMES.has(name);
}

/** `$name` words of any text. */
export function referencesIn(text: string): readonly { readonly name: string; readonly conditional: boolean }[] {
  const found = [];
  for (const match of text.matchAll(REFERENCE)) {
    if (match[1] === undefined) continue;
    const bracketed = /^\$[{(]/.test(match[0]);
    found.push({ name: match[1], conditional: bracketed && match[2] !== undefined });
  }
  return found;
}
