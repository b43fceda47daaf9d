/** master/check-local.ts: settings of the local agent under which mail waits or comes back, found before it does. */
import { ParameterError, type Parameters } from "../config/parameters.ts";
import { scopeOf } from "../config/scope.ts";
import type { ConfigSnapshot, Problem } from "../config/snapshot.ts";
import { pipeCommandOf } from "../local/alias-command.ts";
import { substitutingRule } from "../local/alias-tables.ts";
import { type Destination, parseDestinations } from "../local/destinations.ts";
import { mayRunCommands } from "../local/local-delivery.ts";
import { openAliases } from "../rewrite/recipients.ts";
import { parseTransport } from "../rewrite/transport.ts";
import type { TableOpener } from "../tables/table.ts";

/** Names that one warning tells. */
const MOST_NAMES = 5;

/** Warnings only: what of it is meant, nobody else can know. `owner`: the account of mail_owner, if it is known. */
export function checkLocal(
  snapshot: ConfigSnapshot,
  tables: TableOpener,
  owner: { readonly uid: number } | undefined,
): readonly Problem[] {
  const params = scopeOf(snapshot);
  try {
    return [
      ...checkMailboxes(params),
      ...checkUnknown(params),
      ...checkAliases(params, tables),
      ...checkVirtual(params, owner),
    ];
  } catch (error) {
    if (error instanceof ParameterError) return []; // reported where values are checked
    throw error;
  }
}

function checkMailboxes(params: Parameters): readonly Problem[] {
  const problems: Problem[] = [];
  const say = (name: string, text: string, hint: string) =>
    problems.push({ severity: "warning", at: params.source(name), text, hint });
  for (const name of ["mailbox_command", "mailbox_command_maps"] as const) {
    if (params.get(name) === "") continue;
    say(
      name,
      `${name} runs nothing here: mail to local users waits`,
      "use mailbox_transport and a pipe or lmtp service",
    );
  }
  const file = mailboxFile(params);
  if (file !== undefined && params.get("mailbox_transport") === "") {
    const text = `${file} names a mailbox file: only maildirs are written here, mail to local users waits`;
    say(file, text, "let the name end in /");
  }
  const [most, message] = [params.get("mailbox_size_limit"), params.get("message_size_limit")];
  if (most > 0 && (message === 0 || most < message)) {
    const name = params.source("message_size_limit") ? "message_size_limit" : "mailbox_size_limit";
    say(
      name,
      "mailbox_size_limit is smaller than message_size_limit: larger mail to local users is returned",
      "raise it",
    );
  }
  return problems;
}

/** The parameter that leads to an mbox file. */
function mailboxFile(params: Parameters): string | undefined {
  const own = params.get("postern_local_maildir");
  if (own !== "") return own.endsWith("/") ? undefined : "postern_local_maildir";
  const home = params.get("home_mailbox");
  if (home !== "") return home.endsWith("/") ? undefined : "home_mailbox";
  return params.get("mail_spool_directory").endsWith("/") ? undefined : "mail_spool_directory";
}

/** RCPT asks local_recipient_maps before anything else is asked. */
function checkUnknown(params: Parameters): readonly Problem[] {
  if (params.get("local_recipient_maps").length === 0) return [];
  const names = ["luser_relay", "fallback_transport", "mailbox_transport"] as const;
  return names.flatMap((name): Problem[] => {
    if (params.get(name) === "" || params.source("local_recipient_maps") !== undefined) return [];
    const text = `${name} gets no mail for names that local_recipient_maps does not list: RCPT refuses them`;
    const hint = "set local_recipient_maps to all that it takes, or empty for every name";
    return [{ severity: "warning", at: params.source(name), text, hint }];
  });
}

/** Aliases to commands and files, in tables that can be read through. */
function checkAliases(params: Parameters, tables: TableOpener): readonly Problem[] {
  return openAliases(params, tables).flatMap((table): Problem[] => {
    const { ref, entries } = table;
    const rule = substitutingRule(table);
    if (rule !== undefined) {
      const text = `${ref}: "${rule}": no substitution is allowed in alias_maps: mail to aliases waits`;
      return [{ severity: "warning", at: params.source("alias_maps"), text, hint: "use virtual_alias_maps" }];
    }
    const allowed = mayRunCommands(params);
    const names = [...(entries ?? [])].filter(([, value]) => isRefused(parseDestinations(value), allowed));
    if (names.length === 0) return [];
    const shown = names.slice(0, MOST_NAMES).map(([name]) => name);
    const more = names.length > shown.length ? `, and ${names.length - shown.length} more` : "";
    const text = `${ref}: these aliases lead to commands or files, mail to them is returned: ${shown.join(", ")}${more}`;
    const hint = `route it to a pipe service${allowed ? "" : ", or run commands with allow_mail_to_commands = alias"}`;
    return [{ severity: "warning", at: params.source("alias_maps"), text, hint }];
  });
}

/** The virtual agent writes as mail_owner. */
function checkVirtual(params: Parameters, owner: { readonly uid: number } | undefined): readonly Problem[] {
  if (params.get("virtual_mailbox_domains").length === 0) return [];
  if (parseTransport(params.get("virtual_transport")).transport !== "virtual") return [];
  const problems: Problem[] = [];
  const say = (name: string, text: string, hint: string) =>
    problems.push({
      severity: "warning",
      at: params.source(name) ?? params.source("virtual_mailbox_domains"),
      text,
      hint,
    });
  for (const name of ["virtual_uid_maps", "virtual_gid_maps"] as const) {
    if (params.get(name).length === 0)
      say(name, `${name} is empty: mail to virtual mailboxes waits`, "set it to static:ID");
  }
  const uids = params.get("virtual_uid_maps").flatMap((ref) => /^static:(\d+)$/.exec(ref)?.[1] ?? []);
  const other = uids.find((uid) => owner !== undefined && Number(uid) !== owner.uid);
  if (other !== undefined) {
    const text = `virtual writes as mail_owner (uid ${owner?.uid}): mail to mailboxes of uid ${other} waits`;
    say("virtual_uid_maps", text, "give the mailboxes to mail_owner, or deliver by lmtp or pipe");
  }
  return problems;
}

/** Whether a part of it comes back, or waits. `allowed`: a command may stand alone. */
function isRefused(destinations: readonly Destination[], allowed: boolean): boolean {
  const [only] = destinations;
  if (allowed && destinations.length === 1 && only?.kind === "command") {
    return pipeCommandOf(only.command, { deliveredTo: true }) === undefined;
  }
  return destinations.some(
    (destination) =>
      destination.kind === "command" || (destination.kind === "file" && destination.path !== "/dev/null"),
  );
}
