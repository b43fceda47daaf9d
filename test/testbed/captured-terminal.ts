/** test/testbed/captured-terminal.ts: runs a subcommand in this process and keeps what it prints. */
import type { Command } from "../../src/cli/terminal.ts";

export async function runCommand(
  command: Command,
  args: readonly string[],
  { configDirectory, colours = false }: { readonly configDirectory: string; readonly colours?: boolean },
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  let out = "";
  let err = "";
  const code = await command(args, {
    ...{ configDirectory, colours, verbose: false },
    stdout: (text) => {
      out += typeof text === "string" ? text : Buffer.from(text).toString("latin1");
    },
    stderr: (text) => {
      err += text;
    },
    stdin: async () => "",
  });
  return { code, out, err };
}
