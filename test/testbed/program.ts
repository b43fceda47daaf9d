/** test/testbed/program.ts: runs a foreign program to its end, bounded in time. */
import { spawn } from "node:child_process";

export interface Ran {
  readonly code: number;
  readonly output: string;
}

/** Both output streams together, in order of arrival. */
export function runProgram(program: string, args: readonly string[], input: string | Uint8Array = ""): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { timeout: 30_000 });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString("latin1");
      });
    }
    child.on("error", reject);
    child.stdin.on("error", () => undefined); // A client that refuses early closes its input.
    child.stdin.end(input);
    child.on("close", (code) => resolve({ code: code ?? -1, output }));
  });
}
