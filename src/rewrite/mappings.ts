/** rewrite/mappings.ts: the address mappings of one scope, in cleanup(8)'s order: canonical maps, masquerading, then virtual aliases
 *  and automatic copies. Addresses go in and come out in canonical form. All methods reject MappingError. */
import type { Awaitable } from "../base/awaitable.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress, localPartOf, NULL_ADDRESS } from "../mail/address.ts";
import { compileNameList } from "../tables/pattern-list.ts";
import { type AddressMap, type AddressMapDeps, createAddressMap } from "./address-map.ts";
import { type AliasLimits, expandAliases, mapOne } from "./map-address.ts";
import { askedFor } from "./mapping-error.ts";
import { masquerade } from "./masquerade.ts";

export type AddressPlace = "envelope_sender" | "envelope_recipient" | "header_sender" | "header_recipient";

export interface AddressMappings {
  /** Nothing is configured: map() gives its answer at once, expand() and copies need not be asked. */
  readonly idle: boolean;
  /** Whether map() can change an address at this place. */
  changes(place: AddressPlace): boolean;
  /** Canonical maps and masquerading; the null address stays. `warn` takes log lines without queue id. */
  map(address: Address, place: AddressPlace, warn: (text: string) => void): Awaitable<Address>;
  /** What a recipient's aliases lead to; itself if it is none. */
  expand(recipient: Address): Promise<readonly Address[]>;
  /** The automatic copy for a sender or recipient, as the table says it. */
  copyFor(who: "sender" | "recipient", address: Address): Promise<Address | undefined>;
  /** always_bcc; undefined: nobody. */
  readonly alwaysCopy: Address | undefined;
}

/** Opens the tables of one scope. */
export function createMappings(params: Parameters, deps: AddressMapDeps): AddressMappings {
  const steps = stepsOf(params, deps);
  const aliases = createAddressMap("virtual_alias_maps", "virtual", params, deps);
  const limits: AliasLimits = {
    expansion: params.get("virtual_alias_expansion_limit"),
    recursion: params.get("virtual_alias_recursion_limit"),
    addressLength: params.get("virtual_alias_address_length_limit"),
  };
  const copies = {
    sender: createAddressMap("sender_bcc_maps", "none", params, deps),
    recipient: createAddressMap("recipient_bcc_maps", "none", params, deps),
  };
  const always = params.get("always_bcc");
  const daemon = deps.resolver.rewrite(asAddress("MAILER-DAEMON")).toLowerCase();
  const maps = [aliases, copies.sender, copies.recipient];
  return {
    idle: Object.values(steps).every(({ length }) => length === 0) && maps.every((map) => !map) && always === "",
    changes: (place) => steps[place].length > 0,
    map(address, place, warn) {
      if (place === "envelope_sender" && address.toLowerCase() === daemon) return NULL_ADDRESS;
      return address === "" || steps[place].length === 0 ? address : inTurn(steps[place], address, warn);
    },
    expand: async (recipient) => (aliases ? expandAliases(recipient, aliases, limits) : [recipient]),
    copyFor: async (who, address) => (address === "" ? undefined : copyOf(copies[who], address)),
    alwaysCopy: always === "" ? undefined : asAddress(always),
  };
}

/** Postfix leaves the address out of this one log line. */
async function copyOf(map: AddressMap | undefined, address: Address): Promise<Address | undefined> {
  return map && (await askedFor(map.name, "", () => map.lookup(address)))?.[0];
}

async function inTurn(steps: readonly Step[], address: Address, warn: (text: string) => void): Promise<Address> {
  let current = address;
  for (const step of steps) current = await step(current, warn);
  return current;
}

type Step = (address: Address, warn: (text: string) => void) => Promise<Address>;

/** What is done at each place, in order. */
function stepsOf(params: Parameters, deps: AddressMapDeps): Readonly<Record<AddressPlace, readonly Step[]>> {
  const mapStep = (map: AddressMap | undefined): Step | undefined =>
    map && ((address, warn) => mapOne(address, map, warn));
  const all = [
    {
      step: mapStep(createAddressMap("sender_canonical_maps", "canonical", params, deps)),
      places: params.get("sender_canonical_classes"),
    },
    {
      step: mapStep(createAddressMap("recipient_canonical_maps", "canonical", params, deps)),
      places: params.get("recipient_canonical_classes"),
    },
    {
      step: mapStep(createAddressMap("canonical_maps", "canonical", params, deps)),
      places: params.get("canonical_classes"),
    },
    { step: masqueradeStep(params, deps), places: params.get("masquerade_classes") },
  ];
  const at = (place: AddressPlace) =>
    all.flatMap(({ step, places }) => (step && places.some((p) => p.toLowerCase() === place) ? [step] : []));
  return {
    envelope_sender: at("envelope_sender"),
    envelope_recipient: at("envelope_recipient"),
    header_sender: at("header_sender"),
    header_recipient: at("header_recipient"),
  };
}

function masqueradeStep(params: Parameters, { tables }: AddressMapDeps): Step | undefined {
  const domains = params.get("masquerade_domains").map((name) => name.toLowerCase());
  if (domains.length === 0) return undefined;
  const exceptions = compileNameList(params.get("masquerade_exceptions"), { opener: tables });
  const rules = { domains, isExcepted: (user: string) => exceptions.matches(user) };
  return (address) => askedFor("masquerade_exceptions", localPartOf(address), () => masquerade(address, rules));
}
