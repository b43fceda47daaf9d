/** cli/password-prompt.ts: asks for a password on the terminal without showing it. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

/** Resolves to the line typed; rejects when the input ends or Ctrl-C is pressed. */
export async function promptPassword(prompt: string): Promise<string> {
  process.stderr.write(prompt);
  // readline echoes to its output: this one shows nothing.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    const aborted = new AbortController();
    lines.on("SIGINT", () => aborted.abort(new Error("interrupted")));
    return await lines.question("", { signal: aborted.signal });
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
