/** access/backward-compatibility.ts: defaults of old compatibility levels that restrictions rely on, and what Postfix logs
 *  when such a default decides (COMPATIBILITY_README): a mail system that would behave otherwise at a newer level. */
import { compareLevels } from "../config/compatibility-level.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ParameterName } from "../config/registry.ts";

/** True if the parameter has the default of a level below `level`, and nobody has set it. */
export function usesOldDefault(params: Parameters, name: ParameterName, level: string): boolean {
  return params.source(name) === undefined && compareLevels(params.get("compatibility_level"), level) < 0;
}

/** What the default of smtpd_relay_restrictions would be from level 1 on, but without its last word: who is not let
 *  through by this list is only let through because the list is empty. */
export const RELAY_PERMITS = "permit_mynetworks, permit_sasl_authenticated, permit_auth_destination";

/** `setting` as it is shown to operators, `effect` what it does to this request. */
export function oldDefaultText(setting: string, effect: string): string {
  return `using backwards-compatible default setting ${setting} to ${effect}`;
}
