/** cli/command-tables.ts: lookup tables as a command reads them: from the disk, as who runs it. */
import type { Parameters } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createTableOpener } from "../tables/open.ts";
import type { TableOpener } from "../tables/table.ts";
import { DISK } from "./postmap-run.ts";
import type { Terminal } from "./terminal.ts";

/** Problems go to stderr, under the program's name. */
export function openerFor(program: string, params: Parameters, terminal: Terminal): TableOpener {
  const sink = ({ text }: { readonly text: string }) => terminal.stderr(`${program}: warning: ${text}\n`);
  return createTableOpener({
    files: DISK,
    log: new Log({ sink, now: () => 0, tag: program, id: 0 }),
    configDirectory: terminal.configDirectory,
    environment: process.env,
    parameter: (name) => params.text(name),
  });
}
