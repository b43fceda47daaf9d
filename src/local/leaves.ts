/** local/leaves.ts: delivers what an alias or a .forward file leads to. A single user of ours gets the mail at once; everybody else is
 *  forwarded to, in a message in which each has a status of his own, so that a failure never repeats what others have got.
 *  Postfix delivers to local users at once, and again to all of them while one fails. */
import { asAddress } from "../mail/address.ts";
import type { DeliveryRecipient, ForwardedMessage } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type Expansion, type Leaf, RESTRICTED } from "./expansion.ts";
import { type Forwardee, forwardMail } from "./forwarded-mail.ts";
import { hopsOf, messageIdOf } from "./header-block.ts";
import type { LocalDelivery } from "./local-delivery.ts";
import { at, bounced, type Result, sent } from "./result.ts";

export interface LeavesOrder {
  readonly expansion: Extract<Expansion, { kind: "alias" }>;
  /** How a leaf is delivered in this try; undefined: it is forwarded to. `alone`: nothing else is to be done. */
  readonly direct: (leaf: Leaf, context: { readonly alone: boolean }) => (() => Promise<Result>) | undefined;
}

/** Rejects TableError and MappingError before anything is delivered. */
export async function deliverLeaves(
  delivery: LocalDelivery,
  recipient: DeliveryRecipient,
  { expansion, direct }: LeavesOrder,
): Promise<Result> {
  const { discards, name } = expansion;
  const { leaves, failures } = withoutMixedCommands(expansion);
  const failed = failures.map(({ address, dsn, text }) => at(address, recipient, bounced(dsn, text)));
  const [first] = failed;
  // It will wait as a whole, and would be delivered at each try.
  if (first && delivery.options.params.get("soft_bounce")) return first;

  const alone = leaves.length === 1 && failed.length === 0;
  const ways = leaves.map((leaf) => ({ leaf, run: direct(leaf, { alone }) }));
  const own = distinct(ways.filter(({ run }) => run !== undefined));
  const [only] = own.length === 1 ? own : [];
  const rest = ways.filter(({ run }) => run === undefined || only === undefined).map(({ leaf }) => forwardeeOf(leaf));
  const tooFar = rest.length > 0 ? await hopLimit(delivery) : undefined;
  if (tooFar) return tooFar;
  const forwards = await forward(delivery, recipient, { to: rest, single: alone });

  const results = [...failed, ...forwards.map(({ envelope }) => sent(`forwarded as ${envelope.queueId}`))];
  if (only?.run) {
    const result = at(only.leaf.address, recipient, await only.run());
    if (result.kind === "deferred") return result; // all of it waits
    results.push(result);
  }
  if (discards) results.push(sent("delivered to file: /dev/null"));
  if (results.length === 0) results.push(sent(`"${printableUtf8(name)}" leads to nobody`));
  return merged(results, forwards, { alone, owned: rest.some(({ owner }) => owner !== undefined) });
}

/** Mail to an address of ours that no table names: through the same door. */
export async function forwardTo(
  delivery: LocalDelivery,
  recipient: DeliveryRecipient,
  to: readonly Forwardee[],
): Promise<Result> {
  const alone = to.length === 1;
  const tooFar = await hopLimit(delivery);
  if (tooFar) return tooFar;
  const forwards = await forward(delivery, recipient, { to, single: alone });
  const results = forwards.map(({ envelope }) => sent(`forwarded as ${envelope.queueId}`));
  return merged(results, forwards, { alone, owned: false });
}

/** Forwarding adds a Received header each time, so a loop that Delivered-To does not show ends here. */
async function hopLimit({ header, options }: LocalDelivery): Promise<Result | undefined> {
  const far = hopsOf(await header()) >= options.params.get("hopcount_limit");
  return far ? bounced("5.4.6", "too many hops: mail forwarding loop") : undefined;
}

async function forward(
  { request, options, header }: LocalDelivery,
  recipient: DeliveryRecipient,
  order: { readonly to: readonly Forwardee[]; readonly single: boolean },
): Promise<readonly ForwardedMessage[]> {
  if (order.to.length === 0) return [];
  const { params, clock, nextQueueId, mapRecipient } = options;
  const messageId = messageIdOf(await header());
  return forwardMail(
    { request, recipient, messageId, ...order },
    {
      ...{ clock, nextQueueId, mapRecipient },
      myhostname: params.text("myhostname"),
      mailName: params.text("mail_name"),
      deliveredTo: params.get("prepend_delivered_header").includes("forward"),
    },
  );
}

/** A command runs only where it is all that an alias leads to: beside others it would run again whenever one of them fails. */
function withoutMixedCommands({ leaves, failures, discards }: LeavesOrder["expansion"]) {
  if (leaves.length + failures.length + Number(discards) === 1) return { leaves, failures };
  const [dsn, text] = RESTRICTED;
  const commands = leaves.filter(({ kind }) => kind === "command").map(({ address }) => address);
  const refused = [...new Set(commands)].map((address) => ({ address, dsn, text }));
  return { leaves: leaves.filter(({ kind }) => kind !== "command"), failures: [...failures, ...refused] };
}

/** \name, where a name that leads back to itself would be a loop. */
function forwardeeOf({ address, kind, owner }: Leaf): Forwardee {
  const exempt = kind === "self" || kind === "mailbox";
  return { address: exempt ? asAddress(`\\${address}`) : address, owner, foreign: kind === "foreign" };
}

function distinct<T extends { readonly leaf: Leaf }>(ways: readonly T[]): readonly T[] {
  return [...new Map(ways.map((way) => [way.leaf.address.toLowerCase(), way])).values()];
}

/** One outcome for all: a failure comes first, since it is what the sender must hear of. */
function merged(
  results: readonly Result[],
  made: readonly ForwardedMessage[],
  { alone, owned }: { readonly alone: boolean; readonly owned: boolean },
): Result {
  const main = results.find(({ kind }) => kind === "bounced") ?? results[0];
  if (!main) throw new Error("Nothing became of a recipient");
  const forwards = [...made, ...results.flatMap((result) => result.forwards ?? [])];
  const others = results.filter((result) => result !== main);
  const also: Part[] = [...others.map(plain), ...results.flatMap((result) => result.also ?? [])];
  // RFC 3461 §5.2.7: a list has delivered; one address hears of success itself; several are "expanded".
  const dsnAction = owned ? undefined : alone ? "passedOn" : "expanded";
  return {
    ...main,
    ...(made.length > 0 && dsnAction !== undefined && { dsnAction }),
    ...(forwards.length > 0 && { forwards }),
    ...(also.length > 0 && { also }),
  };
}

type Part = NonNullable<Result["also"]>[number];

/** A line of the log beside the main one. */
function plain({ forwards: _forwards, also: _also, ...result }: Result): Part {
  return { recipientId: 0, relay: "local", connectMs: 0, transmitMs: 0, ...result };
}
