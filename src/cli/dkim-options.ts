/** cli/dkim-options.ts: the words of `postern dkim`. */

import { domainToASCII } from "node:url";
import { parseNameServer } from "../dns/servers.ts";

export const USAGE = `Usage: postern dkim list [DOMAIN] [--json]           which keys there are, and what they do
       postern dkim generate DOMAIN [--selector NAME]  makes an RSA and an Ed25519 key, and says what to publish
       postern dkim rotate DOMAIN [--force]            published keys sign from now on, the others retire
       postern dkim check [DOMAIN] [--json]            compares DNS with the keys
       postern dkim dns [DOMAIN]                       the records to publish, as lines of a zone file
       --server ADDRESS[:PORT]                         asks this name server, not postern_dns_servers
`;

type Verb = "list" | "generate" | "rotate" | "check" | "dns" | "help";

export interface DkimOptions {
  readonly verb: Verb;
  /** "": all. With a dot in front: for subdomains too. */
  readonly domain: string;
  readonly selector: string | undefined;
  readonly servers: readonly string[];
  readonly force: boolean;
  readonly json: boolean;
}

const VERBS: ReadonlySet<string> = new Set(["list", "generate", "rotate", "check", "dns", "help"]);
const NEEDS_DOMAIN: ReadonlySet<string> = new Set(["generate", "rotate"]);

export function parseDkimOptions(args: readonly string[]): DkimOptions | { readonly problem: string } {
  const [given = "help", ...rest] = args;
  const verb = args.includes("--help") || args.includes("-h") ? "help" : given;
  if (!VERBS.has(verb)) return { problem: `"${verb}": unknown command` };
  const values = new Map<string, string>();
  const flags = new Set<string>();
  const words: string[] = [];
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i] ?? "";
    if (word === "--force" || word === "--json") flags.add(word);
    else if (word === "--selector" || word === "--server") values.set(word, rest[++i] ?? "");
    else if (word === "--help" || word === "-h") continue;
    else if (word.startsWith("-")) return { problem: `unknown option "${word}"` };
    else words.push(word);
  }
  const [domain = ""] = words;
  if (words.length > 1) return { problem: "expected one DOMAIN" };
  if (domain === "" && NEEDS_DOMAIN.has(verb)) return { problem: `${verb}: expected a DOMAIN` };
  if (domain !== "" && !domainToASCII(domain.replace(/^\./, "")).includes(".")) {
    return { problem: `"${domain}" is no domain name` };
  }
  const selector = values.get("--selector");
  if (selector !== undefined && !/^[a-z0-9][a-z0-9-]{0,50}$/i.test(selector)) {
    return { problem: `"${selector}" is no selector: letters, digits and "-"` };
  }
  const server = values.get("--server");
  if (server !== undefined && parseNameServer(server) === undefined) {
    return { problem: `--server: no address: "${server}"` };
  }
  return {
    ...{ verb: verb as Verb, domain, selector: selector?.toLowerCase() },
    servers: server === undefined ? [] : [server],
    force: flags.has("--force"),
    json: flags.has("--json"),
  };
}
