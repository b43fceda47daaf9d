/** cleanup/milter-stage.ts: a whole message before the Milters, and what they make of it (cleanup_milter.c is the reference for the
 *  words of the log). Each Milter gets the body as the one before it left it: from memory or from its file, never whole. */
import type { Log } from "../log/log.ts";
import { type Address, asAddress, formatAddress } from "../mail/address.ts";
import type { Envelope, Recipient } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type Reply, replyText } from "../mail/reply.ts";
import { MessageEdits } from "../milter/edits.ts";
import type { MilterBody } from "../milter/filter.ts";
import type { MilterSession } from "../milter/milters.ts";
import type { BodyWriter, QueueStore, StoredBody } from "../queue/store.ts";
import type { HeaderField } from "./header-block.ts";
import type { Ledger } from "./ledger.ts";
import type { MappedEnvelope } from "./map-envelope.ts";

export interface MilterStageDeps {
  readonly milters: MilterSession;
  readonly store: Pick<QueueStore, "beginBody" | "readBody">;
  readonly log: Log;
  readonly envelope: Envelope;
  /** Canonical form in local context. */
  readonly rewrite: (address: Address) => Address;
  /** What the aliases of an added recipient lead to. */
  readonly expand: (address: Address) => Promise<readonly Address[]>;
}

export interface MilterInput {
  readonly fields: readonly HeaderField[];
  /** How many of the fields stand in front of our own Received. */
  readonly prepended: number;
  readonly mapped: MappedEnvelope;
  readonly writer: BodyWriter;
  readonly body: StoredBody;
}

export interface MilterOutput {
  readonly fields: readonly HeaderField[];
  readonly mapped: MappedEnvelope;
  readonly hold: boolean;
  readonly discard: boolean;
  readonly refusal: Reply | undefined;
  /** Others than before if the body was replaced. */
  readonly writer: BodyWriter;
  readonly body: StoredBody;
}

/** Rejects QueueError and MappingError; the writer that then holds the body is `holder.writer`. */
export async function passMilters(
  input: MilterInput,
  deps: MilterStageDeps,
  holder: { writer: BodyWriter },
): Promise<MilterOutput> {
  const { fields, prepended, mapped } = input;
  const edits = new MessageEdits(fields, fields[prepended]);
  const body = new Body(input, deps, holder);
  const answer = await deps.milters.message(edits, body);
  const refusal = answer.kind === "refuse" ? answer.reply : undefined;
  const said = { refuse: refusal && replyText(refusal), discard: "milter triggers DISCARD action" };
  if (answer.kind === "refuse") logAction("milter-reject", said.refuse ?? "", mapped, deps);
  if (answer.kind === "discard") logAction("milter-discard", said.discard, mapped, deps);
  if (answer.kind === "hold") logAction("milter-hold", "milter triggers HOLD action", mapped, deps);
  return {
    fields: edits.fields,
    mapped: await changedEnvelope(mapped, edits, deps),
    hold: answer.kind === "hold",
    discard: answer.kind === "discard",
    refusal,
    writer: holder.writer,
    body: body.stored,
  };
}

/** What the Milters changed of the content. */
export function recordMilters(
  ledger: Ledger,
  given: { readonly fields: readonly HeaderField[]; readonly body: StoredBody },
  out: MilterOutput,
): void {
  const occasion = { why: "a Milter asked for it", rule: "smtpd_milters" };
  ledger.compare(given.fields, out.fields, occasion);
  if (out.body !== given.body) ledger.record("body replaced", occasion);
}

async function changedEnvelope(
  { sender, recipients }: MappedEnvelope,
  { sender: newSender, added, deleted }: MessageEdits,
  { rewrite, expand }: MilterStageDeps,
): Promise<MappedEnvelope> {
  const canonical = (text: string) => (text === "" ? asAddress("") : rewrite(asAddress(text)));
  const gone = new Set(deleted.map((text) => canonical(text).toLowerCase()));
  const kept = recipients.filter(
    ({ address, original }) => !gone.has(address.toLowerCase()) && !gone.has(original.toLowerCase()),
  );
  const more: Recipient[] = [];
  for (const text of added) {
    const original = canonical(text);
    for (const address of await expand(original)) more.push({ address, original });
  }
  const known = new Set(kept.map(({ address }) => address.toLowerCase()));
  const fresh = more.filter(({ address }) => !known.has(address.toLowerCase()));
  return { sender: newSender === undefined ? sender : canonical(newSender), recipients: [...kept, ...fresh] };
}

class Body implements MilterBody {
  readonly #deps: MilterStageDeps;
  readonly #holder: { writer: BodyWriter };
  stored: StoredBody;
  #next: BodyWriter | undefined;

  constructor({ body }: MilterInput, deps: MilterStageDeps, holder: { writer: BodyWriter }) {
    this.#deps = deps;
    this.#holder = holder;
    this.stored = body;
  }

  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
    return this.#deps.store.readBody(this.stored);
  }

  async replace(chunk: Uint8Array): Promise<void> {
    this.#next ??= this.#deps.store.beginBody(this.#deps.envelope.queueId);
    const wait = this.#next.write(Buffer.from(chunk));
    if (wait) await wait;
  }

  async settled(): Promise<void> {
    const next = this.#next;
    if (next === undefined) return;
    this.#next = undefined;
    const before = this.#holder.writer;
    this.#holder.writer = next;
    await before.abort();
    this.stored = await next.finish();
  }
}

/** `QID: milter-reject: END-OF-MESSAGE from name[address]: text; from=<s> to=<r> proto=ESMTP helo=<h>`. */
function logAction(
  action: string,
  text: string,
  { recipients }: MappedEnvelope,
  { envelope, log }: MilterStageDeps,
): void {
  const { clientName, clientAddress, protocol, helo } = envelope.origin;
  const to = recipients.length > 0 ? ` to=<${formatAddress(recipients.at(-1)?.address ?? asAddress(""))}>` : "";
  const who = `from=<${formatAddress(envelope.sender)}>${to} proto=${protocol}${helo === undefined ? "" : ` helo=<${helo}>`}`;
  const line = `${envelope.queueId}: ${action}: END-OF-MESSAGE from ${clientName}[${clientAddress}]: ${text}; ${who}`;
  log.info(printableUtf8(line), { event: action, queue_id: envelope.queueId, reply: text });
}
