/** config/check-sasl.ts: the SMTP client's smtp_… parameters where the server's smtpd_… were meant. They do nothing to the
 *  server, so a mechanism list or a TLS level written this way protects nobody. */
import { ParameterError } from "./parameters.ts";
import { POSTFIX_NAMES } from "./postfix-names.ts";
import { REGISTRY } from "./registry.ts";
import { scopeOf } from "./scope.ts";
import type { Assignment, ConfigSnapshot, Problem, SourceRef } from "./snapshot.ts";

export function checkSasl(snapshot: ConfigSnapshot): Problem[] {
  const problems: Problem[] = [];
  const servers = snapshot.services.filter(({ command }) => command === "smtpd" || command === "postscreen");
  for (const { overrides } of servers) {
    for (const assignment of overrides) {
      if (!assignment.name.startsWith("smtp_")) continue;
      problems.push(misplaced(assignment, "is a parameter of the SMTP client and does nothing to this smtpd service"));
    }
  }
  const all = [...snapshot.mainCf, ...snapshot.services.flatMap(({ overrides }) => overrides)];
  problems.push(...cyrusType(all));
  if (!isOn(all, "smtpd_sasl_auth_enable") || isOn(all, "smtp_sasl_auth_enable")) return problems;
  for (const assignment of snapshot.mainCf) {
    if (!assignment.name.startsWith("smtp_sasl_") || assignment.name === "smtp_sasl_auth_enable") continue;
    problems.push(
      misplaced(assignment, "is a parameter of the SMTP client, where SASL is off, and does nothing to the server"),
    );
  }
  return problems;
}

/** Cyrus SASL does not exist here; its users must be told to our own file. */
function cyrusType(all: readonly Assignment[]): Problem[] {
  const on = all.find(({ name, value }) => name === "smtpd_sasl_auth_enable" && /^yes$/i.test(value));
  const types = all.filter(({ name }) => name === "smtpd_sasl_type");
  const cyrus = types.filter(({ value }) => /^cyrus$/i.test(value));
  if (!on || (types.length > 0 && cyrus.length === 0)) return [];
  const text = "smtpd_sasl_type = cyrus is read as postern: logins are looked up in $postern_user_file";
  return [{ severity: "warning", at: (cyrus[0] ?? on).at, text, hint: "set smtpd_sasl_type = postern, or dovecot" }];
}

/** Where SASL is switched on for the first service that looks logins up in $postern_user_file; undefined: none does. */
export function userFileAskedAt(snapshot: ConfigSnapshot): SourceRef | undefined {
  const servers = snapshot.services.filter(({ command }) => command === "smtpd" || command === "postscreen");
  for (const service of servers) {
    const params = scopeOf(snapshot, service);
    try {
      const asks = params.get("smtpd_sasl_auth_enable") && params.get("smtpd_sasl_type") !== "dovecot";
      if (asks) return params.source("smtpd_sasl_auth_enable") ?? service.at;
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error; // check-values.ts reports it
    }
  }
  return undefined;
}

function isOn(assignments: readonly Assignment[], name: string): boolean {
  return assignments.some((assignment) => assignment.name === name && /^yes$/i.test(assignment.value));
}

function misplaced({ name, at }: Assignment, why: string): Problem {
  const twin = name.replace(/^smtp_/, "smtpd_");
  const known = Object.hasOwn(REGISTRY, twin) || POSTFIX_NAMES.has(twin);
  return { severity: "warning", at, text: `${name} ${why}`, hint: known ? `did you mean ${twin}?` : undefined };
}
