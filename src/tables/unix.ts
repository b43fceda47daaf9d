/** tables/unix.ts: `unix:passwd.byname` and `unix:group.byname` from the text of /etc/passwd and /etc/group. The name service
 *  switch (LDAP, sssd) is not asked: Node has no door to it. Values are whole lines, as in Postfix. */

import { type FileSource, type LookupTable, TableError } from "./table.ts";
import { mapTable } from "./text.ts";

const FILES = new Map([
  ["passwd.byname", "/etc/passwd"],
  ["group.byname", "/etc/group"],
]);

/** Throws TableError for another map name or an unreadable file. */
export function openUnix(ref: string, name: string, files: FileSource): LookupTable {
  const path = FILES.get(name);
  if (path === undefined) throw new TableError(`unknown map name: "${ref}"`);
  const entries = new Map<string, string>();
  for (const line of new TextDecoder().decode(files.read(path)).split("\n")) {
    const key = line.slice(0, Math.max(0, line.indexOf(":"))).toLowerCase();
    // "+" and "-" lines belong to NIS compatibility.
    if (key !== "" && !/^[#+-]/.test(key) && !entries.has(key)) entries.set(key, line);
  }
  return mapTable(ref, entries);
}
