/** tables/ldap-escape.ts: keys inside LDAP filters and names (RFC 4515 §3, RFC 4514 §2.4), and the operator's filter in the
 *  form that the driver reads. Pure. */
import { TableError } from "./table.ts";

/** A value inside a filter: no character of it can end the value or match more than itself. */
export function escapeFilterValue(text: string): string {
  return text.replace(/[*()\\\0]/g, hexPair);
}

/** A value inside a distinguished name: no character of it can begin another attribute or level. More is escaped than RFC
 *  4514 asks for, which is harmless. */
export function escapeNameValue(text: string): string {
  return text.replace(/[\x00-\x1f\x7f "#+,;<=>\\]/g, hexPair);
}

function hexPair(c: string): string {
  return `\\${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** A filter without the blanks that RFC 4515 has no place for but LDAP libraries take. The driver reads `\c3\a9` as two
 *  characters, so escaped UTF-8 becomes the character itself. Throws TableError for an escape that is none. */
export function normalizeFilter(text: string, where: string): string {
  const compact = text
    .trim()
    .replace(/\(\s+/g, "(")
    .replace(/\(([&|!])\s+/g, "($1")
    .replace(/\)\s+(?=[()])/g, ")");
  const bad = /\\(?![0-9A-Fa-f]{2})/.exec(compact);
  if (bad) throw new TableError(`${where}: "\\" needs two hexadecimal digits in "${text}"`);
  return compact.replace(/(?:\\[89a-fA-F][0-9a-fA-F])+/g, (run) => {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(run.replaceAll("\\", ""), "hex"));
    } catch (cause) {
      throw new TableError(`${where}: "${run}" is no UTF-8`, { cause });
    }
  });
}
