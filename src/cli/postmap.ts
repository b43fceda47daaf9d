/** cli/postmap.ts: postmap(1) and postalias(1): build, query and change lookup tables. Queries go through the tables of the
 *  server; what is built is Postern's own index, whatever type the table is called by. */
import { TableError, type TableOpener } from "../tables/table.ts";
import { writtenKey } from "../tables/text.ts";
import { type PostmapOptions, PostmapUsageError, parsePostmapOptions } from "./postmap-options.ts";
import { Fatal, linesOf, open, openerOf, type PostmapIo, type PostmapProgram, type Run } from "./postmap-run.ts";
import { buildAll, deleteKeys, updateAll } from "./postmap-write.ts";

/** `argv` without the program's name. Exit code as Postfix: 0 done or found; 1 not found, wrong usage, fatal. */
export async function runPostmap(program: PostmapProgram, argv: readonly string[], io: PostmapIo): Promise<number> {
  let opener: TableOpener | undefined;
  try {
    const options = parsePostmapOptions(program, argv);
    const parameters = await io.parameters(options.directory);
    opener = openerOf(program, io, parameters);
    return await ACTIONS[options.action]({ program, options, io, opener, parameters });
  } catch (error) {
    if (!(error instanceof Fatal || error instanceof PostmapUsageError || error instanceof TableError)) throw error;
    io.stderr(`${program}: fatal: ${error.message}\n`);
    return 1;
  } finally {
    await opener?.close?.();
  }
}

const ACTIONS: Readonly<Record<PostmapOptions["action"], (run: Run) => Promise<number>>> = {
  build: buildAll,
  update: updateAll,
  query: queryAll,
  delete: deleteKeys,
  list: listAll,
};

/** 0 if one of the keys was found. */
async function queryAll(run: Run): Promise<number> {
  const { options, io, program } = run;
  if (options.key !== "-") {
    const value = await queryKey(run, options.key);
    if (value !== undefined) io.stdout(`${value}\n`);
    return value === undefined ? 1 : 0;
  }
  let found = false;
  for (const key of linesOf(await io.stdin())) {
    const value = await queryKey(run, key);
    if (value === undefined) continue;
    found = true;
    io.stdout(`${key}${program === "postalias" ? ":" : ""}\t${value}\n`);
  }
  return found ? 0 : 1;
}

/** The first table's answer. Tables of text know keys without quotes, people write them with. */
async function queryKey(run: Run, key: string): Promise<string | undefined> {
  for (const name of run.options.tables) {
    const table = open(run, name);
    const bare = table.entries && key.includes('"') ? writtenKey(key) : key;
    const value = (await table.get(key)) ?? (bare === key ? undefined : await table.get(bare));
    if (value === undefined) continue;
    if (value === "") {
      run.io.stderr(`${run.program}: warning: table ${table.ref}: key ${key}: empty string result is not allowed\n`);
      run.io.stderr(`${run.program}: warning: table ${table.ref} should return NO RESULT in case of NOT FOUND\n`);
    }
    return value;
  }
  return undefined;
}

async function listAll(run: Run): Promise<number> {
  for (const name of run.options.tables) {
    const table = open(run, name);
    if (!table.entries) throw new Fatal(`table ${table.ref}: sequence operation is not supported`);
    for (const [key, value] of table.entries) {
      const shown = /[\s"]/.test(key) ? `"${key.replaceAll(/["\\]/g, "\\$&")}"` : key;
      run.io.stdout(run.program === "postalias" ? `${key}:\t${value}\n` : `${shown}\t${value}\n`);
    }
  }
  return 0;
}
