/** policy/query.ts: a policy request as a policy server sees it (library postern/policy). Pure: text in, value out.
 *  Understands what Postern and every Postfix since 2.1 send; attributes that are not sent are empty. */
import { ATTRIBUTE_NAMES, type AttributeName, REQUEST_KIND } from "./attributes.ts";

/** Lines of one request. Postfix sends about thirty. */
export const MAX_REQUEST_LINES = 200;

/** All attributes under their own names, as text; "" for what is not known or not sent. Frozen. */
export type PolicyQuery = { readonly [N in AttributeName]: string } & {
  /** recipient_count: 0 before DATA. */
  readonly recipientCount: number;
  /** size in bytes; 0 when the client has not said. */
  readonly sizeBytes: number;
  readonly clientPort: number;
  readonly serverPort: number;
  /** encryption_keysize: 0 without TLS. */
  readonly encryptionBits: number;
  /** Attributes that this version does not know. */
  readonly others: ReadonlyMap<string, string>;
};

export type ParsedQuery =
  | { readonly kind: "query"; readonly query: PolicyQuery }
  /** `why` is one line for the log. */
  | { readonly kind: "malformed"; readonly why: string };

const KNOWN: ReadonlySet<string> = new Set(ATTRIBUTE_NAMES);

/** Reads the `name=value` lines of one request; an empty line, if there is one, must be the last. */
export function parsePolicyRequest(text: string): ParsedQuery {
  const lines = text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  while (lines.at(-1) === "") lines.pop();
  return parseRequestLines(lines);
}

/** As parsePolicyRequest(), of lines without their ends and without the empty one. */
export function parseRequestLines(lines: readonly string[]): ParsedQuery {
  if (lines.length > MAX_REQUEST_LINES) return malformed(`more than ${MAX_REQUEST_LINES} lines`);
  const values = new Map<string, string>();
  for (const line of lines) {
    const equals = line.indexOf("=");
    if (equals < 1) return malformed(`line without name=value: ${JSON.stringify(line.slice(0, 100))}`);
    const name = line.slice(0, equals);
    if (values.has(name)) return malformed(`attribute ${JSON.stringify(name.slice(0, 100))} twice`);
    values.set(name, line.slice(equals + 1));
  }
  if (values.get("request") !== REQUEST_KIND) return malformed(`no request=${REQUEST_KIND}`);
  return { kind: "query", query: queryOf(values) };
}

/** A query with the given attributes; all others are empty. */
export function queryOf(values: ReadonlyMap<string, string>): PolicyQuery {
  const known = Object.fromEntries(ATTRIBUTE_NAMES.map((name) => [name, values.get(name) ?? ""]));
  return Object.freeze({
    ...(known as { readonly [N in AttributeName]: string }),
    recipientCount: numberOf(values.get("recipient_count")),
    sizeBytes: numberOf(values.get("size")),
    clientPort: numberOf(values.get("client_port")),
    serverPort: numberOf(values.get("server_port")),
    encryptionBits: numberOf(values.get("encryption_keysize")),
    others: new Map([...values].filter(([name]) => !KNOWN.has(name))),
  });
}

/** 0 for anything that is no number. */
function numberOf(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

function malformed(why: string): ParsedQuery {
  return { kind: "malformed", why };
}
