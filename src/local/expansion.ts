/** local/expansion.ts: where aliases lead (aliases(5), local(8)): through alias_maps and :include: files to the names and
 *  addresses that are no aliases. Decides nothing about delivery. */
import { type Address, asAddress, domainOf, localPartOf } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import { lookupTables, splitExtension } from "../tables/keys.ts";
import type { LookupTable } from "../tables/table.ts";
import { type DestinationFile, isReadableFor } from "./destination-file.ts";
import { type Destination, parseDestinationLines, parseDestinations } from "./destinations.ts";

/** More than anybody's mailing list, less than memory holds. */
const MAX_LEAVES = 50_000;

/** `|command` in an alias. */
export interface AliasCommand {
  /** Name of the alias. */
  readonly alias: string;
  readonly text: string;
}

/** An address at the end of the way. */
export interface Leaf {
  readonly address: Address;
  /** "self": an alias that names itself, where the user is meant; "mailbox": `\name`, without his .forward file either;
   *  "local": any other name of ours; "foreign": an address that another transport delivers; "command": `|command`. */
  readonly kind: "self" | "mailbox" | "local" | "foreign" | "command";
  /** Of "command". */
  readonly command?: AliasCommand | undefined;
  /** The owner of the list, who gets its failures; undefined: the sender of the message. */
  readonly owner: Address | undefined;
  /** It stands in an :include: file. */
  readonly included: boolean;
}

/** A destination that fails, whatever becomes of the others. */
export interface LeafFailure {
  readonly address: Address;
  readonly dsn: string;
  readonly text: string;
}

export type Expansion =
  | { readonly kind: "noAlias" }
  /** Nothing can be said now; `log` is a line for the log. */
  | { readonly kind: "undecided"; readonly dsn: string; readonly text: string; readonly log: string }
  | {
      readonly kind: "alias";
      readonly name: string;
      readonly value: string;
      readonly leaves: readonly Leaf[];
      readonly failures: readonly LeafFailure[];
      /** /dev/null stands in it. */
      readonly discards: boolean;
    };

export interface ExpansionOptions {
  /** alias_maps. */
  readonly aliases: readonly LookupTable[];
  /** recipient_delimiter. */
  readonly delimiter: string;
  /** Words of propagate_unmatched_extensions. */
  readonly propagate: ReadonlySet<string>;
  /** expand_owner_alias, owner_request_special. */
  readonly expandOwner: boolean;
  readonly ownerSpecial: boolean;
  /** reset_owner_alias. */
  readonly resetOwner: boolean;
  /** duplicate_filter_limit: addresses that are remembered as seen; Infinity for no limit. */
  readonly duplicateLimit: number;
  readonly resolver: Pick<AddressResolver, "rewrite" | "route">;
  /** The transport whose names are ours. */
  readonly transport: string;
  readonly sender: Address;
  readonly readFile: (path: string) => Promise<DestinationFile>;
  /** Aliases may name commands; lists and users' files never may. */
  readonly commands: boolean;
}

/** Status and text of a command that may not be run. */
export const RESTRICTED = ["5.7.1", "mail to command is restricted"] as const;

/** Where the walk is. */
interface Place {
  /** The alias whose value is read; undefined at the beginning. */
  readonly from: string | undefined;
  readonly owner: Address | undefined;
  readonly included: boolean;
  /** Put behind the local parts of what the value names. */
  readonly extension: string;
  /** Who wrote what is read: he names no :include: file that he could not read himself. An alias table is root's. */
  readonly uid: number;
  /** Aliases that are open. */
  readonly path: readonly string[];
  /** The name that mail came for, for failures. */
  readonly address: Address;
}

class Undecided extends Error {
  override readonly name = "Undecided";
  readonly dsn: string;
  readonly text: string;
  constructor(dsn: string, text: string, log?: string) {
    super(log ?? text);
    this.dsn = dsn;
    this.text = text;
  }
}

/** Rejects TableError: the caller defers. */
export async function expandAlias(address: Address, options: ExpansionOptions): Promise<Expansion> {
  const walk = new Walk(options);
  const place = { from: undefined, owner: undefined, included: false, extension: "", uid: 0, path: [], address };
  return (
    (await decided(async () => {
      const hit = await walk.enter(address, place);
      return hit ? walk.found(hit) : undefined;
    })) ?? { kind: "noAlias" }
  );
}

/** The same for what a user's .forward file says: aliases are not followed here, and his own name means his mailbox. */
export async function expandForwardFile(
  destinations: readonly Destination[],
  { address, name, uid }: { readonly address: Address; readonly name: string; readonly uid: number },
  options: ExpansionOptions,
): Promise<Exclude<Expansion, { kind: "noAlias" }>> {
  const walk = new Walk({ ...options, aliases: [], commands: false });
  const unmatched = splitExtension(localPartOf(address), options.delimiter)?.extension ?? "";
  const extension = options.propagate.has("forward") ? unmatched : "";
  const place = { from: name, owner: undefined, included: false, extension, uid, path: [name], address };
  return decided(async () => {
    await walk.follow(destinations, place);
    return walk.found({ name, value: destinations.map(shownDestination).join(", ") });
  });
}

async function decided<T>(run: () => Promise<T>): Promise<T | Extract<Expansion, { kind: "undecided" }>> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Undecided)) throw error;
    return { kind: "undecided", dsn: error.dsn, text: error.text, log: error.message };
  }
}

function shownDestination(destination: Destination): string {
  if ("address" in destination) return destination.address;
  if ("path" in destination) return destination.path;
  return "command" in destination ? `|${destination.command}` : destination.text;
}

class Walk {
  readonly leaves: Leaf[] = [];
  readonly failures: LeafFailure[] = [];
  discards = false;
  readonly #options: ExpansionOptions;
  readonly #seen = new Set<string>();
  /** Aliases that are done, with all that their leaves depend on. */
  readonly #done = new Set<string>();

  constructor(options: ExpansionOptions) {
    this.#options = options;
  }

  found(what: { readonly name: string; readonly value: string }): Extract<Expansion, { kind: "alias" }> {
    return { kind: "alias", ...what, leaves: this.leaves, failures: this.failures, discards: this.discards };
  }

  /** Reads the alias of this name if there is one: first with its extension, then without. */
  async enter(address: Address, place: Place): Promise<{ readonly name: string; readonly value: string } | undefined> {
    const local = localPartOf(address).toLowerCase();
    const split = splitExtension(local, this.#options.delimiter);
    const unmatched = this.#options.propagate.has("alias") ? (split?.extension ?? "") : "";
    const names = split ? [local, split.base] : [local];
    for (const name of names) {
      if (place.from === name) continue; // it names itself: the user is meant
      const value = (await lookupTables(this.#options.aliases, [name]))?.value;
      if (value === undefined) continue;
      if (place.path.includes(name)) {
        this.#fail(address, "5.4.6", `alias database loop for ${printableUtf8(name)}`);
        return { name, value };
      }
      const extension = name === local ? "" : unmatched;
      await this.#read(name, value, { ...place, extension, address });
      return { name, value };
    }
    return undefined;
  }

  async #read(name: string, value: string, place: Place): Promise<void> {
    const own = await this.#ownerOf(name);
    const owner = own ?? (this.#options.resetOwner ? undefined : place.owner);
    const inside: Place = { ...place, from: name, owner, path: [...place.path, name] };
    const key = JSON.stringify([name, place.from, owner, place.included, place.extension]);
    if (this.#done.has(key)) return;
    await this.follow(parseDestinations(value), inside);
    this.#done.add(key);
  }

  /** The envelope sender that an owner- alias gives to what the alias forwards. */
  async #ownerOf(name: string): Promise<Address | undefined> {
    const { ownerSpecial, aliases, expandOwner, resolver } = this.#options;
    if (!ownerSpecial) return undefined;
    const value = (await lookupTables(aliases, [`owner-${name}`]))?.value;
    if (value === undefined) return undefined;
    const [first] = expandOwner ? parseDestinations(value) : [];
    return resolver.rewrite(first?.kind === "address" ? first.address : asAddress(`owner-${name}`));
  }

  async follow(destinations: readonly Destination[], place: Place): Promise<void> {
    for (const destination of destinations) await this.#one(destination, place);
  }

  async #one(destination: Destination, place: Place): Promise<void> {
    switch (destination.kind) {
      case "address":
        return this.#address(destination.address, place);
      case "mailbox":
        return this.#leaf(this.#complete(destination.address, place), "mailbox", place);
      case "include":
        return this.#include(destination.path, place);
      case "file":
        if (destination.path === "/dev/null") this.discards = true;
        else this.#fail(place.address, "5.7.1", "mail to file is restricted");
        return;
      case "command":
        return this.#command(destination.command, place);
      case "invalid":
        return this.#fail(place.address, "5.1.3", `bad recipient address syntax: ${printableUtf8(destination.text)}`);
    }
  }

  #command(text: string, place: Place): void {
    const { from: alias, included } = place;
    const allowed = this.#options.commands && !included && alias !== undefined;
    if (allowed) this.#leaf(place.address, "command", place, { alias, text });
    else this.#fail(place.address, ...RESTRICTED);
  }

  async #address(given: Address, place: Place): Promise<void> {
    const { resolver, sender, transport } = this.#options;
    const address = this.#complete(given, place);
    const route = await resolver.route(address, place.owner ?? sender);
    if (route.transport !== transport) return this.#leaf(route.recipient, "foreign", place);
    if (await this.enter(route.recipient, place)) return;
    this.#leaf(route.recipient, this.#baseOf(route.recipient) === place.from ? "self" : "local", place);
  }

  async #include(path: string, place: Place): Promise<void> {
    if (!path.startsWith("/")) throw misconfigured(`:include:${path} uses a relative path`);
    const file = await this.#options.readFile(path);
    if (file.kind === "missing") throw misconfigured(`unable to lookup :include: file ${path}: ${file.reason}`);
    if (file.kind === "refused") throw misconfigured(`:include: file ${path} ${file.reason}`);
    if (!isReadableFor(place.uid, file))
      throw misconfigured(`:include: file ${path} is not readable for uid ${place.uid}`);
    const opened = `:include:${path}`;
    if (place.path.includes(opened)) return this.#fail(place.address, "5.4.6", `mail forwarding loop for ${path}`);
    const extension = this.#options.propagate.has("include") ? place.extension : "";
    const inside = { ...place, included: true, extension, uid: file.ownerUid, path: [...place.path, opened] };
    await this.follow(parseDestinationLines(file.text), inside);
  }

  /** With its domain, and with the extension that no alias matched. */
  #complete(given: Address, { extension }: Place): Address {
    const address = this.#options.resolver.rewrite(given);
    if (extension === "") return address;
    const domain = domainOf(address);
    return asAddress(`${localPartOf(address)}${extension}${domain === undefined ? "" : `@${domain}`}`);
  }

  #baseOf(address: Address): string {
    const local = localPartOf(address).toLowerCase();
    return splitExtension(local, this.#options.delimiter)?.base ?? local;
  }

  #leaf(address: Address, kind: Leaf["kind"], { owner, included }: Place, command?: AliasCommand): void {
    const key = `${kind === "local" ? "" : kind} ${address.toLowerCase()} ${owner ?? ""} ${command?.text ?? ""}`;
    if (this.#seen.has(key)) return;
    if (this.#seen.size < this.#options.duplicateLimit) this.#seen.add(key);
    if (this.leaves.length >= MAX_LEAVES) {
      throw new Undecided("4.3.5", `an alias leads to more than ${MAX_LEAVES} addresses`);
    }
    this.leaves.push({ address, kind, owner, included, ...(command && { command }) });
  }

  #fail(address: Address, dsn: string, text: string): void {
    const known = this.failures.some((failure) => failure.address === address && failure.text === text);
    if (!known && this.failures.length < MAX_LEAVES) this.failures.push({ address, dsn, text });
  }
}

/** Postfix returns such mail with 5.3.5; here it waits until the file is right. */
function misconfigured(log: string): Undecided {
  return new Undecided("4.3.5", "mail system configuration error", printableUtf8(log));
}
