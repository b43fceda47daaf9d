/** cli/main-cf.ts: how commands read the configuration from the disk; and main.cf alone, for those that must work while master.cf
 *  or one of its own lines is broken. */
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { type LoadOptions, tentativeParameters } from "../config/load.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** main.cf alone, even if master.cf or one of its own lines is broken; `unreadable` tells that it is not there. */
export function mainCfOf(terminal: Terminal): ReturnType<typeof tentativeParameters> {
  return tentativeParameters(sourceOf(terminal));
}

export function sourceOf({ configDirectory }: Pick<Terminal, "configDirectory">): LoadOptions {
  return {
    configDirectory: resolve(configDirectory),
    generation: 0,
    hostname: hostname(),
    mailVersion: VERSION,
    readFile: async (path) => readFileSync(path),
    listDirectory: async (path) => readdirSync(path),
  };
}
