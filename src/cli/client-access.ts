/** cli/client-access.ts: asks the server as any user of the machine, and proves who that is where it wants to know (see
 *  master/client-door.ts). */
import { closeSync, fchmodSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { ProofWanted } from "../master/client-door.ts";
import { type QueueDirectories, queueDirectories } from "../master/directories.ts";
import type { QueueArgs } from "../master/protocol.ts";
import { askControl, type ControlRequest } from "../net/control-socket.ts";
import { PROOF_MODE } from "../pickup/user-list.ts";
import { mainCfOf } from "./main-cf.ts";
import { NotRunningError } from "./not-running.ts";
import type { Terminal } from "./terminal.ts";

/** The request that every user may make; undefined: this is for operators. */
export function clientRequest({ op, ids, after, limit, site, shape }: QueueArgs): ControlRequest | undefined {
  if (op === "list") return { op, args: { after, limit } };
  if (op === "shape") return { op, args: { shape } };
  if (op === "flush-site") return { op, args: { site } };
  if (op !== "flush") return undefined;
  return ids === "ALL" ? { op, args: {} } : ids.length === 1 ? { op, args: { id: ids[0] } } : undefined;
}

/** Asks one thing after another; they reject NotRunningError, DeniedError, and what the server answered. */
export function asUser(terminal: Terminal): (request: ControlRequest) => Promise<unknown> {
  /** The word that the server knows us by: a listing asks many times. */
  let ticket: string | undefined;
  return async ({ op, args }) => {
    const { params } = await mainCfOf(terminal);
    const directories = queueDirectories(params);
    const ask = () => askRunning(directories.client, { op, args: { ...args, proof: ticket } });
    const answer = await ask();
    if (!isProofWanted(answer)) return answer;
    ticket = answer.prove;
    const path = writeProof(directories, ticket);
    try {
      return await ask();
    } finally {
      rmSync(path, { force: true }); // the server has removed it, if it came so far
    }
  };
}

/** In Postfix's words. */
export function notRunning(op: string): NotRunningError {
  const what = op === "list" || op === "shape" ? "Queue report unavailable" : "Cannot flush mail queue";
  return new NotRunningError(`${what} - mail system is down`);
}

async function askRunning(path: string, request: ControlRequest): Promise<unknown> {
  try {
    return await askControl(path, request);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === "ENOENT" || code === "ECONNREFUSED" ? notRunning(request.op) : error;
  }
}

function isProofWanted(answer: unknown): answer is ProofWanted {
  return typeof answer === "object" && answer !== null && "prove" in answer && typeof answer.prove === "string";
}

function writeProof({ maildrop }: QueueDirectories, word: string): string {
  if (!/^[0-9a-f]{32}$/.test(word)) throw new Error("The server wants a proof of a form that is not known");
  const path = join(maildrop, word);
  const fd = openSync(path, "wx", 0o600);
  try {
    writeSync(fd, word);
    fchmodSync(fd, PROOF_MODE);
  } finally {
    closeSync(fd);
  }
  return path;
}
