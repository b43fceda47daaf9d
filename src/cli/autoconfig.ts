/** cli/autoconfig.ts: `postern autoconfig`: the documents by which mail programs set up an account, made from the configuration
 *  (admin/account-documents.ts), and with --live compared with what the running services do. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  type AccountParts,
  type AccountServer,
  accountDomain,
  type MailAccount,
  readAccount,
} from "../admin/account.ts";
import { accountDocuments, DOCUMENT_FORMATS, type DocumentFormat } from "../admin/account-documents.ts";
import { askListener, type LiveFinding } from "../admin/live-listener.ts";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { formatProblem } from "../config/check.ts";
import { IMAP_PORT, type MailStoreServer, POP3_PORT, parseMailStore } from "../config/params/autoconfig.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { liveTargets } from "../master/live-targets.ts";
import { openSnapshotTables, silentLog } from "../master/prove.ts";
import { requireConfiguration } from "./config-commands.ts";
import { wrap } from "./explain-format.ts";
import { saslMechanisms } from "./sasl-mechanisms.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

const USAGE = `Usage: postern [-c DIR] autoconfig DOMAIN [--format FORMAT] [--user ADDRESS] [--imap HOST[:PORT]]… [--out DIR]
       postern [-c DIR] autoconfig DOMAIN --live [--json]

Prints what mail programs ask for when a user sets up an account, made from main.cf and master.cf.
  --format FORMAT     thunderbird | autodiscover | mobileconfig | pacc | srv | all (all)
  --user ADDRESS      for this user; only autodiscover and mobileconfig differ
  --imap HOST[:PORT]  where users read their mail, instead of postern_autoconfig_imap; may be repeated
  --pop3 HOST[:PORT]  the same with POP3
  --out DIR           writes files there instead
  --live [--json]     asks the running services whether they are so; exit 1 if not
`;

const OPTIONS = {
  format: { type: "string" },
  user: { type: "string" },
  imap: { type: "string", multiple: true },
  pop3: { type: "string", multiple: true },
  out: { type: "string" },
  live: { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

interface Wanted {
  readonly domain: string;
  readonly formats: readonly DocumentFormat[];
  readonly user: string | undefined;
  /** Given on the command line. */
  readonly stores: AccountParts["stores"];
  readonly out: string | undefined;
  readonly live: boolean;
  readonly json: boolean;
}

export const autoconfig: Command = async (args, terminal) => {
  const wanted = parse(args);
  if ("problem" in wanted) return failed(terminal, "autoconfig", `${wanted.problem}\n${USAGE.trimEnd()}`, EXIT.usage);
  if ("help" in wanted) {
    terminal.stdout(USAGE);
    return EXIT.done;
  }
  const snapshot = await requireConfiguration(terminal, "autoconfig");
  if (snapshot === undefined) return EXIT.configuration;
  const found = readAccount(snapshot, wanted.domain, {
    mechanisms: (params) => saslMechanisms(snapshot, params),
    stores: wanted.stores,
  });
  for (const problem of found.problems) terminal.stderr(`${formatProblem(problem)}\n`);
  const { account } = found;
  if (account.outgoing.length === 0) {
    const text =
      "no service of master.cf takes submissions with AUTH and TLS from other machines; see postern_service_role";
    return failed(terminal, "autoconfig", text, EXIT.configuration);
  }
  if (wanted.live) return checkLive(snapshot, account, { terminal, json: wanted.json });
  return write(account, wanted, terminal);
};

function parse(args: readonly string[]): Wanted | { readonly problem: string } | { readonly help: true } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    if (values.help) return { help: true };
    const [given] = positionals;
    if (given === undefined || positionals.length > 1) return { problem: "expected one DOMAIN" };
    const domain = accountDomain(given);
    if (domain === undefined) return { problem: `"${given}" is no domain name` };
    const { format = "all", user, out, live = false, json = false, imap, pop3 } = values;
    if (json && !live) return { problem: "--json needs --live" };
    const useless = (["format", "user", "imap", "pop3", "out"] as const).find((name) => values[name] !== undefined);
    if (live && useless !== undefined) return { problem: `--${useless} has no meaning with --live` };
    const stores = parseStores({ imap, pop3 });
    if (stores !== undefined && "problem" in stores) return stores;
    const formats = format === "all" ? DOCUMENT_FORMATS : DOCUMENT_FORMATS.filter((one) => one === format);
    if (formats.length === 0) return { problem: `unknown format "${format}"` };
    if (user !== undefined && !/^[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+$/.test(user)) {
      return { problem: `--user: no mail address: "${user}"` };
    }
    if (user !== undefined && accountDomain(user.slice(user.indexOf("@") + 1)) !== domain) {
      return { problem: `--user: "${user}" is no address of ${domain}` };
    }
    return { domain, formats, user, stores, out, live, json };
  } catch (error) {
    return { problem: (error as Error).message.split(". ")[0] ?? "" };
  }
}

/** undefined: neither is given, and the configuration counts. */
function parseStores(given: {
  readonly imap: readonly string[] | undefined;
  readonly pop3: readonly string[] | undefined;
}): AccountParts["stores"] | { readonly problem: string } {
  if (given.imap === undefined && given.pop3 === undefined) return undefined;
  const [imap, pop3] = [storesIn(given.imap, IMAP_PORT), storesIn(given.pop3, POP3_PORT)];
  if (typeof imap === "string") return { problem: `--imap: no HOST[:PORT]: "${imap}"` };
  if (typeof pop3 === "string") return { problem: `--pop3: no HOST[:PORT]: "${pop3}"` };
  return { imap, pop3 };
}

/** A string is the one that is none. */
function storesIn(items: readonly string[] = [], defaultPort: number): readonly MailStoreServer[] | string {
  const servers: MailStoreServer[] = [];
  for (const item of items) {
    const server = parseMailStore(item, defaultPort);
    if (server === undefined) return item;
    servers.push(server);
  }
  return servers;
}

function write(account: MailAccount, { formats, user, out }: Wanted, terminal: Terminal): number {
  const results = formats.map((format) => accountDocuments(format, account, user));
  const documents = results.flatMap((result) => result.documents);
  if (out !== undefined) mkdirSync(out, { recursive: true });
  for (const [i, { fileName, text }] of documents.entries()) {
    if (out !== undefined) {
      writeFileSync(join(out, fileName), text);
      terminal.stdout(`${join(out, fileName)}\n`);
      continue;
    }
    // One document alone comes bare, to be redirected into a file.
    if (documents.length > 1) terminal.stdout(`${i === 0 ? "" : "\n"}==> ${fileName} <==\n`);
    terminal.stdout(text);
  }
  for (const note of results.flatMap(({ notes }) => notes)) terminal.stderr(`postern: autoconfig: ${note}\n`);
  return documents.length === 0 ? EXIT.problems : EXIT.done;
}

/** A listener, and what is wrong with it. */
interface AskedListener {
  readonly server: AccountServer;
  readonly address: string;
  readonly findings: readonly LiveFinding[];
}

async function checkLive(
  snapshot: ConfigSnapshot,
  account: MailAccount,
  { terminal, json }: { readonly terminal: Terminal; readonly json: boolean },
): Promise<number> {
  const asked = await askListeners(snapshot, account);
  terminal.stdout(json ? `${JSON.stringify(asked.map(asJson), undefined, 2)}\n` : asked.map(formatListener).join(""));
  if (asked.length === 0) return failed(terminal, "autoconfig", "no service listens on this machine", EXIT.problems);
  if (!asked.some(isWrong)) return EXIT.done;
  return failed(terminal, "autoconfig", "the running services are not what the documents say", EXIT.problems);
}

async function askListeners(snapshot: ConfigSnapshot, { outgoing }: MailAccount): Promise<readonly AskedListener[]> {
  const tables = openSnapshotTables(snapshot, silentLog());
  const deadlines = new Deadlines(systemClock);
  const asked: AskedListener[] = [];
  try {
    const targets = liveTargets(snapshot, tables);
    for (const server of outgoing) {
      for (const { address, proxied } of targets.filter(({ service }) => service === server.service)) {
        const findings: readonly LiveFinding[] = proxied
          ? [{ severity: "warning", text: "waits for a PROXY header, so it is not asked" }]
          : await askListener({ server, address, deadlines, clock: systemClock });
        asked.push({ server, address, findings });
      }
    }
  } finally {
    await tables.close?.();
  }
  return asked;
}

function isWrong({ findings }: AskedListener): boolean {
  return findings.some(({ severity }) => severity === "error");
}

function asJson({ server, address, findings }: AskedListener) {
  const { host, port, security, mechanisms, service } = server;
  return { service: service?.name, host, address, port, security, mechanisms, findings };
}

function formatListener(asked: AskedListener): string {
  const { server, address, findings } = asked;
  const at = `${address.includes(":") ? `[${address}]` : address}:${server.port}`;
  const how = server.security === "tls" ? "TLS" : "STARTTLS";
  const auth = server.mechanisms.length > 0 ? `, AUTH ${server.mechanisms.join(" ")}` : "";
  const name = `${server.service?.name} as ${server.host} (${at}, ${how}${auth})`;
  const lines = findings.map(({ severity, text }) => wrap(`${severity}: ${printableUtf8(text)}`, " ".repeat(9)));
  return `${isWrong(asked) ? "wrong   " : "ok      "} ${name}\n${lines.join("")}`;
}
