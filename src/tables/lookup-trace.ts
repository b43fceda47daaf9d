/** tables/lookup-trace.ts: how a room that looks things up tells what it asked and what it was told, for whoever wants to know.
 *  Takes references only: text is made later, and only of what is shown. */

/** What an answer says, in words. */
export interface Told {
  readonly result: "found" | "not found" | "error" | "not asked";
  /** The value; for the others the reason, or "". */
  readonly value: string;
}

export interface LookupTrace {
  /** `source` is a table reference, "dns MX", "mynetworks" …; `told` the value, undefined for not found, an Error, or
   *  anything that `show` can put in words. */
  lookup<T>(source: string, key: string, told: T, show?: (told: T) => Told): void;
  /** Something that was found out without asking anybody. */
  remark(text: string): void;
}
