/** rewrite/mapping-error.ts: an address that could not be mapped, so its message cannot be taken now. */
import { TableError } from "../tables/table.ts";

/** "limit": too much or too deep; "table": a table does not answer. The message is Postfix's log line behind the queue id. */
export class MappingError extends Error {
  override readonly name = "MappingError";
  readonly kind: "limit" | "table";

  constructor(kind: "limit" | "table", message: string, options?: { readonly cause: unknown }) {
    super(`${message} -- message not accepted, try again later`, options);
    this.kind = kind;
  }
}

/** What a lookup of `subject` gives; a table that fails becomes a MappingError. */
export async function askedFor<T>(name: string, subject: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (!(cause instanceof TableError)) throw cause;
    throw new MappingError("table", `${name} map lookup problem${subject === "" ? "" : ` for ${subject}`}`, { cause });
  }
}
