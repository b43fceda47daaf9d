/** cleanup/testdata/submit.ts: takes one message through cleanup with a store in memory; for tests. */
import { parametersOf } from "../../config/parameters.ts";
import { Log, type LogRecord } from "../../log/log.ts";
import { asAddress } from "../../mail/address.ts";
import type { Envelope } from "../../mail/envelope.ts";
import { formatShortQueueId } from "../../mail/queue-id.ts";
import { replyText } from "../../mail/reply.ts";
import type { NewMessage, StoredBody } from "../../queue/store.ts";
import type { MessageOptions } from "../cleanup.ts";
import { createCleanup } from "../create.ts";
import type { CleanupDeps } from "../deps.ts";

export interface Submission {
  readonly settings?: Readonly<Record<string, string>>;
  readonly login?: string;
  readonly sender?: string;
  /** Of MAIL. */
  readonly smtputf8?: boolean;
  readonly declared?: Envelope["body"];
  readonly options?: Partial<MessageOptions>;
  readonly deps?: Partial<CleanupDeps>;
  /** Bytes of each write; undefined: all at once. */
  readonly step?: number;
}

export interface Submitted {
  /** "queued", or the reply. */
  readonly result: string;
  /** Fields behind our own Received, one text each. */
  readonly fields: readonly string[];
  readonly body: string;
  readonly envelope: Envelope | undefined;
  readonly log: readonly string[];
}

/** `content` is latin1 text of the bytes. Without a Date of its own the message is of 2026-11-24. */
export async function submit(content: string, given: Submission = {}): Promise<Submitted> {
  const bytes = Buffer.from(content, "latin1");
  const step = given.step ?? bytes.length;
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += step) pieces.push(Buffer.from(bytes.subarray(at, at + step)));
  return submitBytes(pieces, given);
}

/** The same for content that need not be in memory. */
export async function submitBytes(chunks: Iterable<Uint8Array>, given: Submission = {}): Promise<Submitted> {
  const appended: NewMessage[] = [];
  const log: string[] = [];
  const record = ({ severity, text }: LogRecord) => log.push(severity === "info" ? text : `${severity}: ${text}`);
  const cleanup = createCleanup({
    params: parametersOf({ myhostname: "mail.example.org", mydomain: "example.org", ...given.settings }),
    store: memoryStore(appended),
    log: new Log({ sink: record, now: () => 0, tag: "postfix/cleanup", id: 1 }),
    laneOf: async () => "smtp:x.test",
    arrived: () => undefined,
    poke: () => undefined,
    ...given.deps,
  } as CleanupDeps);
  const message = cleanup.begin(optionsOf(given));
  for (const chunk of chunks) await message.write(chunk);
  const result = await message.finish({ hold: false, discard: false });
  const [stored] = appended;
  const header = stored ? Buffer.from(stored.header).toString("latin1") : "";
  return {
    result: result.kind === "queued" ? "queued" : replyText(result.reply),
    fields: fieldsOf(header),
    body: stored?.body.kind === "inline" ? Buffer.from(stored.body.bytes).toString("latin1") : "",
    envelope: stored?.envelope,
    log,
  };
}

function memoryStore(appended: NewMessage[]): CleanupDeps["store"] {
  return {
    beginBody: () => {
      const parts: Uint8Array[] = [];
      return {
        sizeBytes: 0,
        write: (chunk) => void parts.push(chunk),
        finish: (): StoredBody => ({ kind: "inline", bytes: Buffer.concat(parts) }),
        abort: async () => undefined,
      };
    },
    readBody: (body) => (body.kind === "inline" ? [body.bytes] : []),
    append: async (message) => {
      appended.push(message);
      return undefined;
    },
  };
}

function optionsOf({ login, sender = "alice@example.org", options, smtputf8 = false, declared }: Submission): MessageOptions {
  const origin = {
    ...{ clientName: "unknown", clientAddress: "192.0.2.7", helo: "laptop", protocol: "ESMTP" },
    ...(login !== undefined && { saslUsername: login, saslMethod: "PLAIN" }),
    service: "submission",
  };
  const queueId = formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 });
  return {
    envelope: {
      ...{ queueId, sender: asAddress(sender), arrivalMs: 1_795_500_000_123 },
      ...{ smtputf8, body: declared ?? "8BITMIME", origin },
    },
    recipients: [{ address: asAddress("b@x.test"), original: asAddress("b@x.test") }],
    ...{ tls: undefined, prepend: [], role: "submission" },
    ...options,
  };
}

function fieldsOf(header: string): readonly string[] {
  const fields = header.replace(/\r\n\r\n$/, "").split(/\r\n(?![ \t])/);
  return fields.slice(fields.findIndex((field) => field.startsWith("Received: ")) + 1);
}
