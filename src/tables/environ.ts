/** tables/environ.ts: `environ:` anything: the variables of the server's process (DATABASE_README). Names keep their case. */
import type { OpenerContext } from "./opener.ts";
import type { LookupTable } from "./table.ts";

export function openEnviron(ref: string, _name: string, { environment = {} }: OpenerContext): LookupTable {
  const variables = new Map(Object.entries(environment));
  return { ref, partialKeys: true, get: (key) => variables.get(key) };
}
