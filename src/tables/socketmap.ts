/** tables/socketmap.ts: `socketmap:inet:host:port:name` and `socketmap:unix:/path:name`, socketmap_table(5): sendmail's
 *  protocol of one netstring `name key` there and one back. A netstring says its length first, so a key may hold any byte. */
import { systemClock } from "../base/clock.ts";
import { printableAscii } from "../mail/printable.ts";
import type { OpenerContext } from "./opener.ts";
import { type Parsed, PeerExchange, parseTarget } from "./peer-exchange.ts";
import { checkValue, lookupError, PeerError } from "./peer-pool.ts";
import { type LookupTable, TableError } from "./table.ts";

/** Postfix's limits; the second is without the netstring's frame. */
const TIMEOUT_MS = 100_000;
const REPLY_LIMIT_BYTES = 100_000;
const FRAME_BYTES = "100000:,".length;
const COMMA = 44;

export type SocketmapReply =
  | { readonly kind: "found"; readonly value: string }
  | { readonly kind: "notFound" }
  | { readonly kind: "failed"; readonly why: string };

/** Throws TableError for a bad name. `timeoutMs` is for tests. */
export function openSocketmap(
  ref: string,
  name: string,
  options: Pick<OpenerContext, "clock"> & { readonly timeoutMs?: number },
): LookupTable {
  const colon = name.lastIndexOf(":");
  const map = name.slice(colon + 1);
  if (colon < 0 || map === "" || /\s/.test(map)) throw new TableError("socketmap requires server:socketmap argument");
  const exchange = new PeerExchange({
    target: parseTarget(name.slice(0, colon)),
    clock: options.clock ?? systemClock,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    replyLimitBytes: REPLY_LIMIT_BYTES + FRAME_BYTES,
  });
  return {
    ref,
    partialKeys: false,
    async get(key) {
      try {
        const reply = await exchange.ask(formatSocketmapRequest(map, key), parseSocketmapReply);
        if (reply.kind === "notFound") return undefined;
        if (reply.kind === "found") return checkValue(ref, reply.value);
        throw new PeerError("refused", reply.why);
      } catch (cause) {
        throw lookupError(ref, cause);
      }
    },
    async close() {
      exchange.close();
    },
  };
}

/** The netstring of `map key`. */
export function formatSocketmapRequest(map: string, key: string): Buffer {
  const text = Buffer.from(`${map} ${key}`, "utf8");
  return Buffer.concat([Buffer.from(`${text.length}:`), text, Buffer.from(",")]);
}

/** Reads one answer netstring. */
export function parseSocketmapReply(bytes: Buffer): Parsed<SocketmapReply> {
  const head = bytes.toString("latin1", 0, FRAME_BYTES);
  const [start, digits] = /^(0|[1-9]\d{0,5}):/.exec(head) ?? [];
  if (start === undefined || digits === undefined) {
    if (/^(?:0|[1-9]\d{0,5})?$/.test(head)) return { kind: "more" };
    return { kind: "malformed", why: `bad netstring from the server: ${shown(head)}` };
  }
  const length = Number(digits);
  if (length > REPLY_LIMIT_BYTES) {
    return { kind: "malformed", why: `the answer is longer than ${REPLY_LIMIT_BYTES} bytes` };
  }
  const end = start.length + length;
  if (bytes.length <= end) return { kind: "more" };
  if (bytes[end] !== COMMA) return { kind: "malformed", why: "bad netstring from the server: no comma at its end" };
  return { kind: "reply", reply: readReply(bytes.toString("utf8", start.length, end)), length: end + 1 };
}

const FAILURES = new Map([
  ["TEMP", "temporary"],
  ["TIMEOUT", "timeout"],
  ["PERM", "permanent"],
]);

function readReply(text: string): SocketmapReply {
  const blank = text.indexOf(" ");
  const word = blank < 0 ? text : text.slice(0, blank);
  const rest = blank < 0 ? "" : text.slice(blank + 1);
  if (word === "OK") return { kind: "found", value: rest };
  if (word === "NOTFOUND") return { kind: "notFound" };
  const failure = FAILURES.get(word);
  const reason = shown((failure === undefined ? text : rest).trimStart());
  return { kind: "failed", why: `socketmap server ${failure ?? "unknown"} error${reason === "" ? "" : `: ${reason}`}` };
}

function shown(text: string): string {
  return printableAscii(text).slice(0, 200);
}
