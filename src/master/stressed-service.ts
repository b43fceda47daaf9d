/** master/stressed-service.ts: a service whose sessions are capped, as it is while all of them are in use (STRESS_README). */
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import { hasSessionCap } from "./session-caps.ts";

/** As Postfix's master starts it; an operator's own -o stopped it from doing so, and does here. undefined: it has no cap. */
export function underStress(service: ServiceEntry): ServiceEntry | undefined {
  if (!hasSessionCap(service)) return undefined;
  const stress = { name: "stress", value: "yes", at: service.at };
  return { ...service, overrides: [stress, ...service.overrides] };
}

/** Whether anything that the operator wrote is otherwise then: of the defaults, limits only. */
export function dependsOnStress({ mainCf }: Pick<ConfigSnapshot, "mainCf">, { overrides }: ServiceEntry): boolean {
  return [...mainCf, ...overrides].some(({ value }) => /\bstress\b/.test(value));
}
