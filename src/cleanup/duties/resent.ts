/** cleanup/duties/resent.ts: blocks of Resent- fields (RFC 5322 §3.6.6): each has one Resent-From and one Resent-Date. Whether
 *  their counts match is nobody's business (DAT-13); only the newest block, ours to complete, is mended. */
import { formatAddress } from "../../mail/address.ts";
import { formatMailDate } from "../../mail/date.ts";
import type { HeaderField } from "../header-block.ts";
import { isMailbox } from "./addresses.ts";
import { type Duty, type DutyFacts, makeField } from "./duty.ts";

export const resent: Duty = (fields, facts) => {
  for (const [at, block] of blocksOf(fields).entries()) {
    const names = new Set(block.map(({ name }) => name));
    const missing = ["Resent-From", "Resent-Date"].filter((name) => !names.has(name.toLowerCase()));
    if (missing.length === 0) continue;
    const added = at === 0 ? completion(missing, facts) : undefined;
    const last = block.at(-1);
    return {
      problem: `a block of Resent- fields has no ${missing.join(" and no ")}`,
      fields: added && fields.flatMap((field) => (field === last ? [field, ...added] : [field])),
    };
  }
  return undefined;
};

/** Newest first. A block ends where another field stands, or a field of its own stands again. */
function blocksOf(fields: readonly HeaderField[]): readonly (readonly HeaderField[])[] {
  const blocks: HeaderField[][] = [];
  let open: HeaderField[] | undefined;
  const names = new Set<string>();
  for (const field of fields) {
    if (!field.name.startsWith("resent-")) {
      open = undefined;
      continue;
    }
    if (open === undefined || names.has(field.name)) {
      open = [];
      blocks.push(open);
      names.clear();
    }
    names.add(field.name);
    open.push(field);
  }
  return blocks;
}

function completion(missing: readonly string[], { mailbox, sender, arrivalMs }: DutyFacts): HeaderField[] | undefined {
  const own = [mailbox, sender].find((address) => address !== undefined && isMailbox(address));
  if (missing.includes("Resent-From") && own === undefined) return undefined;
  return missing.map((name) =>
    makeField(
      name,
      name === "Resent-Date"
        ? formatMailDate(arrivalMs)
        : Buffer.from(formatAddress(own ?? sender), "utf8").toString("latin1"),
    ),
  );
}
