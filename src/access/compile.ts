/** access/compile.ts: the restriction lists of one service, compiled once per configuration, with all that is wrong with
 *  them (postfix.md §2.2). The policy it returns is immutable and shared by all sessions of the service. */
import type { Parameters } from "../config/parameters.ts";
import type { Problem } from "../config/snapshot.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { PolicyServers } from "../policy/policy.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import type { TableOpener } from "../tables/table.ts";
import type { AccessPolicy, Stage } from "./access.ts";
import { type CompiledLists, openAccessSession } from "./evaluator.ts";
import { ListCompiler } from "./list-compiler.ts";
import type { Rule } from "./restriction.ts";
import { checkLists } from "./validate.ts";

export interface AccessDeps {
  readonly tables: TableOpener;
  readonly resolver: AddressResolver;
  readonly log: Log;
  /** $mynetworks. May throw or reject TableError: the client then gets 451. */
  readonly mynetworks: { matches(address: string): boolean | Promise<boolean> };
  readonly dns?: Dns | undefined;
  readonly policy?: PolicyServers | undefined;
}

export interface CompiledAccess {
  readonly policy: AccessPolicy;
  readonly problems: readonly Problem[];
  /** The rules themselves, for proof and explain. */
  readonly lists: CompiledLists["rules"];
}

const STAGES: readonly Stage[] = ["client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn"];

/** Compiles all lists of one service. Never throws for a bad configuration: the policy then refuses with 451 4.3.5. */
export function compileAccess(params: Parameters, deps: AccessDeps): CompiledAccess {
  const compiler = new ListCompiler({ params, ...deps });
  const entries = STAGES.map((stage) => [stage, compiler.compileParameter(`smtpd_${stage}_restrictions`, stage)]);
  const rules = Object.fromEntries(entries) as Readonly<Record<Stage, readonly Rule[]>>;
  const problems = [...compiler.problems, ...checkLists(rules, params)];
  compiler.finish();
  const lists: CompiledLists = {
    rules,
    services: compiler.services,
    relayFirst: params.get("smtpd_relay_before_recipient_restrictions"),
    delayReject: params.get("smtpd_delay_reject"),
    rejectUnlistedSender: params.get("smtpd_reject_unlisted_sender"),
    rejectUnlistedRecipient: params.get("smtpd_reject_unlisted_recipient"),
  };
  return { policy: { newSession: () => openAccessSession(lists) }, problems, lists: rules };
}
