/** proof/service.ts: the proof of one service as `postern verify` shows it and check judges it: its matrix, the hosts that it
 *  trusts, its problems. */
import type { Parameters } from "../config/parameters.ts";
import { serviceRole } from "../config/scope.ts";
import type { Problem, SourceRef } from "../config/snapshot.ts";
import { mistakes } from "./mistakes.ts";
import { type Cell, type ProofInput, proveService } from "./prove.ts";
import { relayProblems } from "./relay-problems.ts";
import type { TrustedHosts } from "./trusted.ts";

/** Ports of submission (RFC 6409, RFC 8314). */
const SUBMISSION_PORTS: ReadonlySet<number> = new Set([465, 587]);

export interface ServiceInput extends ProofInput {
  readonly name: string;
  readonly port: number | undefined;
  readonly at: SourceRef;
}

export interface ServiceProof {
  readonly name: string;
  readonly at: SourceRef;
  readonly submission: boolean;
  readonly cells: readonly Cell[];
  readonly trusted: readonly TrustedHosts[];
  readonly problems: readonly Problem[];
  /** Compiling the lists has found that nothing in them refuses strangers, and said so in Postfix's words. */
  readonly unguarded: boolean;
}

export async function proofOf(input: ServiceInput): Promise<ServiceProof> {
  const { name, at, access } = input;
  const { params, tables } = access.services;
  const { cells, trusted, reached, strangersElsewhere, relaysAll } = await proveService(input);
  const submission = isSubmission(params, input.port);
  const service = {
    cells,
    lists: access.lists,
    params,
    at,
    name,
    submission,
    mynetworks: input.mynetworks,
    reached,
    strangersElsewhere,
    tables,
    relaysAll,
  };
  const problems = [...relayProblems(service), ...mistakes(service)];
  const unguarded = access.problems.some(({ text }) => text.includes("specify at least one working instance of"));
  return { name, at, submission, cells, trusted, problems, unguarded };
}

/** An explicit role counts before the port. */
function isSubmission(params: Parameters, port: number | undefined): boolean {
  const role = serviceRole(params);
  if (params.text("postern_service_role") !== "") return role === "submission";
  return role === "submission" || (port !== undefined && SUBMISSION_PORTS.has(port));
}
