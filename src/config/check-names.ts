/** config/check-names.ts: parameters nobody knows, and $names nobody defines. Those that only Postfix looks at are
 *  without-effect.ts. */
import { nearestName } from "./edit-distance.ts";
import { POSTFIX_NAMES } from "./postfix-names.ts";
import { type ParameterName, REGISTRY } from "./registry.ts";
import type { Assignment, ConfigSnapshot, Problem, ServiceEntry, SourceRef } from "./snapshot.ts";
import { checkWithoutEffect, isWithoutEffect } from "./without-effect.ts";

/** Parameters that exist once for each transport or service, with its name in front: the shortest, so that
 *  smtp_destination_recipient_limit is of smtp. */
const PER_SERVICE =
  /^(.+?)_(?:(?:initial_)?destination_\w+|transport_rate_delay|delivery_slot_\w+|minimum_delivery_slots|(?:extra_)?recipient_(?:limit|refill_\w+)|time_limit|service_name)$/;

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
  const problems = [...checkWithoutEffect(all), ...all.flatMap((assignment) => checkName(assignment, usage))];
  problems.push(...snapshot.services.flatMap(checkLimits));
  const everywhere = new Set([...all.map(({ name }) => name), ...snapshot.builtins.keys()]);
  for (const assignment of snapshot.mainCf) problems.push(...checkReferences(assignment, { defined: everywhere }));
  for (const service of snapshot.services) problems.push(...checkServiceReferences(snapshot, service));
  return problems;
}

/** The limits that belong to whoever schedules, and are read from main.cf. */
const LIMIT_OF_TRANSPORT = /^.+?_((?:initial_)?destination_(?:concurrency|recipient|rate)_\w+|transport_rate_delay)$/;

/** In a transport's `-o` they look as if they were for it alone. Postfix does not read them there, either. */
function checkLimits({ name: service, overrides }: ServiceEntry): readonly Problem[] {
  return overrides.flatMap(({ name, at }): readonly Problem[] => {
    const limit = LIMIT_OF_TRANSPORT.exec(name)?.[1];
    if (limit === undefined) return [];
    const text = `${name} has no effect in master.cf: limits of transports are read from main.cf`;
    return [{ severity: "warning", at, text, hint: `set ${service}_${limit} there` }];
  });
}

function usageOf(snapshot: ConfigSnapshot, all: readonly Assignment[]): Usage {
  const args = snapshot.services.flatMap((service) => service.args);
  const defaults = Object.values(REGISTRY).map((declaration) => declaration.default);
  const texts = [...all.map(({ value }) => value), ...args, ...defaults];
  const classes = all.filter(({ name }) => name === "smtpd_restriction_classes").flatMap(({ value }) => words(value));
  return {
    referenced: new Set(texts.flatMap((text) => referencesIn(text).map(({ name }) => name))),
    classes: new Set(classes),
    services: new Set([...TRANSPORTS, ...snapshot.services.map(({ name }) => name)]),
    databases: texts.flatMap((text) => Array.from(text.matchAll(DATABASE_CLIENT), (match) => `${match[1]}_`)),
  };
}

/** Whether something looks at a parameter of an undeclared name. */
function isUsed(name: string, usage: Usage): boolean {
  if (usage.referenced.has(name) || usage.classes.has(name)) return true;
  if (usage.databases.some((prefix) => name.startsWith(prefix))) return true;
  const owner = PER_SERVICE.exec(name)?.[1];
  return owner !== undefined && usage.services.has(owner);
}

/** Names in main.cf that nobody looks at, Postfix neither. */
export function unusedNames(snapshot: ConfigSnapshot): ReadonlySet<string> {
  const usage = usageOf(snapshot, [...snapshot.mainCf, ...snapshot.services.flatMap(({ overrides }) => overrides)]);
  const names = snapshot.mainCf.map(({ name }) => name).filter((name) => !Object.hasOwn(REGISTRY, name));
  return new Set(names.filter((name) => !isWithoutEffect(name) && !isUsed(name, usage)));
}

/** Names that are set and change nothing: nobody's, or Postfix's for what is not done here. */
export function namesWithoutEffect(snapshot: ConfigSnapshot): ReadonlySet<string> {
  const all = [...snapshot.mainCf, ...snapshot.services.flatMap(({ overrides }) => overrides)];
  const usage = usageOf(snapshot, all);
  const undeclared = all.map(({ name }) => name).filter((name) => !Object.hasOwn(REGISTRY, name));
  return new Set(undeclared.filter((name) => isWithoutEffect(name) || !isUsed(name, usage)));
}

function words(value: string): readonly string[] {
  return value.split(/[\s,]+/).filter(Boolean);
}

function checkName({ name, value, at }: Assignment, usage: Usage): Problem[] {
  if (Object.hasOwn(REGISTRY, name) || isWithoutEffect(name) || isUsed(name, usage)) return [];
  const near = nearestName(name, [...Object.keys(REGISTRY), ...POSTFIX_NAMES]);
  const hint = near === undefined ? undefined : `did you mean ${near}?`;
  return [{ severity: "warning", at, text: `unused parameter: ${name}=${value}`, hint }];
}

/** What another service defines does not count here. */
function checkServiceReferences(snapshot: ConfigSnapshot, { name, overrides }: ServiceEntry): Problem[] {
  const own = [...snapshot.mainCf, ...overrides].map((assignment) => assignment.name);
  const defined = new Set([...own, ...snapshot.builtins.keys()]);
  return overrides.flatMap((assignment) => {
    const hidden = snapshot.mainCf.findLast((earlier) => earlier.name === assignment.name);
    const where = { service: name, hidden: hidden?.value === "" ? undefined : hidden?.at };
    return checkReferences(assignment, { defined, where });
  });
}

interface ReferenceScope {
  readonly defined: ReadonlySet<string>;
  /** Of an `-o` option: its service, and the line of main.cf that it overrides with something. */
  readonly where?: { readonly service: string; readonly hidden: SourceRef | undefined };
}

/** Warns of `$name` that expands to nothing because nobody defines it. A choice on it (`${name?…}`) is no mistake. */
function checkReferences({ name, value, at }: Assignment, { defined, where }: ReferenceScope): Problem[] {
  const declared = Object.hasOwn(REGISTRY, name);
  const expandedLater = declared && REGISTRY[name as ParameterName].raw === true;
  if (expandedLater || (!declared && POSTFIX_NAMES.has(name))) return [];
  const unknown = referencesIn(value).filter(
    (reference) => !reference.conditional && !isKnown(reference.name, defined),
  );
  const emptied = where && unknown.length > 0 && words(value).length === unknown.length;
  return unknown.map((reference) => ({
    severity: "warning",
    at,
    text: `undefined parameter: ${reference.name}`,
    hint: emptied ? emptiedText(name, where) : `$${reference.name} in ${name} expands to nothing`,
  }));
}

/** `-o smtpd_client_restrictions=$mua_client_restrictions` of a stock master.cf, and no such parameter in main.cf. */
function emptiedText(name: string, { service, hidden }: NonNullable<ReferenceScope["where"]>): string {
  const text = `${name} is empty in service "${service}"`;
  return hidden ? `${text}: what ${hidden.file}:${hidden.line} says is not used there` : text;
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
