/** sasl/announce.ts: which mechanisms a session may see and use. One function for both, so that nothing that is not
 *  announced can be used. smtpd_sasl_exceptions_networks is not considered: it only hides the line. */
import type { Parameters } from "../config/parameters.ts";
import type { MechanismProperties, SaslBackend } from "./backend.ts";

/** The backend's mechanisms that security options and mechanism filter let through, in the backend's order. */
export function announcedMechanisms(
  backend: SaslBackend,
  params: Parameters,
  session: { readonly tls: boolean },
): readonly MechanismProperties[] {
  const options = params.get(session.tls ? "smtpd_sasl_tls_security_options" : "smtpd_sasl_security_options");
  const filter = params.get("smtpd_sasl_mechanism_filter");
  return backend.mechanisms().filter((m) => satisfies(m, options) && passes(m.name, filter));
}

/** The announced mechanism of that name in any case; undefined for one that this session may not use. */
export function findAnnounced(
  announced: readonly MechanismProperties[],
  name: string,
): MechanismProperties | undefined {
  return announced.find((mechanism) => mechanism.name.toUpperCase() === name.toUpperCase());
}

const REQUIREMENTS = new Map<string, (mechanism: MechanismProperties) => boolean>([
  ["noplaintext", (mechanism) => !mechanism.plaintext],
  ["noactive", (mechanism) => !mechanism.active],
  ["nodictionary", (mechanism) => !mechanism.dictionary],
  ["noanonymous", (mechanism) => !mechanism.anonymous],
  ["forward_secrecy", (mechanism) => mechanism.forwardSecrecy],
  ["mutual_auth", (mechanism) => mechanism.mutualAuth],
]);

/** An option nobody knows lets nothing through; the parameter's declaration has refused it long before. */
function satisfies(mechanism: MechanismProperties, options: readonly string[]): boolean {
  return options.every((option) => REQUIREMENTS.get(option.toLowerCase())?.(mechanism) ?? false);
}

/** Postfix's match list: the first item that matches decides, "!" turns it round; no match is no. */
function passes(name: string, filter: readonly string[]): boolean {
  for (const item of filter) {
    const pattern = item.replace(/^!+/, "").toLowerCase();
    if (!pattern.startsWith("static:") && pattern !== name.toLowerCase()) continue;
    return (item.length - pattern.length) % 2 === 0;
  }
  return false;
}
