/** proof/answer.ts: what one restriction may say to one candidate. Words that depend only on what is chosen are evaluated by
 *  the server's own code; what a client can pass by choosing well (DNS records, listed addresses) goes on; what cannot be
 *  seen (servers, databases, regular expressions) may say anything. Never asks a server. */
import type { Stage } from "../access/access.ts";
import type { Subject } from "../access/reply-text.ts";
import type { Context, Outcome, Rule } from "../access/restriction.ts";
import { SessionCache } from "../access/session-cache.ts";
import { parseNetwork } from "../base/cidr.ts";
import type { AddressList } from "../tables/pattern-list.ts";
import { TableError } from "../tables/table.ts";
import { withDoubt } from "./doubt.ts";
import { Findings } from "./findings-of-rule.ts";
import type { Unseen } from "./possible.ts";
import type { Answer, Question, World } from "./question.ts";
import { factsOf, type Scene } from "./scenario.ts";
import { canSee, tableOf, unseenAmong } from "./sight.ts";

const NEXT: Answer = { next: true };

/** Words that somebody who wants to get through can pass: he has a PTR record, is on no block list, writes to addresses
 *  that exist, asks for nothing early, and has a domain whose records let him through. Words that look at foreign name servers never permit. */
const PASSABLE =
  /^(?:reject_unknown_\w+|reject_(?:rbl|rhsbl)_\w+|reject_unlisted_\w+|reject_unverified_\w+|reject_unauth_pipelining|reject_spf_fail|reject_dmarc_fail|reject_multi_recipient_bounce|sleep|check_\w+_(?:a|mx|ns)_access|check_reverse_client_hostname_access|check_etrn_access)$/;

/** What each of these looks at, so that equal parts give equal answers (lists.ts). */
export type Part = "host" | "helo" | "sender" | "recipient" | "peer";

const PARTS: readonly (readonly [RegExp, Part])[] = [
  [/^(?:check_client_access|permit_mynetworks|permit_inet_interfaces)$/, "host"],
  [/helo/, "helo"],
  [/sender/, "sender"],
  [/recipient/, "recipient"],
  [/cert/, "peer"],
];

/** undefined: no part of the candidate matters. */
export function partOf({ word }: Rule): Part | undefined {
  return PARTS.find(([pattern]) => pattern.test(word))?.[1];
}

export function answerOf(question: Question, world: World): Answer | Promise<Answer> {
  const { word } = question.rule;
  if (PASSABLE.test(word) || asksTooEarly(question, world)) return NEXT;
  if (/login_mismatch$/.test(word)) return loginMismatch(question, world);
  if (/^check_\w+_access$/.test(word)) return accessTable(question, world);
  switch (word) {
    case "check_policy_service":
      return anything({ what: `policy server ${question.rule.argument}`, tables: [], clientChooses: false });
    case "permit_dnswl_client":
    case "permit_rhswl_client":
      return dnsList(question, world);
    case "permit_mx_backup":
      return mxBackup(question);
    case "permit_auth_destination":
      return isOurs(question.scene) ? { permit: true, why: "the destination is ours" } : NEXT;
    case "reject_unauth_destination":
    case "defer_unauth_destination":
      return isOurs(question.scene) ? NEXT : { refuse: "policy" };
    case "permit_mynetworks":
      return permitMynetworks(question, world);
    case "permit_tls_clientcerts":
    case "permit_tls_all_clientcerts":
      return clientcerts(question, world);
    default:
      return evaluated(question, world);
  }
}

/** With smtpd_delay_reject = no a list runs at its own command and knows nothing of those that follow. */
function isEarly(stage: Stage, { services }: World): boolean {
  const delayed = stage === "client" || stage === "helo" || stage === "sender";
  return delayed && !services.params.get("smtpd_delay_reject");
}

/** The restriction is about something that has not been said yet, so it says nothing. */
function asksTooEarly({ rule: { word }, stage }: Question, world: World): boolean {
  if (!isEarly(stage, world)) return false;
  if (/recipient|destination|mx_backup/.test(word)) return true;
  return (/sender/.test(word) && stage !== "sender") || (/helo/.test(word) && stage === "client");
}

function isOurs({ destination }: Scene): boolean {
  return destination === "local" || destination === "relay";
}

function anything(unseen: Unseen): Answer {
  return { permit: true, next: true, refuse: "policy", unseen };
}

/** Whose sender it is. Nobody owns the null sender, and some login owns some sender. */
function loginMismatch(question: Question, world: World): Answer | Promise<Answer> {
  const { scene, candidate } = question;
  if (scene.client === "login" || candidate.sender === "") return NEXT;
  const { params, tables } = world.services;
  const unseen = [
    ...unseenAmong(params.get("smtpd_sender_login_maps"), tables),
    ...unseenAmong(domainTables(world), tables),
  ];
  if (unseen.length === 0) return evaluated(question, world);
  const what = unseen.join(", ");
  return { next: true, refuse: "policy", unseen: { what, tables: unseen, clientChooses: true } };
}

/** type:table items of the parameters that tell which domains are ours. */
export function domainTables({ services: { params } }: World): readonly string[] {
  return (["mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains"] as const)
    .flatMap((name) => params.get(name))
    .map((item) => item.replace(/^!+/, ""))
    .filter((item) => /^[a-z]+:/i.test(item));
}

/** At RCPT these never permit a foreign destination. */
function dnsList({ rule, stage, scene }: Question, world: World): Answer {
  if (!isEarly(stage, world) && !isOurs(scene)) return NEXT;
  const what = `DNS list ${rule.argument}`;
  return { permit: true, next: true, unseen: { what, tables: [], clientChooses: false } };
}

function mxBackup({ scene }: Question): Answer {
  if (isOurs(scene)) return { permit: true };
  const what = "DNS, which says for which domains this host is an MX";
  return {
    permit: true,
    next: true,
    why: "whoever owns a domain can name this host as its MX",
    unseen: { what, tables: [], clientChooses: false },
  };
}

function permitMynetworks(question: Question, world: World): Answer | Promise<Answer> {
  const unseen = unseenAmong(tablesIn(world.mynetworks), world.services.tables);
  if (unseen.length === 0) return evaluated(question, world);
  if (question.scene.client === "mynetworks") return { permit: true };
  return { permit: true, next: true, unseen: { what: unseen.join(", "), tables: unseen, clientChooses: false } };
}

/** The type:table items of a list of networks. */
export function tablesIn({ patterns }: AddressList): readonly string[] {
  return patterns
    .map(({ pattern }) => pattern.replace(/^!/, ""))
    .filter((item) => item.includes(":") && parseNetwork(item).kind === "invalid" && !item.startsWith("["));
}

/** A stranger's own certificate stands in no list of fingerprints; `static:` and patterns may match it all the same. */
function clientcerts(question: Question, world: World): Answer | Promise<Answer> {
  const { params, tables } = world.services;
  const unseen = unseenAmong(params.get("relay_clientcerts"), tables);
  const { peer } = question.candidate;
  if (question.rule.word === "permit_tls_all_clientcerts" && peer?.trusted) {
    const why = question.scene.client === "strangerTls" ? "public CAs sign a certificate for anybody" : "";
    return { permit: true, why };
  }
  if (unseen.length === 0 || peer === undefined) return evaluated(question, world);
  if (question.scene.client !== "certificate") return NEXT;
  return { permit: true, next: true, unseen: { what: unseen.join(", "), tables: unseen, clientChooses: false } };
}

/** The key is the client's to choose. */
const CHOSEN_KEY: ReadonlySet<string> = new Set(["check_helo_access", "check_sender_access"]);

function accessTable(question: Question, world: World): Answer | Promise<Answer> {
  const { rule, scene, candidate } = question;
  const ref = tableOf(rule.argument ?? "");
  const table = world.services.tables.open(ref);
  if (rule.word === "check_sasl_access" && scene.client !== "login") return NEXT;
  if (rule.word === "check_helo_access" && candidate.helo === undefined) return NEXT;
  if (rule.word === "check_ccert_access" && candidate.peer === undefined) return NEXT;
  const unseen: Unseen = { what: ref, tables: [ref], clientChooses: CHOSEN_KEY.has(rule.word) };
  if (!canSee(table)) {
    if (rule.word === "check_ccert_access" && scene.client !== "certificate") return NEXT;
    return anything(unseen);
  }
  const said = evaluated(question, world);
  const widened = (one: Answer) => withDoubt(one, table, { question, world, unseen });
  return said instanceof Promise ? said.then(widened) : widened(said);
}

/** Words whose answer depends on the part of the candidate alone, whoever the client is and where it writes to. */
const SAME_FOR_ALL = /^check_(?:client|helo|sender|recipient)_access$|^reject_(?:non_fqdn|invalid)_/;

export function isSameForAll({ word }: Rule): boolean {
  return SAME_FOR_ALL.test(word);
}

/** The rule's own evaluation, as the server does it. */
function evaluated(question: Question, world: World): Answer | Promise<Answer> {
  const findings = new Findings();
  const context = contextOf(question, findings, world);
  const read = (outcome: Outcome): Answer => ({ ...readOutcome(outcome), why: findings.why(question, world) });
  const failed = (error: unknown): Answer => {
    if (!(error instanceof TableError)) throw error;
    return { refuse: "hard", why: error.message };
  };
  try {
    const outcome = question.rule.evaluate(context);
    return outcome instanceof Promise ? outcome.then(read, failed) : read(outcome);
  } catch (error) {
    return failed(error);
  }
}

const SUBJECT: Subject = { name: "", replyClass: "Client host" };

function contextOf({ stage, scene, candidate }: Question, trace: Findings, world: World): Context {
  return {
    facts: factsOf(candidate, scene),
    log: world.services.log,
    stage,
    subject: SUBJECT,
    warnOnly: false,
    checked: { sender: false, recipient: false },
    effectScope: stage !== "sender" && isEarly(stage, world) ? "beforeMail" : "message",
    session: new SessionCache(),
    trace,
  };
}

/** DISCARD takes the mail and throws it away. defer_if_permit ends in a refusal whatever comes behind it, and
 *  defer_if_reject only changes how it is worded. */
function readOutcome(outcome: Outcome): Answer {
  if (outcome.effects?.some(({ kind }) => kind === "discard")) return { refuse: "hard" };
  switch (outcome.kind) {
    case "permit":
      return { permit: true };
    case "refuse":
      return { refuse: outcome.cause === "policy" ? "policy" : "hard" };
    case "deferIfPermit":
      return { refuse: "policy" };
    case "run":
      return { run: outcome };
    case "warnNext":
      return { warnNext: true };
    default:
      return NEXT;
  }
}
