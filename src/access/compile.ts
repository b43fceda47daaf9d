/** access/compile.ts: the restriction lists of one service, compiled once per configuration, with all that is wrong with
 *  them (postfix.md §2.2). The policy it returns is immutable and shared by all sessions of the service. */
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Problem } from "../config/snapshot.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { AddressProber } from "../mail/address-prober.ts";
import type { PolicyServers } from "../policy/policy.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import type { AddressList } from "../tables/pattern-list.ts";
import type { TableOpener } from "../tables/table.ts";
import type { AccessPolicy, Stage } from "./access.ts";
import { RELAY_PERMITS, usesOldDefault } from "./backward-compatibility.ts";
import { type CompiledLists, openAccessSession } from "./evaluator.ts";
import { ListCompiler } from "./list-compiler.ts";
import { compilePermitLog } from "./permit-log.ts";
import type { Rule, Services } from "./restriction.ts";
import { TracePool } from "./trace.ts";
import { takesUnknownRecipients } from "./unlisted.ts";
import { checkLists } from "./validate.ts";
import { checkWords } from "./validate-words.ts";

export interface AccessDeps {
  readonly tables: TableOpener;
  readonly resolver: AddressResolver;
  readonly log: Log;
  /** $mynetworks. May throw or reject TableError: the client then gets 451. */
  readonly mynetworks: Pick<AddressList, "find">;
  readonly dns?: Dns | undefined;
  readonly clock?: Clock | undefined;
  readonly policy?: PolicyServers | undefined;
  readonly prober?: AddressProber | undefined;
}

export interface CompiledAccess {
  readonly policy: AccessPolicy;
  readonly problems: readonly Problem[];
  /** The rules themselves, for proof and explain. */
  readonly lists: CompiledLists["rules"];
  /** What they were built with, for proof. */
  readonly services: Services;
}

const STAGES: readonly Stage[] = ["client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn"];

/** Compiles all lists of one service. Never throws for a bad configuration: the policy then refuses with 451 4.3.5. */
export function compileAccess(params: Parameters, deps: AccessDeps): CompiledAccess {
  const compiler = new ListCompiler({ params, ...deps });
  const entries = STAGES.map((stage) => [stage, compiler.compileParameter(`smtpd_${stage}_restrictions`, stage)]);
  const rules = Object.fromEntries(entries) as Readonly<Record<Stage, readonly Rule[]>>;
  const problems = [
    ...compiler.problems,
    ...checkLists(rules, params),
    ...checkWords(rules, { params, tables: deps.tables }),
  ];
  compiler.finish();
  const lists: CompiledLists = {
    rules,
    services: compiler.services,
    relayFirst: params.get("smtpd_relay_before_recipient_restrictions"),
    delayReject: params.get("smtpd_delay_reject"),
    rejectUnlistedSender: params.get("smtpd_reject_unlisted_sender"),
    rejectUnlistedRecipient: params.get("smtpd_reject_unlisted_recipient") && !takesUnknownRecipients(params),
    relayPermits: oldRelayDefault(compiler.services),
    oldOrder: usesOldDefault(params, "smtpd_relay_before_recipient_restrictions", "3.6"),
    permitLog: compilePermitLog(params, deps.tables),
    traces: new TracePool(),
  };
  return {
    policy: { newSession: (trace, log) => openAccessSession(lists, { trace, log }) },
    problems,
    lists: rules,
    services: compiler.services,
  };
}

/** Rules in place of the empty relay list that is the default below level 1. */
function oldRelayDefault({ params, compileValue }: Services): readonly Rule[] | undefined {
  const parameter = "smtpd_relay_restrictions";
  if (!usesOldDefault(params, parameter, "1")) return undefined;
  return compileValue(RELAY_PERMITS, { stage: "relay", ref: { text: parameter, at: "default", parameter } });
}
