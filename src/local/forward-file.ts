/** local/forward-file.ts: whether a user has a .forward file, and where it leads (local(8)). Such files are read with the rights of
 *  the server's user, so homes must let it in. */
import { expand } from "../config/expand.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import { splitExtension } from "../tables/keys.ts";
import { type DestinationFile, isReadableFor } from "./destination-file.ts";
import { type Destination, parseDestinationLines } from "./destinations.ts";
import type { PasswdEntry } from "./passwd.ts";

export interface ForwardFileOptions {
  readonly params: Parameters;
  readonly user: PasswdEntry;
  readonly address: Address;
  readonly readFile: (path: string) => Promise<DestinationFile>;
}

export type ForwardFile = (
  | { /** No file, or one without a destination. */ readonly kind: "none" }
  | { readonly kind: "forward"; readonly destinations: readonly Destination[] }
  | { /** It cannot be known whether there is one. */ readonly kind: "undecided" }
) & {
  /** For the log: what was ignored, or could not be read. */
  readonly log?: string | undefined;
};

/** The first file of forward_path that exists. Throws ParameterError. */
export async function findForwardFile(options: ForwardFileOptions): Promise<ForwardFile> {
  for (const path of forwardPaths(options)) {
    const file = await options.readFile(path);
    if (file.kind === "missing") continue;
    if (file.kind === "refused") {
      // As Postfix, which mistrusts such a file and goes on. What cannot even be looked at may be good.
      if (/^is /.test(file.reason)) return { kind: "none", log: `file ${path} ${file.reason}` };
      return { kind: "undecided", log: `cannot read ${path}: ${file.reason}` };
    }
    if (file.ownerUid !== 0 && file.ownerUid !== options.user.uid) {
      return { kind: "none", log: `file ${path} has bad owner uid ${file.ownerUid}` };
    }
    // A link to a file of root's that is none of his.
    if (!isReadableFor(options.user.uid, file)) {
      return { kind: "none", log: `file ${path} is not readable for uid ${options.user.uid}` };
    }
    const destinations = parseDestinationLines(file.text);
    return destinations.length > 0 ? { kind: "forward", destinations } : { kind: "none" };
  }
  return { kind: "none" };
}

/** Absolute names; one that needs an extension is left out where there is none. */
function* forwardPaths({ params, user, address }: ForwardFileOptions): Generator<string> {
  const values = macrosOf(params, user, address);
  const allowed = new Set(params.get("forward_expansion_filter"));
  const clean = (text: string) => [...text].map((c) => (allowed.has(c) ? c : "_")).join("");
  for (const word of params.get("forward_path").split(/[\s,]+/)) {
    if (
      word === "" ||
      (values.local.includes("/") && /\$[({]?(?:local|recipient)\b/.test(word)) ||
      (values.extension === undefined && /\$[({]?extension\b(?![?:])/.test(word))
    )
      continue;
    const path = expand(word, (name) => {
      if (!Object.hasOwn(values, name)) return params.unexpanded(name);
      // "$" would begin a macro again.
      return clean(values[name as keyof typeof values] ?? "").replaceAll("$", "$$$$");
    });
    if (path.startsWith("/")) yield path;
  }
}

function macrosOf(params: Parameters, { name, home, shell }: PasswdEntry, address: Address) {
  const local = localPartOf(address);
  const split = splitExtension(local, params.text("recipient_delimiter"));
  return {
    ...{ user: name, home, shell, local, recipient: address as string },
    domain: domainOf(address) ?? "",
    // A name with "/" would lead out of the home.
    extension: split?.extension.includes("/") ? undefined : split?.extension.slice(1),
    recipient_delimiter: split?.extension.slice(0, 1) ?? params.text("recipient_delimiter").slice(0, 1),
  };
}
