/** cleanup/content-judge.ts: who decides about what the checks find: content-verdict.ts for mail that comes in; for mail that
 *  leaves, the client that sends it. */
import type { TableError } from "../tables/table.ts";
import type { CheckContext } from "./check-action.ts";
import type { MimeFault } from "./mime-structure.ts";

/** What becomes of the line itself. */
export type LineEffect =
  | { readonly kind: "keep" | "drop" }
  /** `text` on a line of its own in front, or instead. */
  | { readonly kind: "prepend" | "replace"; readonly text: string };

export interface CheckedLine extends CheckContext {
  /** The header field, or the line. */
  readonly text: string;
  /** False: the characters are bytes. */
  readonly utf8: boolean;
}

/** Decides what follows from what is found. */
export interface Judge {
  /** False: lines are not asked about any more. */
  readonly inspecting: boolean;
  /** The rest of the message matters to nobody. */
  readonly over: boolean;
  act(value: string, line: CheckedLine): LineEffect;
  /** A table did not answer. May throw. */
  lookupFailed(map: string, error: TableError): void;
  fault(fault: MimeFault, text: string): void;
}
