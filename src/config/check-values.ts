/** config/check-values.ts: reads every declared parameter in every scope once, so that no session meets a bad value. */
import { ParameterError, type Parameters } from "./parameters.ts";
import { POSTFIX_NAMES } from "./postfix-names.ts";
import { type ParameterName, REGISTRY } from "./registry.ts";
import { scopeOf } from "./scope.ts";
import type { ConfigSnapshot, Problem, ServiceEntry, SourceRef } from "./snapshot.ts";

/** Errors at the line that set the value; a value of main.cf that only one service's options spoil says which. */
export function checkValues(snapshot: ConfigSnapshot): Problem[] {
  const problems: Problem[] = [];
  const reported = new Set<string>();
  for (const service of [undefined, ...snapshot.services.filter(({ overrides }) => overrides.length > 0)]) {
    for (const { text, at } of badValues(scopeOf(snapshot, service), snapshot, service)) {
      const key = `${at?.file}:${at?.line}:${text}`;
      if (reported.has(key)) continue;
      reported.add(key);
      const elsewhere =
        service && !service.overrides.some((override) => override.at.line === at?.line && override.at.file === at.file);
      const hint = elsewhere ? `in service "${service.name}" of ${service.at.file}:${service.at.line}` : undefined;
      problems.push({ severity: "error", at, text, hint });
    }
  }
  return problems;
}

function badValues(
  params: Parameters,
  snapshot: ConfigSnapshot,
  service: ServiceEntry | undefined,
): readonly { readonly text: string; readonly at: SourceRef | undefined }[] {
  const own = [...snapshot.mainCf, ...(service?.overrides ?? [])].map(({ name }) => name);
  const userDefined = own.filter((name) => !Object.hasOwn(REGISTRY, name) && !POSTFIX_NAMES.has(name));
  const bad: { name: string; text: string; at: SourceRef | undefined }[] = [];
  for (const name of [...Object.keys(REGISTRY), ...new Set(userDefined)]) {
    try {
      if (Object.hasOwn(REGISTRY, name)) params.get(name as ParameterName);
      else params.text(name);
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      const text = error.message.includes(name) ? error.message : `parameter "${name}": ${error.message}`;
      bad.push({ name, text, at: params.source(name) });
    }
  }
  const names = new Set(bad.map(({ name }) => name));
  return bad.filter(({ name, at }) => at !== undefined || !names.has(copied(name) ?? ""));
}

/** The parameter whose value is the default of this one: what is wrong with it is told there. */
function copied(name: string): string | undefined {
  if (!Object.hasOwn(REGISTRY, name)) return undefined;
  return /^\$(\w+)$/.exec(REGISTRY[name as ParameterName].default)?.[1];
}
