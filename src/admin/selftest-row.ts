/** admin/selftest-row.ts: one row of the self-test: an SMTP dialogue with an id of the requirements (docs/rfc-compliance.md).
 *  A row is data; selftest-player.ts plays it. */
import type { Parameters } from "../config/parameters.ts";

/** submission: users log in here; submissions: the same with TLS from the first byte; mx: mail from other servers. */
export type SelftestRole = "submission" | "submissions" | "mx";

/** How far the session is when the steps begin. greeted: in clear, unless TLS is there from the first byte. tls: under TLS
 *  where the service has it, EHLO said. login: logged in, too. */
export type SelftestState = "connected" | "greeted" | "tls" | "login";

/** What a row may ask about the service that it is for. */
export interface SelftestService {
  readonly params: Parameters;
  readonly tls: "none" | "starttls" | "wrapper";
  /** Nothing but STARTTLS in clear. */
  readonly mustEncrypt: boolean;
  readonly sasl: boolean;
  /** Only who has logged in, or is let in by name, may send. */
  readonly usersOnly: boolean;
  /** Whether some domain is ours. */
  readonly local: boolean;
}

export interface SelftestRow {
  readonly ids: readonly string[];
  readonly what: string;
  readonly on: SelftestRole;
  readonly from: SelftestState;
  /** `C: text` a line; `R: "text"` the same with JSON's escapes and without CRLF; neighbours go out in one write.
   *  `S: text` the last line of a reply, `S: 250-text` one before it; `!S: text` the next reply has no such line;
   *  `N: text` the last line is anything but this. `T:` a TLS handshake. `X:` the server has closed.
   *  `…` is anything; {me} {sender} {to} {elsewhere} {local} {domain} {user} {password} {plain} … are filled in. */
  readonly steps: readonly string[];
  /** Each stands in the envelope or the content of what arrives; behind `!`, nowhere. */
  readonly arrives?: readonly string[];
  /** Why this configuration does not want what the row tests; undefined: it does. */
  readonly unless?: (service: SelftestService) => string | undefined;
}

/** `unless` for a parameter that takes the tested thing away. */
export function without(name: string, value: string): NonNullable<SelftestRow["unless"]> {
  return ({ params }) => (params.text(name).toLowerCase() === value ? `${name} = ${value}` : undefined);
}

/** `unless` for an EHLO keyword that is taken away. */
export function announced(keyword: string): NonNullable<SelftestRow["unless"]> {
  return ({ params }) =>
    new RegExp(`(?:^|[\\s,])${keyword}(?:[\\s,]|$)`, "i").test(params.text("smtpd_discard_ehlo_keywords"))
      ? `smtpd_discard_ehlo_keywords has ${keyword}`
      : undefined;
}

/** `unless` for what clients may do in clear only where TLS is not demanded. */
export function inClear({ mustEncrypt }: SelftestService): string | undefined {
  return mustEncrypt ? "smtpd_tls_security_level = encrypt" : undefined;
}

/** `unless` for what needs STARTTLS. */
export function startTls({ tls }: SelftestService): string | undefined {
  return tls === "starttls" ? undefined : tls === "wrapper" ? "TLS is there from the first byte" : "no TLS";
}

/** `unless` for the duties of a submission service. */
export function usersOnly(service: SelftestService): string | undefined {
  return service.usersOnly ? undefined : "there is no service for users only (postern_service_role)";
}

/** `unless` for what needs a domain of ours. */
export function ownDomain({ local }: SelftestService): string | undefined {
  return local ? undefined : "no domain is delivered here";
}
