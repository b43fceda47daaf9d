/** test/dialogues/access.ts: the real restriction language over tables that stand in a dialogue: `= access = b@x=REJECT no c@x=HOLD`
 *  is what check_recipient_access finds; `client`, `data` and `eod` are the same for their lists. */
import type { AccessPolicy } from "../../src/access/access.ts";
import { compileAccess } from "../../src/access/compile.ts";
import { parametersOf } from "../../src/config/parameters.ts";
import type { Log } from "../../src/log/log.ts";
import type { AddressResolver } from "../../src/rewrite/resolve.ts";
import type { LookupTable } from "../../src/tables/table.ts";

const LISTS: Readonly<Record<string, { readonly parameter: string; readonly word: string }>> = {
  access: { parameter: "smtpd_recipient_restrictions", word: "check_recipient_access" },
  client: { parameter: "smtpd_client_restrictions", word: "check_client_access" },
  data: { parameter: "smtpd_data_restrictions", word: "check_sender_access" },
  eod: { parameter: "smtpd_end_of_data_restrictions", word: "check_sender_access" },
};

/** undefined where the dialogue has no such table. */
export function tabledPolicy(
  settings: Readonly<Record<string, string>>,
  deps: { readonly log: Log; readonly resolver: AddressResolver },
): AccessPolicy | undefined {
  const names = Object.keys(LISTS).filter((name) => settings[name] !== undefined);
  if (names.length === 0) return undefined;
  const lists = names.map((name) => [LISTS[name]?.parameter ?? "", `${LISTS[name]?.word} memory:${name}`]);
  const params = parametersOf({
    compatibility_level: "3.6",
    smtpd_relay_restrictions: "permit",
    smtpd_reject_unlisted_recipient: "no",
    ...settings,
    ...Object.fromEntries(lists),
  });
  const open = (ref: string): LookupTable => {
    const entries = parseEntries(settings[ref.slice("memory:".length)] ?? "");
    return { ref, partialKeys: true, get: (key) => entries.get(key.toLowerCase()) };
  };
  return compileAccess(params, { ...deps, tables: { open }, mynetworks: { find: () => undefined } }).policy;
}

/** `key=value key=value`: a value goes on until the next key, which is an address. */
function parseEntries(text: string): ReadonlyMap<string, string> {
  const entries = text.split(/ (?=[^\s=]+@[^\s=]+=)/);
  return new Map(
    entries.map((entry) => {
      const equals = entry.indexOf("=");
      return [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}
