/** access/golden-script.ts: the line language of testdata/*.in, for golden.test.ts only. It sets parameters, tables and
 *  facts, runs the commands of a session, and prints every verdict. Tables, addresses and networks are fakes at the edge;
 *  the restrictions, the compiler and the evaluator are the real ones. Lines are listed in testdata/README.md. */
import type { Awaitable } from "../base/awaitable.ts";
import { systemClock } from "../base/clock.ts";
import { Parameters } from "../config/parameters.ts";
import type { Assignment } from "../config/snapshot.ts";
import { Log } from "../log/log.ts";
import { type Address, asAddress, domainOf, localPartOf } from "../mail/address.ts";
import type { AddressProber, AddressStatus } from "../mail/address-prober.ts";
import { replyText } from "../mail/reply.ts";
import { createResolver } from "../rewrite/create.ts";
import type { AddressClass, AddressResolver } from "../rewrite/resolve.ts";
import { type LookupTable, TableError, type TableOpener } from "../tables/table.ts";
import type { AccessSession, Facts, Verdict } from "./access.ts";
import { type CompiledAccess, compileAccess } from "./compile.ts";
import { parseAuthentication } from "./golden-authentication.ts";
import { GoldenDns } from "./golden-dns.ts";
import { formatLookup } from "./trace.ts";

const START: Facts = {
  client: { address: "192.0.2.1", port: 4711, name: "unknown", reverseName: "unknown", nameStatus: "missing" },
  server: { address: "192.0.2.25", port: 587 },
  protocol: "ESMTP",
  command: "CONNECT",
  helo: undefined,
  sender: undefined,
  recipient: undefined,
  recipientCount: 0,
  sasl: undefined,
  saslEnabled: true,
  tls: undefined,
  sizeBytes: undefined,
  queueId: undefined,
  earlyTalker: false,
};

/** Runs a script; the result is what stands in the .ref file. */
export async function runScript(source: string): Promise<string> {
  const script = new Script();
  for (const [index, line] of source.split("\n").entries()) await script.line(line.trimEnd(), index + 1);
  return `${script.output.join("\n")}\n`;
}

class Script {
  readonly output: string[] = [];
  readonly #assignments: Assignment[] = [];
  readonly #world = new World((line) => this.output.push(line));
  #facts: Facts = START;
  #session: AccessSession | undefined;
  #traced = false;

  async line(line: string, number: number): Promise<void> {
    if (line === "") return;
    this.output.push(line);
    if (line.startsWith("#")) return;
    const setting = /^(\w+) =(?: (.*))?$/.exec(line);
    if (setting) {
      const [, name = "", value = ""] = setting;
      this.#assignments.push({ name, value, at: { file: "/etc/postern/main.cf", line: number } });
      this.#session = undefined;
      return;
    }
    const [, verb = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    if (this.#world.set(verb, rest) || this.#fact(verb, rest)) return;
    await this.#run(verb, rest);
  }

  #fact(verb: string, rest: string): boolean {
    const more = factsOf(verb, rest);
    if (more) this.#facts = { ...this.#facts, ...more };
    else if (verb === "new") this.#session = undefined;
    else if (verb === "trace") this.#traced = rest === "on";
    else return false;
    return true;
  }

  #compile(): CompiledAccess {
    const builtins = new Map([["myhostname", "mail.example.org"]]);
    const params = new Parameters({ assignments: this.#assignments, builtins });
    return compileAccess(params, this.#world.depsFor(params));
  }

  async #run(verb: string, rest: string): Promise<void> {
    if (verb === "problems") {
      for (const { severity, at, text, hint } of this.#compile().problems) {
        const place = at === undefined ? "" : `main.cf:${at.line}: `;
        this.output.push(`  ${place}${severity}: ${text}${severity === "warning" && hint ? `; ${hint}` : ""}`);
      }
      return;
    }
    this.#session ??= this.#compile().policy.newSession("always");
    this.#print(await this.#command(this.#session, verb, rest));
  }

  #command(session: AccessSession, verb: string, rest: string): Awaitable<Verdict> {
    const address = asAddress(rest === "<>" ? "" : rest);
    const count = rest === "" ? 1 : Number(rest);
    switch (verb) {
      case "connect":
        return session.atConnect({ ...this.#facts, command: "CONNECT" });
      case "helo":
        this.#facts = { ...this.#facts, helo: rest };
        return session.atHelo({ ...this.#facts, command: "EHLO" });
      case "mail":
        this.#facts = { ...this.#facts, sender: address };
        return session.atMail({ ...this.#facts, command: "MAIL" });
      case "rcpt":
        this.#facts = { ...this.#facts, recipient: address };
        return session.atRcpt({ ...this.#facts, command: "RCPT" });
      case "vrfy":
        return session.atVrfy({ ...this.#facts, recipient: address, command: "VRFY" });
      case "etrn":
        return session.atEtrn({ ...this.#facts, etrnDomain: rest, command: "ETRN" });
      case "data":
        return session.atData({ ...this.#facts, recipientCount: count, command: "DATA" });
      case "eod":
        return session.atEndOfData({ ...this.#facts, recipientCount: count, command: "END-OF-MESSAGE" });
      default:
        throw new Error(`No such line in the script language: ${verb}`);
    }
  }

  #print(verdict: Verdict): void {
    const { decision } = verdict;
    const by =
      "by" in decision && decision.by ? `   <- ${decision.by.text} (${decision.by.at} ${decision.by.parameter})` : "";
    this.output.push(`  ${decision.kind}${"reply" in decision ? ` ${replyText(decision.reply)}` : ""}${by}`);
    for (const { action, text } of verdict.notices) this.output.push(`    ${action}: ${text}`);
    for (const effect of verdict.effects) {
      this.output.push(`    effect ${effect.kind} ${"value" in effect ? effect.value : effect.text}`.trimEnd());
    }
    if (!this.#traced) return;
    for (const { stage, rule, result, depth, lookups } of verdict.trace) {
      this.output.push(`    trace ${stage}: ${"> ".repeat(depth)}${rule.text} -> ${result}`);
      for (const lookup of lookups) this.output.push(`      ${formatLookup(lookup)}`);
    }
  }
}

function factsOf(verb: string, rest: string): Partial<Facts> | undefined {
  const [first = "", second = ""] = rest.split(" ");
  switch (verb) {
    case "client":
      return { client: clientOf(rest) };
    case "server":
      return { server: { address: first, port: 587 } };
    case "login":
      return { sasl: rest === "" ? undefined : { username: first, method: second || "PLAIN" } };
    case "sasl":
      return { saslEnabled: rest === "on" };
    case "tls":
      return { tls: rest === "off" ? undefined : tlsOf(rest) };
    case "recipients":
      return { recipientCount: Number(first) };
    case "authentication":
      return { authentication: rest === "" ? undefined : parseAuthentication(rest) };
    case "early":
      return { earlyTalker: rest === "on" };
    default:
      return undefined;
  }
}

/** NAME ADDRESS [PTR-NAME [STATUS]]; a name without more is verified. */
function clientOf(rest: string): Facts["client"] {
  const [name = "", address = "", reverse = name, status = name === "unknown" ? "missing" : "verified"] =
    rest.split(" ");
  const nameStatus = status as Facts["client"]["nameStatus"];
  return { ...START.client, name, address, reverseName: reverse, nameStatus };
}

/** `on`, or CERT-FINGERPRINT KEY-FINGERPRINT trusted|untrusted NAME. */
function tlsOf(rest: string): Facts["tls"] {
  const session = { protocol: "TLSv1.3", cipher: "X", bits: 256, reused: false };
  const [certFingerprint = "", publicKeyFingerprint, trust, ...subject] = rest.split(" ");
  if (publicKeyFingerprint === undefined) return session;
  const prints = { certFingerprint, publicKeyFingerprint, trusted: trust === "trusted" };
  return { ...session, peer: { subject: subject.join(" "), issuer: "CA", ...prints } };
}

/** Tables, address classes, networks and DNS of a script. */
class World {
  readonly #print: (line: string) => void;
  readonly #tables = new Map<string, Map<string, string> | "broken" | "bug">();
  readonly #classes = new Map<string, AddressClass>();
  readonly #users = new Set<string>();
  readonly #networks = new Set<string>();
  readonly #verified = new Map<string, AddressStatus>();
  readonly #dns = new GoldenDns();
  #networksBroken = false;
  /** Addresses are judged by the parameters and tables of the script, instead of by its domain and user lines. */
  #realResolver = false;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  set(verb: string, rest: string): boolean {
    const [first = "", second = ""] = rest.split(" ");
    switch (verb) {
      case "table":
        this.#addEntry(first, rest.slice(first.length + 1));
        return true;
      case "dns":
        this.#dns.set(rest);
        return true;
      case "resolver":
        this.#realResolver = first === "real";
        return true;
      case "verified":
        this.#verified.set(first, { kind: second as AddressStatus["kind"], text: rest.split(" ").slice(2).join(" ") });
        return true;
      case "domain":
        this.#classes.set(first, second as AddressClass);
        return true;
      case "user":
        this.#users.add(rest);
        return true;
      case "network":
        this.#networksBroken = rest === "broken";
        this.#networks.add(rest);
        return true;
      default:
        return false;
    }
  }

  #addEntry(ref: string, rest: string): void {
    if (rest === "broken" || rest === "bug") {
      this.#tables.set(ref, rest);
      return;
    }
    const known = this.#tables.get(ref);
    const entries = known instanceof Map ? known : new Map<string, string>();
    const equals = rest.indexOf(" =");
    entries.set(rest.slice(0, equals), rest.slice(equals + 3));
    this.#tables.set(ref, entries);
  }

  depsFor(params: Parameters) {
    const log = new Log({
      sink: ({ severity, text }) => this.#print(`  log ${severity}: ${text.replace(/ \| .*/, "")}`),
      now: () => 0,
      tag: "postfix/smtpd",
      id: 1,
    });
    const mynetworks = {
      find: (address: string) => {
        if (this.#networksBroken) throw new TableError("networks are unreachable");
        return this.#networks.has(address) ? { pattern: address, verdict: true } : undefined;
      },
    };
    const clock = { ...systemClock, sleep: async (ms: number) => this.#print(`  sleep ${ms} ms`) };
    const tables = this.#opener();
    const ownAddresses = [START.server.address];
    const resolver = this.#realResolver ? createResolver(params, { tables, ownAddresses }) : this.#resolver();
    const unknown: AddressStatus = { kind: "pending", text: "Address verification in progress" };
    const prober: AddressProber = { query: (address) => this.#verified.get(address) ?? unknown };
    return { tables, resolver, log, mynetworks, dns: this.#dns.service, clock, prober };
  }

  /** regexp: tables match whole keys only; async: tables answer by promise. */
  #opener(): TableOpener {
    const find = (ref: string, key: string): string | undefined => {
      const entries = this.#tables.get(ref);
      if (entries === "broken") throw new TableError("connection refused");
      if (entries === "bug") throw new RangeError("oops");
      return entries?.get(key.toLowerCase());
    };
    const entriesOf = (ref: string) => {
      const entries = this.#tables.get(ref);
      return ref.startsWith("texthash:") && entries instanceof Map ? entries : undefined;
    };
    return {
      open: (ref): LookupTable => ({
        ref,
        entries: entriesOf(ref),
        partialKeys: !ref.startsWith("regexp:"),
        get: (key) => (ref.startsWith("async:") ? (async () => find(ref, key))() : find(ref, key)),
      }),
    };
  }

  #resolver(): AddressResolver {
    const classOf = (address: Address): AddressClass =>
      this.#classes.get((domainOf(address) ?? "").toLowerCase()) ?? "default";
    const tableOf = { local: "local recipient", relay: "relay recipient", virtualMailbox: "virtual mailbox" } as const;
    return {
      rewrite: (address) =>
        address === "" || domainOf(address) !== undefined ? address : asAddress(`${address}@example.org`),
      classOf,
      route: () => {
        throw new Error("Restrictions never route");
      },
      unlistedIn: (address) => {
        const found = classOf(address);
        if (found === "default" || found === "virtualAlias" || this.#users.has(address.toLowerCase())) return undefined;
        return tableOf[found];
      },
      hasSenderRouting: (address) => /[@%!]/.test(localPartOf(address)),
    };
  }
}
