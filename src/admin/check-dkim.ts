/** admin/check-dkim.ts: whether DNS has the keys that this server signs the domain's mail with (RFC 6376 §3.6). */
import { publicRecord } from "../dkim/key.ts";
import { type DkimKeyFile, keyName, lookUpKey, type TxtAnswer } from "./dkim-keys.ts";
import { type DnsCheckContext, type DnsFinding, finding, unanswered } from "./dns-finding.ts";
import { zoneText } from "./zone-line.ts";

export async function checkDkim({ site, view }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { domain, keys, keysProblem, milters } = site;
  const name = `_domainkey.${domain}`;
  if (keysProblem !== undefined) return [finding("unknown", "DKIM", name, { why: keysProblem })];
  if (keys.length === 0) {
    if (milters) return [finding("ok", "DKIM", name, { why: "no key here; whether a milter signs is not known" })];
    const why = `mail is not signed, and DMARC rests on SPF alone; make keys: postern dkim generate ${domain}`;
    return [finding("missing", "DKIM", name, { why })];
  }
  const txt = async (at: string): Promise<TxtAnswer> => {
    const looked = await view.txt(at);
    return looked.kind === "unknown" ? { unknown: "" } : { records: looked.kind === "found" ? looked.records : [] };
  };
  return Promise.all(keys.map((key) => checkKey(key, txt)));
}

const STATES = {
  publish: "it does not sign yet",
  sign: "",
  retired: "it signs no more; for mail still under way",
} as const;

async function checkKey(file: DkimKeyFile, txt: (name: string) => Promise<TxtAnswer>): Promise<DnsFinding> {
  const { line, key } = file;
  const name = keyName(line);
  if (key === undefined) return finding("unknown", "DKIM", name, { why: file.problem ?? "the key cannot be read" });
  const published = await lookUpKey(file, txt);
  const publish = [zoneText(name, publicRecord(key))];
  switch (published.kind) {
    case "unknown":
      return unanswered("DKIM", name);
    case "right":
      return finding("ok", "DKIM", name, { why: STATES[line.state] });
    case "missing": {
      const why = line.state === "sign" ? "signatures with this key cannot be verified" : STATES[line.state];
      return finding("missing", "DKIM", name, { why, publish });
    }
    default:
      return finding("wrong", "DKIM", name, { why: `${published.why}: signatures cannot be verified`, publish });
  }
}
