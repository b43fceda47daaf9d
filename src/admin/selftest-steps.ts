/** admin/selftest-steps.ts: steps that many rows begin and end with. */
import type { SelftestRow } from "./selftest-row.ts";

export const TO_ONE = ["C: MAIL FROM:<{sender}>", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …"];
export const DATA = [...TO_ONE, "C: DATA", "S: 354 …"];
export const QUEUED = ["C: .", "S: 250 …queued as …"];

/** A message of a user to {to}. */
export function sent(
  ids: readonly string[],
  what: string,
  steps: readonly string[],
  arrives: readonly string[],
): SelftestRow {
  return { ids, what, on: "submission", from: "login", steps: [...DATA, ...steps, ...QUEUED], arrives };
}

/** A dialogue of a user. */
export function said(
  ids: readonly string[],
  what: string,
  steps: readonly string[],
  unless?: SelftestRow["unless"],
): SelftestRow {
  return { ids, what, on: "submission", from: "login", steps, ...(unless && { unless }) };
}
