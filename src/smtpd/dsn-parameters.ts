/** smtpd/dsn-parameters.ts: RET, ENVID, NOTIFY and ORCPT (RFC 3461 §4, RFC 6533 §3), each strict and at most once. Pure. */
import type { NotifyCondition } from "../mail/dsn.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { decodeUtf8Address, decodeXtext } from "../mail/xtext.ts";

export const DSN_DISABLED = reply(501, "5.7.1", "DSN support is disabled");
const BAD_RET = reply(501, "5.5.4", "Bad RET parameter syntax");
const BAD_ENVID = reply(501, "5.5.4", "Bad ENVID parameter syntax");
const BAD_NOTIFY = reply(501, "5.5.4", "Error: Bad NOTIFY parameter syntax");
const BAD_ORCPT = reply(501, "5.5.4", "Error: Bad ORCPT parameter syntax");

/** What the parameters of one command have said so far. */
export interface DsnSoFar {
  ret?: "FULL" | "HDRS";
  envid?: string;
  notify?: readonly NotifyCondition[];
  orcpt?: string;
}

/** Takes one parameter into `found`; the refusal if it is wrong, or there already. */
export type TakeParameter = (found: DsnSoFar, value: string) => Reply | undefined;

/** Of MAIL, by upper-case name. */
export const DSN_OF_MAIL: ReadonlyMap<string, TakeParameter> = new Map([
  ["RET", takeRet],
  ["ENVID", takeEnvid],
]);

/** Of RCPT. */
export const DSN_OF_RCPT: ReadonlyMap<string, TakeParameter> = new Map([
  ["NOTIFY", takeNotify],
  ["ORCPT", takeOrcpt],
]);

function takeRet(found: DsnSoFar, value: string): Reply | undefined {
  const ret = value.toUpperCase();
  if (found.ret !== undefined || (ret !== "FULL" && ret !== "HDRS")) return BAD_RET;
  found.ret = ret;
  return undefined;
}

function takeEnvid(found: DsnSoFar, value: string): Reply | undefined {
  const envid = decodeXtext(value);
  if (found.envid !== undefined || envid === undefined) return BAD_ENVID;
  found.envid = envid;
  return undefined;
}

const CONDITIONS: ReadonlySet<string> = new Set(["NEVER", "SUCCESS", "FAILURE", "DELAY"]);

/** Postfix's warning about a word that NOTIFY does not know; undefined: it knows all. */
export function notifyWarning(value: string): string | undefined {
  const unknown = value.split(",").find((word) => word !== "" && !CONDITIONS.has(word.toUpperCase()));
  return unknown === undefined ? undefined : `unknown DSN NOTIFY command value "${unknown}" in "${value}"`;
}

function takeNotify(found: DsnSoFar, value: string): Reply | undefined {
  const words = new Set(value.toUpperCase().split(","));
  const known = [...words].every((word) => CONDITIONS.has(word));
  if (found.notify !== undefined || !known || (words.has("NEVER") && words.size > 1)) return BAD_NOTIFY;
  found.notify = [...words] as NotifyCondition[];
  return undefined;
}

function takeOrcpt(found: DsnSoFar, value: string): Reply | undefined {
  // RFC 3461 §4.2: the type is an atom; letters, digits and hyphens are all that ever was registered.
  const [, type, address = ""] = /^([A-Za-z0-9-]+);(.*)$/s.exec(value) ?? [];
  const decoded = type?.toLowerCase() === "utf-8" ? decodeUtf8Address(address) : decodeXtext(address);
  if (found.orcpt !== undefined || type === undefined || decoded === undefined) return BAD_ORCPT;
  found.orcpt = `${type};${decoded}`;
  return undefined;
}
