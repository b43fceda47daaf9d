/** tables/tcp.ts: `tcp:host:port`, tcp_table(5): `get KEY` lines, answered by `200 VALUE`, `400 why` or `500 why`. Blanks,
 *  `%` and everything that is not printable ASCII travel as %XX, so no key can hold a second question. */
import { systemClock } from "../base/clock.ts";
import { printableAscii } from "../mail/printable.ts";
import type { OpenerContext } from "./opener.ts";
import { type Parsed, PeerExchange, parseTarget } from "./peer-exchange.ts";
import { checkValue, lookupError, PeerError } from "./peer-pool.ts";
import type { LookupTable } from "./table.ts";

/** Postfix's limits: 100 seconds, 4096 bytes with the line end. */
const TIMEOUT_MS = 100_000;
const REPLY_LIMIT_BYTES = 4096;
const LF = 10;

export type TcpReply =
  | { readonly kind: "found"; readonly value: string }
  | { readonly kind: "notFound" }
  | { readonly kind: "failed"; readonly why: string };

/** Throws TableError for a bad server name. `timeoutMs` is for tests. */
export function openTcp(
  ref: string,
  name: string,
  options: Pick<OpenerContext, "clock"> & { readonly timeoutMs?: number },
): LookupTable {
  const exchange = new PeerExchange({
    target: parseTarget(`inet:${name}`),
    clock: options.clock ?? systemClock,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    replyLimitBytes: REPLY_LIMIT_BYTES,
  });
  return {
    ref,
    partialKeys: false,
    async get(key) {
      try {
        const reply = await exchange.ask(formatTcpRequest(key), parseTcpReply);
        if (reply.kind === "notFound") return undefined;
        if (reply.kind === "found") return checkValue(ref, reply.value);
        throw new PeerError("refused", `the server reports an error: ${shown(reply.why)}`);
      } catch (cause) {
        throw lookupError(ref, cause);
      }
    },
    async close() {
      exchange.close();
    },
  };
}

/** `get KEY` and LF, the key's UTF-8 bytes coded. */
export function formatTcpRequest(key: string): Buffer {
  let coded = "get ";
  for (const byte of Buffer.from(key, "utf8")) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x25;
    coded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return Buffer.from(`${coded}\n`, "latin1");
}

/** Reads one answer line. */
export function parseTcpReply(bytes: Buffer): Parsed<TcpReply> {
  const end = bytes.indexOf(LF);
  if (end >= REPLY_LIMIT_BYTES || (end < 0 && bytes.length >= REPLY_LIMIT_BYTES)) {
    return { kind: "malformed", why: `the answer is longer than ${REPLY_LIMIT_BYTES} bytes` };
  }
  if (end < 0) return { kind: "more" };
  const line = bytes.toString("latin1", 0, end).replace(/\r+$/, "");
  const [, status, coded = ""] = /^(200|400|500)(?:[ \t]+(.*))?$/.exec(line) ?? [];
  const text = decode(coded);
  if (status === undefined) return { kind: "malformed", why: `bad answer: ${shown(line)}` };
  if (text === undefined) return { kind: "malformed", why: `bad %XX code in the answer: ${shown(line)}` };
  const length = end + 1;
  if (status === "200") return { kind: "reply", reply: { kind: "found", value: text }, length };
  return { kind: "reply", reply: status === "500" ? { kind: "notFound" } : { kind: "failed", why: text }, length };
}

/** Undefined for a `%` that two hexadecimal digits do not follow. */
function decode(coded: string): string | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(coded)) return undefined;
  const bytes = coded.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

function shown(text: string): string {
  return printableAscii(text).slice(0, 100);
}
