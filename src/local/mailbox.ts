/** local/mailbox.ts: where the mail of a user of this machine goes, once it is known that no alias and no .forward file leads
 *  elsewhere: another transport, or a maildir (local(8), DELIVERY METHOD CONTROLS). Writes nothing. */
import { join } from "node:path";
import type { Parameters } from "../config/parameters.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import { parseTransport } from "../rewrite/transport.ts";
import { lookupTables, splitExtension } from "../tables/keys.ts";
import type { LookupTable } from "../tables/table.ts";
import type { PasswdEntry } from "./passwd.ts";
import { deferred, type Result } from "./result.ts";

export type Mailbox =
  | { readonly kind: "maildir"; readonly path: string }
  | { readonly kind: "transport"; readonly transport: string; readonly nexthop: string }
  | { readonly kind: "failure"; readonly result: Result }
  | { readonly kind: "unknown"; readonly user: string };

export interface MailboxOptions {
  readonly params: Parameters;
  /** If given, an address that $local_recipient_maps does not list is an unknown user. */
  readonly resolver?: Pick<AddressResolver, "unlistedIn"> | undefined;
  /** mailbox_transport_maps. */
  readonly transports: readonly LookupTable[];
  readonly userNamed: (name: string) => PasswdEntry | undefined;
}

/** Names that are safe as one part of a path. */
const SAFE_NAME = /^[a-z0-9_][a-z0-9_.+=~-]{0,63}$/;
const SAFE_DOMAIN = /^[a-z0-9[][a-z0-9.:\]_-]{0,253}$/;

/** The name without extension, in lower case. */
export function userOf(address: Address, params: Parameters): string {
  const local = localPartOf(address).toLowerCase();
  return splitExtension(local, params.text("recipient_delimiter"))?.base ?? local;
}

/** Rejects TableError. */
export async function findMailbox(address: Address, options: MailboxOptions): Promise<Mailbox> {
  const { params, resolver, transports, userNamed } = options;
  const user = userOf(address, params);
  const domain = (domainOf(address) ?? params.text("myhostname")).toLowerCase();
  const chosen = (await lookupTables(transports, [user]))?.value ?? params.get("mailbox_transport");
  if (chosen !== "") return { kind: "transport", ...parseTransport(chosen) };

  if (!SAFE_NAME.test(user) || !SAFE_DOMAIN.test(domain)) return { kind: "unknown", user };
  if (resolver && (await resolver.unlistedIn(address)) !== undefined) return { kind: "unknown", user };
  const pattern = params.get("postern_local_maildir");
  const home = pattern === "" ? userNamed(user)?.home : "";
  if (home === undefined) return { kind: "unknown", user };
  if (params.get("mailbox_command") !== "" || params.get("mailbox_command_maps") !== "") {
    return failure("mailbox_command is not run here");
  }
  const fill = (text: string) => params.expand(fillNames(text, { user, domain }));
  if (pattern !== "") return asMaildir(fill(pattern));
  const homeMailbox = fill(params.get("home_mailbox"));
  if (homeMailbox !== "") return asMaildir(`${home}/${homeMailbox}`);
  const spool = fill(params.get("mail_spool_directory"));
  return asMaildir(spool.endsWith("/") ? `${spool}${user}/` : spool);
}

/** Our names first: expansion knows parameters only, and the names hold no "$". */
function fillNames(text: string, names: { readonly user: string; readonly domain: string }): string {
  return text.replace(/\$(?:(user|domain)\b|\{(user|domain)\}|\((user|domain)\))/g, (_, a, b, c) =>
    (a ?? b ?? c) === "user" ? names.user : names.domain,
  );
}

function asMaildir(path: string): Mailbox {
  if (!path.startsWith("/")) return failure("mailbox path is not absolute");
  if (!path.endsWith("/")) return failure("mailbox format is not supported; the name of a maildir ends in /");
  return { kind: "maildir", path: join(path) };
}

function failure(text: string): Mailbox {
  return { kind: "failure", result: deferred("4.3.5", text) };
}
