/** master/check-machine.ts: what a start would miss on this machine: the account of the workers, a queue directory of our own,
 *  and a log that can be written (check-log.ts). `postern check` asks; start and reload meet the thing itself. */
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem } from "../config/snapshot.ts";
import { checkQueueDirectory } from "../queue/directory.ts";
import { checkLog } from "./check-log.ts";
import { StartError, workerUser } from "./directories.ts";

/** `uid`: of who would start it. Warnings: another machine may have what this one has not. */
export function checkMachine(params: Parameters, files: ConfigSnapshot["files"], uid: number): readonly Problem[] {
  return [...checkLog(params, files), ...checkOwner(params, uid), ...checkQueue(params)];
}

function checkOwner(params: Parameters, uid: number): readonly Problem[] {
  try {
    workerUser(params, uid);
    return [];
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    const [text = "", hint] = error.message.split("; ");
    const name = text.startsWith("mail_owner") ? "mail_owner" : "postern_workers";
    return [{ severity: "warning", at: params.source(name), text, hint }];
  }
}

function checkQueue(params: Parameters): readonly Problem[] {
  const foreign = checkQueueDirectory(params.get("queue_directory"));
  if (foreign === undefined) return [];
  return [{ severity: "warning", at: params.source("queue_directory"), text: foreign }];
}
