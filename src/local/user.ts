/** local/user.ts: mail for one user of this machine: his .forward file, then his mailbox, then what is done for names that nobody
 *  knows (local(8)). */
import { expand } from "../config/expand.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import type { DeliveryRecipient } from "../mail/delivery.ts";
import { parseAddressList } from "../mail/header-address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { parseTransport } from "../rewrite/transport.ts";
import { lookupTables, splitExtension } from "../tables/keys.ts";
import { expandForwardFile, type Leaf } from "./expansion.ts";
import { findForwardFile } from "./forward-file.ts";
import { handOver } from "./hand-over.ts";
import { deliverLeaves, forwardTo } from "./leaves.ts";
import type { LocalDelivery } from "./local-delivery.ts";
import { findMailbox, userOf } from "./mailbox.ts";
import { mailboxHead } from "./mailbox-head.ts";
import { writeToMaildir } from "./maildir.ts";
import { bounced, deferred, type Result, sent, unknownUser } from "./result.ts";

/** `kind` "mailbox": not even his .forward file counts. */
export type UserLeaf = Pick<Leaf, "address" | "kind">;

/** Rejects TableError and file system errors: the caller defers. */
export async function deliverToUser(
  delivery: LocalDelivery,
  recipient: DeliveryRecipient,
  { address, kind }: UserLeaf,
): Promise<Result> {
  const forwarded = kind === "mailbox" ? undefined : await followForwardFile(delivery, recipient, address);
  return forwarded ?? deliverToMailbox(delivery, recipient, address);
}

/** undefined: he has none. */
async function followForwardFile(
  delivery: LocalDelivery,
  recipient: DeliveryRecipient,
  address: Address,
): Promise<Result | undefined> {
  const { params } = delivery.options;
  const name = userOf(address, params);
  const user = params.get("postern_local_maildir") === "" ? delivery.userNamed(name) : undefined;
  if (!user || params.get("forward_path").trim() === "") return undefined;
  const file = await findForwardFile({ params, user, address, readFile: delivery.expansion.readFile });
  if (file.log !== undefined) delivery.warn(file.log);
  if (file.kind === "undecided") return deferred("4.3.0", "cannot read the user's .forward file");
  if (file.kind === "none") return undefined;
  const expansion = await expandForwardFile(file.destinations, { address, name, uid: user.uid }, delivery.expansion);
  if (expansion.kind === "undecided") {
    delivery.warn(expansion.log);
    return deferred(expansion.dsn, expansion.text);
  }
  if (delivery.request.probe) return sent(`forwards to ${printableUtf8(expansion.value)}`);
  const isOwn = (leaf: Leaf) => leaf.kind !== "foreign" && userOf(leaf.address, params) === name;
  return deliverLeaves(delivery, recipient, {
    expansion,
    direct: (leaf) => (isOwn(leaf) ? () => deliverToMailbox(delivery, recipient, leaf.address) : undefined),
  });
}

async function deliverToMailbox(
  delivery: LocalDelivery,
  recipient: DeliveryRecipient,
  address: Address,
): Promise<Result> {
  const { params, resolver, tables } = delivery.options;
  const mailbox = await findMailbox(address, {
    ...{ params, resolver, userNamed: delivery.userNamed },
    transports: tables.mailboxTransports,
  });
  switch (mailbox.kind) {
    case "failure":
      return mailbox.result;
    case "unknown":
      return deliverToUnknown(delivery, recipient, { address, user: mailbox.user });
    case "transport":
      return handOver(delivery, recipient, { address, ...mailbox });
    case "maildir":
      return writeMail(delivery, recipient, mailbox.path);
  }
}

async function writeMail(delivery: LocalDelivery, recipient: DeliveryRecipient, directory: string): Promise<Result> {
  const { request, signal, options } = delivery;
  if (request.probe) return sent("delivers to maildir");
  const limit = options.params.get("mailbox_size_limit");
  if (limit > 0 && request.content.sizeBytes > limit) {
    return bounced("5.2.2", "maildir delivery failed: message is larger than mailbox_size_limit");
  }
  const deliveredTo = options.params.get("prepend_delivered_header").includes("file");
  const head = mailboxHead(request.envelope.sender, recipient, { deliveredTo });
  await writeToMaildir({ directory, fileName: delivery.nextFileName(), head, content: request.content }, signal);
  return sent("delivered to maildir");
}

/** fallback_transport_maps, fallback_transport, luser_relay. */
async function deliverToUnknown(
  delivery: LocalDelivery,
  recipient: DeliveryRecipient,
  { address, user }: { readonly address: Address; readonly user: string },
): Promise<Result> {
  const { params, tables, resolver } = delivery.options;
  const hit = await lookupTables(tables.fallbackTransports, [user]);
  const transport = hit?.value ?? params.get("fallback_transport");
  if (transport !== "") return handOver(delivery, recipient, { address, ...parseTransport(transport) });
  const relay = params.get("luser_relay");
  if (relay === "") return unknownUser(user);
  const addresses = parseAddressList(expandForUser(relay, params, address));
  if (addresses.length === 0 || addresses.some((one) => /^[|/:]/.test(one))) {
    return deferred("4.3.5", "luser_relay is not an address");
  }
  if (delivery.request.probe) return sent(`forwards to ${printableUtf8(addresses.join(", "))}`);
  const to = [];
  for (const one of addresses.map((given) => resolver.rewrite(given))) {
    const route = await resolver.route(one, delivery.request.envelope.sender);
    to.push({ address: one, owner: undefined, foreign: route.transport !== delivery.request.transport });
  }
  return forwardTo(delivery, recipient, to);
}

/** What a client wrote cannot name a parameter: "$" is no character of a macro's value here. */
function expandForUser(text: string, params: Parameters, address: Address): string {
  const local = localPartOf(address);
  const split = splitExtension(local, params.text("recipient_delimiter"));
  const values: Readonly<Record<string, string>> = {
    ...{ user: split?.base ?? local, local, recipient: address, domain: domainOf(address) ?? "" },
    extension: split?.extension.slice(1) ?? "",
    recipient_delimiter: split?.extension.slice(0, 1) ?? "",
  };
  return expand(text, (name) => {
    const value = Object.hasOwn(values, name) ? values[name]?.replace(/[^\w!@%=+:./-]/g, "_") : undefined;
    return value ?? params.unexpanded(name);
  });
}
