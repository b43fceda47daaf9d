/** config/compare-parameters.ts: which parameters mean something else under a new configuration, and for which services.
 *  Compared is the value that takes effect: -o options over main.cf over defaults, `$name` expanded, parsed as declared. So
 *  order of lines, comments, white space, `1h` for `3600s`, and a value said by way of another parameter are no change. */
import { namesWithoutEffect, referencesIn } from "./check-names.ts";
import type { ServicePair } from "./compare-services.ts";
import { type Declaration, ParameterError, splitList } from "./declare.ts";
import type { Parameters } from "./parameters.ts";
import { POSTFIX_NAMES } from "./postfix-names.ts";
import { type ParameterName, REGISTRY } from "./registry.ts";
import { scopeOf } from "./scope.ts";
import type { ConfigSnapshot, SourceRef } from "./snapshot.ts";

export interface EffectiveValue {
  /** As it takes effect; list items with ", " between, a restriction and its argument with " ". Passwords are hidden. */
  readonly text: string;
  /** Where it was set; undefined: the default applies. */
  readonly at: SourceRef | undefined;
}

export interface ParameterChange {
  readonly name: string;
  readonly before: EffectiveValue;
  readonly after: EffectiveValue;
  /** In main.cf, and so for all services but `except`; false: only for `services`. */
  readonly general: boolean;
  /** Services whose own options make the same change. Names of the new master.cf. */
  readonly services: readonly string[];
  /** Services whose own options keep the value. */
  readonly except: readonly string[];
  /** Waits for a stop and start. */
  readonly restart: boolean;
  /** False: nobody looks at it, or it is Postfix's and without effect here. */
  readonly effect: boolean;
}

/** Follow from where and how the configuration is read. */
const COMPUTED: ReadonlySet<string> = new Set(["config_directory", "mail_version", "process_name", "service_name"]);

/** Lists that are sets as long as no item excludes others. */
const SETS =
  /^(?:my(?:destination|networks)|(?:relay|virtual_alias|virtual_mailbox|masquerade|fast_flush)_domains|smtpd_discard_ehlo_keywords|smtpd_authorized_\w+_hosts|\w+_(?:exceptions|exclusions|networks)|debug_peer_list|parent_domain_matches_subdomains|smtpd_restriction_classes)$/;

const SECRET = /_(?:pw|password|passwd)$/;

interface Compared extends EffectiveValue {
  /** Equal for equal meanings. */
  readonly key: string;
}

interface ScopePair {
  /** undefined: main.cf alone. */
  readonly service: string | undefined;
  readonly before: Parameters;
  readonly after: Parameters;
}

/** Sorted by name. Bad values are compared as text: check reports them. */
export function compareParameters(
  before: ConfigSnapshot,
  after: ConfigSnapshot,
  pairs: readonly ServicePair[],
): readonly ParameterChange[] {
  const withOptions = pairs.filter((pair) => pair.before.overrides.length > 0 || pair.after.overrides.length > 0);
  const main: ScopePair = { service: undefined, before: scopeOf(before), after: scopeOf(after) };
  const scopes: ScopePair[] = withOptions.map((pair) => ({
    service: pair.after.name,
    before: scopeOf(before, pair.before),
    after: scopeOf(after, pair.after),
  }));
  const names = [...comparedNames(before, after)].sort();
  const idle = new Set([...namesWithoutEffect(before), ...namesWithoutEffect(after)]);
  return names.flatMap((name) => changesOf(name, main, scopes)).map((c) => ({ ...c, effect: !idle.has(c.name) }));
}

/** Declared ones, and of the operator's own those that are not only there for `$name`. */
function comparedNames(...snapshots: readonly ConfigSnapshot[]): ReadonlySet<string> {
  const all = snapshots.flatMap((snapshot) => [
    ...snapshot.mainCf,
    ...snapshot.services.flatMap(({ overrides }) => overrides),
  ]);
  const texts = [
    ...all.map(({ value }) => value),
    ...snapshots.flatMap(({ services }) => services.flatMap(({ args }) => args)),
  ];
  const referenced = new Set(texts.flatMap((text) => referencesIn(text).map(({ name }) => name)));
  const classes = all.filter(({ name }) => name === "smtpd_restriction_classes");
  const own = all.map(({ name }) => name).filter((name) => !referenced.has(name));
  const names = new Set([...Object.keys(REGISTRY), ...own]);
  for (const { value } of classes) for (const name of value.split(/[\s,]+/)) if (name !== "") names.add(name);
  for (const name of COMPUTED) names.delete(name);
  return names;
}

function changesOf(
  name: string,
  main: ScopePair,
  scopes: readonly ScopePair[],
): readonly Omit<ParameterChange, "effect">[] {
  const [before, after] = [effectiveValue(main.before, name), effectiveValue(main.after, name)];
  const general = before.key !== after.key;
  const restart = declarationOf(name)?.restart === true;
  const groups = new Map<string, { before: Compared; after: Compared; services: string[] }>();
  const except: string[] = [];
  for (const scope of scopes) {
    const own = { before: effectiveValue(scope.before, name), after: effectiveValue(scope.after, name) };
    const service = scope.service ?? "";
    const key = JSON.stringify([own.before.key, own.after.key]);
    if (own.before.key === own.after.key) {
      if (general) except.push(service);
    } else if (!general || key !== JSON.stringify([before.key, after.key])) {
      const group = groups.get(key);
      if (group) group.services.push(service);
      else groups.set(key, { ...own, services: [service] });
    }
  }
  const make = (from: Compared, to: Compared, where: Pick<ParameterChange, "general" | "services" | "except">) => ({
    ...{ name, before: shown(from, name), after: shown(to, name), restart },
    ...where,
  });
  return [
    ...(general ? [make(before, after, { general, services: [], except })] : []),
    ...[...groups.values()].map((group) =>
      make(group.before, group.after, { general: false, services: group.services, except: [] }),
    ),
  ];
}

function shown({ text, at }: Compared, name: string): EffectiveValue {
  return { text: SECRET.test(name) && text !== "" ? "(hidden)" : text, at };
}

function effectiveValue(params: Parameters, name: string): Compared {
  const at = params.source(name);
  const declaration = declarationOf(name);
  try {
    const text = declaration?.raw ? (params.unexpanded(name) ?? "") : params.text(name);
    const items = isList(name, declaration) ? splitList(text, name) : undefined;
    if (items) return { key: keyOfList(items, name), text: formatItems(items), at };
    const value = declaration?.parse(text, name);
    const isScalar = typeof value === "number" || typeof value === "boolean" || declaration?.type === "word";
    return { key: isScalar ? String(value) : text, text, at };
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error;
    const text = params.unexpanded(name) ?? "";
    return { key: `bad ${text}`, text, at };
  }
}

/** Restrictions whose argument is the next item. */
const WITH_ARGUMENT = /^(?:check_\w+|(?:reject|permit)_(?:rbl|rhsbl|dnswl|rhswl)_\w+|sleep)$/;

function formatItems(items: readonly string[]): string {
  return items.map((item, i) => (i === 0 ? "" : WITH_ARGUMENT.test(items[i - 1] ?? "") ? " " : ", ") + item).join("");
}

/** Restriction classes are lists that only their use declares. */
function isList(name: string, declaration: Declaration<unknown> | undefined): boolean {
  return declaration ? declaration.type === "list" && !declaration.raw : !POSTFIX_NAMES.has(name);
}

function keyOfList(items: readonly string[], name: string): string {
  const isSet = SETS.test(name) && !items.some((item) => item.startsWith("!"));
  return JSON.stringify(isSet ? [...new Set(items)].sort() : items);
}

function declarationOf(name: string): Declaration<unknown> | undefined {
  return Object.hasOwn(REGISTRY, name) ? REGISTRY[name as ParameterName] : undefined;
}
