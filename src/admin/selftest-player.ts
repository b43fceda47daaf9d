/** admin/selftest-player.ts: plays rows of the self-test against services on loopback, each over a connection of its own that
 *  begins with a PROXY header, so that the client is a stranger from a documentation network whatever $mynetworks holds. */
import type { Deadlines } from "../base/deadlines.ts";
import { ClientConnection, ConnectionError } from "../net/client-connection.ts";
import { ReplyRules } from "./selftest-reply-rules.ts";
import type { SelftestRole, SelftestRow, SelftestService } from "./selftest-row.ts";

export interface SelftestEndpoint {
  /** As in master.cf. */
  readonly name: string;
  readonly port: number;
  readonly service: SelftestService;
}

export interface SelftestSite {
  readonly endpoints: ReadonlyMap<SelftestRole, SelftestEndpoint>;
  /** What stands for `{name}` in steps. */
  readonly words: ReadonlyMap<string, string>;
  readonly deadlines: Deadlines;
  /** Resolves to so many messages that arrived at the next hop: envelope, an empty line, content, `END`; to fewer after a time. */
  arrived(count: number): Promise<readonly string[]>;
}

export interface SelftestResult {
  readonly ids: readonly string[];
  readonly what: string;
  readonly service: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** What was expected, or why it was skipped. */
  readonly why: string;
  /** Lines as in RFC examples. */
  readonly dialogue: readonly string[];
}

/** For each reply. */
const TIMEOUT_MS = 20_000;
/** RFC 5737. */
const CLIENT = "203.0.113.9";
/** What a restriction says when it refuses; who tests it must not call that a fault. */
const RESTRICTION =
  / (?:Client host|Helo command|Sender address|Recipient address|Unverified Client host|Data command|End-of-data) rejected: |: Relay access denied|Service unavailable; /;

/** The expectation that was not met. */
class Mismatch extends Error {}
class Skipped extends Error {}

export class SelftestPlayer {
  readonly #site: SelftestSite;
  /** Rules for all replies of all rows. */
  readonly rules = new ReplyRules();

  constructor(site: SelftestSite) {
    this.#site = site;
  }

  async play(row: SelftestRow): Promise<SelftestResult> {
    const endpoint = this.#site.endpoints.get(row.on);
    const { ids, what } = row;
    if (endpoint === undefined) {
      const why = `master.cf has no ${row.on === "mx" ? "service for other servers" : `${row.on} service`}`;
      return { ids, what, service: "", outcome: "skipped", why, dialogue: [] };
    }
    const shown = { ids, what, service: endpoint.name };
    const unless = row.unless?.(endpoint.service);
    if (unless !== undefined) return { ...shown, outcome: "skipped", why: unless, dialogue: [] };
    const dialogue: string[] = [];
    try {
      await this.#converse(row, endpoint, dialogue);
      return { ...shown, outcome: "passed", why: "", dialogue };
    } catch (error) {
      if (error instanceof Skipped) return { ...shown, outcome: "skipped", why: error.message, dialogue };
      if (!(error instanceof Mismatch) && !(error instanceof ConnectionError)) throw error;
      return { ...shown, outcome: "failed", why: error.message, dialogue };
    }
  }

  async #converse(row: SelftestRow, endpoint: SelftestEndpoint, dialogue: string[]): Promise<void> {
    const { deadlines, words } = this.#site;
    const peer = { address: "127.0.0.1", port: endpoint.port };
    const connection = await ClientConnection.open({ peer, deadlines, timeoutMs: TIMEOUT_MS });
    const talk = new Talk({ connection, words, dialogue, rules: this.rules });
    try {
      await talk.prepare(row, endpoint);
      dialogue.splice(0, dialogue.length, ...settled(row, dialogue)); // how it came so far interests only when it did not
      for (const step of row.steps) await talk.step(step);
      const messages = await this.#site.arrived(talk.queued);
      for (const message of messages)
        dialogue.push(`   (arrived: ${JSON.stringify(Buffer.from(message.slice(0, 600), "latin1").toString("utf8"))})`);
      if (messages.length !== talk.queued)
        throw new Mismatch(`${talk.queued} accepted, ${messages.length} arrived at the next hop`);
      for (const pattern of row.arrives ?? []) checkArrival(talk.fill(pattern), messages.join(""));
    } finally {
      connection.destroy();
    }
  }
}

/** The setting of the steps, in one line. */
function settled({ from }: SelftestRow, dialogue: readonly string[]): readonly string[] {
  if (from === "connected") return [];
  const tls = dialogue.find((line) => line.startsWith("   ("))?.trim() ?? "(in clear)";
  return [`   ${from === "login" ? "(logged in) " : from === "greeted" ? "(greeted) " : ""}${tls}`];
}

function checkArrival(pattern: string, text: string): void {
  const unwanted = pattern.startsWith("!");
  const wanted = unwanted ? pattern.slice(1) : pattern;
  if (matches(wanted, text, false) !== unwanted) return;
  throw new Mismatch(
    `the message that arrives ${unwanted ? "has" : "has not"} ${JSON.stringify(shorten(wanted.slice(0, 199)))}`,
  );
}

interface TalkOptions {
  readonly connection: ClientConnection;
  readonly words: ReadonlyMap<string, string>;
  readonly dialogue: string[];
  readonly rules: ReplyRules;
}

/** One connection. */
class Talk {
  readonly #options: TalkOptions;
  #output = "";
  #expected: string[] = [];
  #unwanted: string[] = [];
  /** The last commands that were written. */
  #last = "";
  /** Messages that were accepted. */
  queued = 0;

  constructor(options: TalkOptions) {
    this.#options = options;
  }

  fill(text: string): string {
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => this.#options.words.get(name) ?? whole);
  }

  /** Passwords stay words in braces. */
  #shown(text: string): string {
    return shorten(text.replace(/\{(?:me|sender|to|elsewhere|local|domain)\}/g, (word) => this.fill(word)));
  }

  async prepare(row: SelftestRow, { port, service }: SelftestEndpoint): Promise<void> {
    const { connection } = this.#options;
    await connection.write(`PROXY TCP4 ${CLIENT} 127.0.0.1 40000 ${port}\r\n`, TIMEOUT_MS);
    if (service.tls === "wrapper") await this.step("T:");
    if (row.from === "connected") return;
    await this.step("S: 2…");
    if (row.from === "greeted") return;
    for (const step of ["C: EHLO client.example.net", "S: 250 …"]) await this.step(step);
    if (service.tls === "starttls") {
      for (const step of ["C: STARTTLS", "S: 220 …", "T:", "C: EHLO client.example.net", "S: 250 …"])
        await this.step(step);
    }
    if (row.from === "login") for (const step of ["C: AUTH PLAIN {plain}", "S: 235 …"]) await this.step(step);
  }

  async step(step: string): Promise<void> {
    const [, kind = "", text = ""] = /^(C|R|S|!S|N|T|X):(?: (.*))?$/s.exec(step) ?? [];
    const filled = this.fill(text);
    if (kind === "C" || kind === "R") {
      this.#options.dialogue.push(`C: ${this.#shown(text)}`);
      this.#output += kind === "C" ? `${Buffer.from(filled).toString("latin1")}\r\n` : JSON.parse(filled);
      return;
    }
    await this.#flush();
    if (kind === "T") await this.#handshake();
    else if (kind === "X") await this.#closed();
    else if (kind === "!S") this.#unwanted.push(filled);
    else if (kind === "N") await this.#refusal(filled);
    else {
      this.#expected.push(filled);
      if (filled[3] !== "-") await this.#reply();
    }
  }

  async #flush(): Promise<void> {
    if (this.#output === "") return;
    this.#last = this.#output;
    this.#output = "";
    await this.#options.connection.write(Buffer.from(this.#last, "latin1"), TIMEOUT_MS);
  }

  async #handshake(): Promise<void> {
    const { session } = await this.#options.connection.startTls({ serverName: "", timeoutMs: TIMEOUT_MS });
    this.#options.dialogue.push(`   (${session.protocol})`);
  }

  async #closed(): Promise<void> {
    try {
      const line = await this.#options.connection.readLine(TIMEOUT_MS);
      this.#options.dialogue.push(`S: ${shorten(line)}`);
    } catch (error) {
      if (error instanceof ConnectionError && error.kind === "lost") return;
      throw error;
    }
    throw new Mismatch("expected: the server closes the connection");
  }

  async #refusal(pattern: string): Promise<void> {
    const lines = await this.#lines();
    if (matches(pattern, lines.at(-1) ?? "", true)) throw new Mismatch(`expected: anything but ${shorten(pattern)}`);
  }

  /** The lines expected stand in the reply in this order, the last of them at its end. */
  async #reply(): Promise<void> {
    const [expected, unwanted] = [this.#expected, this.#unwanted];
    [this.#expected, this.#unwanted] = [[], []];
    const lines = await this.#lines();
    const last = lines.at(-1) ?? "";
    let at = 0;
    for (const pattern of expected) {
      while (at < lines.length && !matches(pattern, lines[at] ?? "", true)) at++;
      if (at++ < lines.length) continue;
      if (/^[23]/.test(pattern) && RESTRICTION.test(last)) throw new Skipped(`a restriction refuses it: ${last}`);
      throw new Mismatch(`expected: ${shorten(pattern)}`);
    }
    if (at !== lines.length) throw new Mismatch(`expected: ${shorten(expected.at(-1) ?? "")} as the last line`);
    const found = lines.find((line) => unwanted.some((pattern) => matches(pattern, line, true)));
    if (found !== undefined) throw new Mismatch(`not expected: ${shorten(found)}`);
    if (/^250 .*queued as /.test(last)) this.queued++;
  }

  async #lines(): Promise<readonly string[]> {
    const { connection, dialogue, rules } = this.#options;
    const lines: string[] = [];
    do {
      const line = await connection.readLine(TIMEOUT_MS);
      lines.push(line);
      dialogue.push(`S: ${shorten(line)}`);
    } while (/^\d{3}-/.test(lines.at(-1) ?? ""));
    rules.check(lines, this.#last);
    return lines;
  }
}

/** `…` in a pattern stands for anything. */
function matches(pattern: string, text: string, whole: boolean): boolean {
  const source = pattern
    .split("…")
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"))
    .join("[\\s\\S]*");
  return new RegExp(whole ? `^${source}$` : source).test(text);
}

/** For a terminal that may know ASCII only. */
function shorten(text: string): string {
  const plain = text.replaceAll("…", "...");
  return plain.length > 200 ? `${plain.slice(0, 160)}... (${plain.length} characters)` : plain;
}
