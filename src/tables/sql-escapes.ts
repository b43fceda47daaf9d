/** tables/sql-escapes.ts: what a backslash means in a literal of MySQL and in `E'…'` of PostgreSQL. Needed for literals that
 *  hold a key: they are bound as values, so the server no longer reads them. MySQL's NO_BACKSLASH_ESCAPES is not known here. */

export interface Escapes {
  readonly kind: "none" | "mysql" | "postgres";
  /** A letter before the quote belongs to the literal. */
  readonly prefix: boolean;
}

/** A backslash is a backslash, as in standard SQL. */
export const STANDARD_STRINGS: Escapes = { kind: "none", prefix: false };

const SHARED: readonly (readonly [string, string])[] = [
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["b", "\b"],
];
const MYSQL = new Map([...SHARED, ["0", "\0"], ["Z", "\x1a"], ["%", "\\%"], ["_", "\\_"]]);
const POSTGRES = new Map([...SHARED, ["f", "\f"]]);

/** The text that backslash and `c` mean; false for the numeric escapes of PostgreSQL, which no mail table needs. */
export function readEscape(c: string, { kind }: Escapes): string | false {
  if (kind === "mysql") return MYSQL.get(c) ?? c; // \% and \_ keep their backslash: they are for LIKE
  return /[0-7xuU]/.test(c) ? false : (POSTGRES.get(c) ?? c);
}
