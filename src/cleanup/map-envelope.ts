/** cleanup/map-envelope.ts: the sender and the recipients as they are queued: mapped, aliases expanded, automatic copies added,
 *  duplicates left out (cleanup_addr(3), cleanup_out_recipient(3)). */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress } from "../mail/address.ts";
import type { RecipientDsn } from "../mail/dsn.ts";
import type { Recipient } from "../mail/envelope.ts";
import type { AddressMappings } from "../rewrite/mappings.ts";

const COPY: RecipientDsn = { notify: ["NEVER"] };

export interface MappedEnvelope {
  readonly sender: Address;
  readonly recipients: readonly Recipient[];
}

export interface EnvelopeMapping {
  readonly mappings: AddressMappings;
  readonly params: Parameters;
  /** Canonical form in local context. */
  readonly rewrite: (address: Address) => Address;
  /** Takes log lines without queue id. */
  readonly warn: (text: string) => void;
}

/** The envelope of one message as it came. */
export interface GivenEnvelope extends MappedEnvelope {
  /** BCC of header_checks and body_checks: nobody hears of them. */
  readonly copies?: readonly Address[];
}

/** As it came, where a service maps nothing. */
export function unmapped({ sender, recipients, copies = [] }: GivenEnvelope): MappedEnvelope {
  if (copies.length === 0) return { sender, recipients };
  const added = copies.map((address) => ({ address, original: address, dsn: COPY }));
  return { sender, recipients: [...recipients, ...added] };
}

/** Recipients as their next hops shall see them (qmgr_message.c): `peel` as in CleanupDeps. */
export function peelRecipients(
  mapped: MappedEnvelope,
  peel: (address: Address) => Awaitable<Address> | undefined,
): Awaitable<MappedEnvelope> {
  const found = mapped.recipients.map(({ address }) => peel(address));
  if (found.every((address) => address === undefined)) return mapped;
  return Promise.all(found).then((addresses) => ({
    sender: mapped.sender,
    recipients: mapped.recipients.map((recipient, i) => ({ ...recipient, address: addresses[i] ?? recipient.address })),
  }));
}

/** Rejects MappingError. */
export function mapEnvelope(given: GivenEnvelope, mapping: EnvelopeMapping): Awaitable<MappedEnvelope> {
  const { mappings, params, warn } = mapping;
  if (!mappings.idle || (given.copies?.length ?? 0) > 0) return mapAll(given, mapping);
  const recipients = uniqueOf(given.recipients, params);
  return whenKnown(mappings.map(given.sender, "envelope_sender", warn), (sender) => ({ sender, recipients }));
}

async function mapAll(given: GivenEnvelope, mapping: EnvelopeMapping): Promise<MappedEnvelope> {
  const { mappings, params, warn } = mapping;
  const kept = new UniqueRecipients(params);
  const sender = await mappings.map(given.sender, "envelope_sender", warn);
  const add = async (recipient: Recipient) => {
    for (const address of await mappings.expand(recipient.address)) kept.add({ ...recipient, address });
  };
  const addCopy = async (copy: Address | undefined) => {
    if (copy === undefined) return;
    const address = await mappings.map(mapping.rewrite(copy), "envelope_recipient", warn);
    await add({ address, original: address, dsn: COPY });
  };
  await addCopy(await mappings.copyFor("sender", sender));
  for (const recipient of given.recipients) {
    const address = await mappings.map(recipient.address, "envelope_recipient", warn);
    await add({ ...recipient, address });
    await addCopy(await mappings.copyFor("recipient", address));
  }
  await addCopy(mappings.alwaysCopy);
  for (const copy of given.copies ?? []) await addCopy(copy);
  return { sender, recipients: kept.recipients };
}

function uniqueOf(recipients: readonly Recipient[], params: Parameters): readonly Recipient[] {
  if (recipients.length < 2) return recipients;
  const kept = new UniqueRecipients(params);
  for (const recipient of recipients) kept.add(recipient);
  return kept.recipients;
}

/** Recipients that differ in what their sender asked for are kept apart; with enable_original_recipient also those that
 *  were written to another address. Remembers duplicate_filter_limit of them. */
class UniqueRecipients {
  readonly recipients: Recipient[] = [];
  readonly #known = new Set<string>();
  readonly #limit: number;
  readonly #byOriginal: boolean;

  constructor(params: Parameters) {
    this.#limit = params.get("duplicate_filter_limit") || Number.POSITIVE_INFINITY;
    this.#byOriginal = params.get("enable_original_recipient");
  }

  add(recipient: Recipient): void {
    const { address, dsn } = recipient;
    const original = this.#byOriginal ? recipient.original : asAddress("");
    const key = JSON.stringify([dsn?.orcpt ?? "", dsn?.notify ?? [], original, address]).toLowerCase();
    if (this.#known.has(key)) return;
    if (this.#known.size < this.#limit) this.#known.add(key);
    this.recipients.push(recipient);
  }
}
