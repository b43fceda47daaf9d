/** sasl/dovecot-wire.ts: lines of Dovecot's auth protocol 1.x: TAB separated fields, values escaped by \x01. Pure; the
 *  connection is dovecot-link.ts. Described in Dovecot's documentation of the authentication protocol. */
import type { MechanismProperties, SaslContext } from "./backend.ts";

/** What the server may send. Unknown commands are undefined: a minor version may add some. */
export type DovecotLine =
  | { readonly kind: "version"; readonly major: number; readonly minor: number }
  | { readonly kind: "mechanism"; readonly properties: MechanismProperties }
  | { readonly kind: "done" }
  | { readonly kind: "reply"; readonly id: number; readonly reply: DovecotReply };

export type DovecotReply =
  | { readonly kind: "ok"; readonly username: string | undefined }
  | { readonly kind: "continue"; readonly challenge: Uint8Array }
  | {
      readonly kind: "fail";
      readonly temporary: boolean;
      readonly reason: string | undefined;
      readonly username: string | undefined;
    };

/** "malformed" for a line that breaks the protocol. */
export function parseDovecotLine(line: string): DovecotLine | undefined | "malformed" {
  const [command = "", ...args] = line.split("\t");
  switch (command) {
    case "VERSION":
      return parseVersion(args);
    case "MECH":
      return parseMechanism(args);
    case "DONE":
      return { kind: "done" };
    case "OK":
    case "CONT":
    case "FAIL":
      return parseReply(command, args);
    default:
      return undefined;
  }
}

function parseVersion(args: readonly string[]): DovecotLine | "malformed" {
  const [major = "", minor = ""] = args;
  if (!/^\d{1,9}$/.test(major) || !/^\d{1,9}$/.test(minor)) return "malformed";
  return { kind: "version", major: Number(major), minor: Number(minor) };
}

/** Private mechanisms are for Dovecot's own use and skipped. */
function parseMechanism(args: readonly string[]): DovecotLine | undefined | "malformed" {
  const [name = "", ...words] = args;
  if (!/^[A-Za-z0-9_-]{1,20}$/.test(name)) return "malformed";
  const has = (word: string) => words.some((given) => given.toLowerCase() === word);
  if (has("private")) return undefined;
  const properties: MechanismProperties = {
    name: name.toUpperCase(),
    plaintext: has("plaintext"),
    active: has("active"),
    dictionary: has("dictionary"),
    anonymous: has("anonymous"),
    forwardSecrecy: has("forward-secrecy"),
    mutualAuth: has("mutual-auth"),
  };
  return { kind: "mechanism", properties };
}

function parseReply(command: "OK" | "CONT" | "FAIL", args: readonly string[]): DovecotLine | "malformed" {
  const [idText = "", ...fields] = args;
  if (!/^\d{1,10}$/.test(idText)) return "malformed";
  const id = Number(idText);
  if (command === "CONT") {
    const challenge = fields[0] ?? "";
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(challenge)) return "malformed";
    return { kind: "reply", id, reply: { kind: "continue", challenge: Buffer.from(challenge, "base64") } };
  }
  const username = field(fields, "user");
  if (command === "OK") return { kind: "reply", id, reply: { kind: "ok", username } };
  const temporary = fields.includes("temp") || field(fields, "code") === "temp_fail";
  return { kind: "reply", id, reply: { kind: "fail", temporary, reason: field(fields, "reason"), username } };
}

function field(fields: readonly string[], key: string): string | undefined {
  const found = fields.find((text) => text.startsWith(`${key}=`));
  return found === undefined ? undefined : unescapeField(found.slice(key.length + 1));
}

const ESCAPED = new Map([
  ["0", "\0"],
  ["1", "\x01"],
  ["t", "\t"],
  ["r", "\r"],
  ["n", "\n"],
]);

function unescapeField(text: string): string {
  return text.replace(/\x01(.?)/gsu, (_all, code: string) => ESCAPED.get(code) ?? code);
}

function escapeField(text: string): string {
  const codes = new Map([...ESCAPED].map(([code, character]) => [character, code]));
  return text.replace(/[\0\x01\t\r\n]/g, (character) => `\x01${codes.get(character)}`);
}

/** The AUTH line. `initial` is undefined without initial response; `resp` must be the last field. */
export function formatAuth(options: {
  readonly id: number;
  readonly mechanism: string;
  readonly service: string;
  readonly context: SaslContext;
  readonly initial: Uint8Array | undefined;
}): string {
  const { id, mechanism, service, context, initial } = options;
  const fields = ["AUTH", String(id), mechanism, `service=${escapeField(service)}`, "nologin"];
  if (isAddress(context.serverAddress)) fields.push(`lip=${context.serverAddress}`);
  if (isAddress(context.clientAddress)) fields.push(`rip=${context.clientAddress}`);
  if (context.tls) fields.push("secured");
  // An empty one as the client spells it: behind a bare "resp=" Dovecot would ask for it once more.
  if (initial !== undefined) fields.push(`resp=${Buffer.from(initial).toString("base64") || "="}`);
  return fields.join("\t");
}

/** The CONT line: a response to a challenge. */
export function formatCont(id: number, response: Uint8Array): string {
  return `CONT\t${id}\t${Buffer.from(response).toString("base64")}`;
}

/** Only characters of an IP address; a client behind a pipe may be called "unknown". */
function isAddress(text: string): boolean {
  return /^[0-9A-Fa-f:.]+$/.test(text) && /[:.]/.test(text);
}
