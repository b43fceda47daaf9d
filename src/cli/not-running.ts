/** cli/not-running.ts: an error that only a running server could have spared the user: exit code 69. */

export class NotRunningError extends Error {
  override readonly name = "NotRunningError";
}
