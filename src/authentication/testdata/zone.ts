/** authentication/testdata/zone.ts: a name service whose zone is a table, and messages with signatures whose keys stand in it. */
import { BodyHash } from "../../dkim/body-hash.ts";
import { generateKey, parseKey, publicRecord } from "../../dkim/key.ts";
import { signMessage } from "../../dkim/sign.ts";
import type { Dns, DnsAnswer } from "../../dns/resolver.ts";
import type { CameField } from "../../mail/message-authentication.ts";
import type { FileSource } from "../../tables/table.ts";

/** Records by "TYPE name"; MX as "preference exchange". "broken.test" and what is under it never answers, nor do keys of a domain `broken.…`. */
export type Zone = Readonly<Record<string, readonly string[]>>;

/** `asked`: takes each question. */
export function zoneDns(zone: Zone, asked: string[] = []): Dns {
  const names = new Set(Object.keys(zone).map((key) => key.split(" ")[1]));
  const answer = async (type: string, name: string): Promise<DnsAnswer<string>> => {
    asked.push(`${type} ${name}`);
    if (/(?:^|\.)broken\.test$|_domainkey\.broken\./.test(name)) return { kind: "temporary", text: "Host not found, try again" };
    const records = zone[`${type} ${name.toLowerCase()}`];
    if (records) return { kind: "found", records };
    return names.has(name) ? { kind: "noData", text: "no data" } : { kind: "notFound", text: "Host not found" };
  };
  return {
    async mx(domain) {
      const found = await answer("MX", domain);
      if (found.kind !== "found") return found;
      const split = found.records.map((text) => text.split(" "));
      return {
        kind: "found",
        records: split.map(([preference, exchange = ""]) => ({ preference: Number(preference), exchange })),
      };
    },
    addresses: async () => ({ kind: "notFound", text: "not asked here" }),
    reverse: async () => ({ kind: "notFound", text: "not asked here" }),
    txt: (name) => answer("TXT", name),
    records: (name, family) => answer(family === 4 ? "A" : "AAAA", name),
    names: (name, type) => answer(type, name),
    close: () => undefined,
  };
}

const PEMS = { rsa: generateKey("rsa-sha256"), ed25519: generateKey("ed25519-sha256") };
const KEYS = { rsa: parseKey(Buffer.from(PEMS.rsa)), ed25519: parseKey(Buffer.from(PEMS.ed25519)) };

/** A signing file `keys` that has both keys for good.test, under the selectors s and e. */
export const KEY_FILES: FileSource = {
  read(path) {
    const text = { "/keys": "good.test e e.pem\ngood.test s s.pem\n", "/s.pem": PEMS.rsa, "/e.pem": PEMS.ed25519 }[path];
    if (text === undefined) throw new Error(`no ${path}`);
    return Buffer.from(text);
  },
};

/** The record of the key, whichever selector it is under. */
export function keyRecord(algorithm: keyof typeof KEYS): string {
  const key = KEYS[algorithm];
  if ("problem" in key) throw new Error(key.problem);
  return publicRecord(key);
}

/** Fields of a header, written as lines. */
export function fieldsOf(text: string): readonly CameField[] {
  return text.split(/\r\n(?![ \t])/).map((line) => ({ name: line.slice(0, line.indexOf(":")).toLowerCase(), text: line }));
}

/** The fields with a signature on top. */
export async function signed(
  header: string,
  body: string,
  by: { readonly domain: string; readonly selector: string; readonly algorithm?: keyof typeof KEYS; readonly nowMs: number },
): Promise<readonly CameField[]> {
  const { domain, selector, algorithm = "rsa", nowMs } = by;
  const key = KEYS[algorithm];
  if ("problem" in key) throw new Error(key.problem);
  const hash = new BodyHash("relaxed");
  hash.update(Buffer.from(body, "latin1"));
  const fields = fieldsOf(header);
  const options = { header: "relaxed", body: "relaxed", bodyHash: hash.digest(), nowMs, lifetimeS: 0 } as const;
  return [{ name: "dkim-signature", text: await signMessage(fields, { ...key, domain, selector }, options) }, ...fields];
}
