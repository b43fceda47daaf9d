/** cleanup/tunnelled-priority.ts: the header field MT-Priority, in which a priority comes through servers that do not know the
 *  extension (RFC 6758). It ends here: it is taken out, and its word taken if the client may say so. */
import { fieldValue, type HeaderField } from "./header-block.ts";

export interface PriorityTunnel {
  /** MAIL said it: then the field does not count. */
  readonly given: boolean;
  /** What the client may use of what it asks; undefined: it cannot be known now. */
  grant(asked: number): Promise<number | undefined>;
}

export interface LeftTunnel {
  readonly fields: readonly HeaderField[];
  /** "unknown": nobody can say now what the client may use. */
  readonly priority: number | undefined | "unknown";
}

/** Two fields that do not agree, or one that is none, say nothing. */
export async function leaveTunnel(fields: readonly HeaderField[], tunnel: PriorityTunnel): Promise<LeftTunnel> {
  const found = fields.filter(({ name }) => name === "mt-priority");
  if (found.length === 0) return { fields, priority: undefined };
  const kept = fields.filter(({ name }) => name !== "mt-priority");
  const values = new Set(found.map((field) => parsePriority(fieldValue(field))));
  const [asked] = values;
  if (tunnel.given || values.size > 1 || asked === undefined) return { fields: kept, priority: undefined };
  return { fields: kept, priority: (await tunnel.grant(asked)) ?? "unknown" };
}

/** A comment may stand behind the number (RFC 6758 §3); undefined: it is none. */
function parsePriority(value: string): number | undefined {
  const number = /^(0|-?[1-9])(?:\s*\([^()]*\))?$/.exec(value)?.[1];
  return number === undefined ? undefined : Number(number);
}
