/** base/unreachable.ts: the end of every exhaustive switch. Reaching it at run time is a bug, so it throws. */

/** Compile-time proof that a union is exhausted; throws with the value's JSON if it was not. */
export function unreachable(value: never): never {
  throw new Error(`Unreachable case: ${JSON.stringify(value)}`);
}
