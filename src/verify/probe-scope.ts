/** verify/probe-scope.ts: main.cf as the routing of probes sees it: relayhost is address_verify_relayhost, and so on. */

import { Parameters } from "../config/parameters.ts";
import type { ParameterName } from "../config/registry.ts";
import { scopeOf } from "../config/scope.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";

const ROUTING = [
  "local_transport",
  "virtual_transport",
  "relay_transport",
  "default_transport",
  "relayhost",
  "transport_maps",
  "sender_dependent_relayhost_maps",
  "sender_dependent_default_transport_maps",
] as const satisfies ParameterName[];

/** The scope itself where no address_verify_… of these is set. Throws ParameterError. */
export function probeScope(snapshot: ConfigSnapshot): Parameters {
  const plain = scopeOf(snapshot);
  const overrides = ROUTING.flatMap((name) => {
    const at = plain.source(`address_verify_${name}`);
    // Expanded here: `address_verify_relayhost = $relayhost` would otherwise go round in a circle.
    return at ? [{ name, value: plain.text(`address_verify_${name}`).replaceAll("$", "$$$$"), at }] : [];
  });
  if (overrides.length === 0) return plain;
  return new Parameters({
    assignments: [...snapshot.mainCf, ...overrides],
    builtins: snapshot.builtins,
    files: snapshot.files,
  });
}
