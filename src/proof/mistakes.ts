/** proof/mistakes.ts: what is legal, opens nothing by itself, and is hardly ever meant: warnings about one service. Syntax
 *  accidents are config/'s. */
import type { Rule } from "../access/restriction.ts";
import { type Network, parseNetwork } from "../base/cidr.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Problem, SourceRef } from "../config/snapshot.ts";
import type { AddressList } from "../tables/pattern-list.ts";
import type { TableOpener } from "../tables/table.ts";
import type { Lists } from "./lists.ts";
import { isPrivate, isWide, networkIn } from "./networks.ts";
import type { Cell } from "./prove.ts";
import { RCPT_STAGES } from "./reachable.ts";
import type { ClientClass } from "./scenario.ts";
import { neverAnswers, tableOf } from "./sight.ts";

export interface Suspect {
  readonly params: Parameters;
  readonly mynetworks: AddressList;
  readonly lists: Lists;
  readonly tables: TableOpener;
  readonly cells: readonly Cell[];
  readonly reached: ReadonlyMap<Rule, ReadonlySet<ClientClass>>;
  readonly strangersElsewhere: ReadonlySet<Rule>;
  readonly at: SourceRef;
  readonly name: string;
  readonly submission: boolean;
}

export function mistakes(suspect: Suspect): readonly Problem[] {
  return [
    ...hiddenClients(suspect),
    ...inheritedMynetworks(suspect),
    ...neverReached(suspect),
    ...loginMismatchWithoutMaps(suspect),
    ...xclient(suspect),
    ...untrustedRouting(suspect),
    ...probesForStrangers(suspect),
  ];
}

/** Networks that container bridges use unless told otherwise (Docker, Podman). */
const BRIDGES = ["172.16.0.0/12", "10.88.0.0/16"].flatMap((text) => {
  const result = parseNetwork(text);
  return result.kind === "network" ? [result.network] : [];
});

/** Trusting private networks trusts the whole world where a proxy or address translator speaks for it. */
function hiddenClients({ params, mynetworks, lists }: Suspect): readonly Problem[] {
  if (!allRules(lists).some(({ word }) => word === "permit_mynetworks")) return [];
  const trusted = mynetworks.patterns.filter(({ pattern, verdict }) => verdict && isPrivatePattern(pattern));
  const names = trusted.map(({ pattern }) => pattern).join(", ");
  if (names === "") return [];
  const at = params.source("mynetworks");
  const warn = (text: string, hint: string): readonly Problem[] => [{ severity: "warning", at, text, hint }];
  if (params.text("smtpd_upstream_proxy_protocol") !== "") {
    const text = `mynetworks trusts ${names}, and a client that reaches this port past the proxy can claim to come from there`;
    return warn(text, "let only the proxy reach the port, or trust logins instead of networks");
  }
  if (params.get("proxy_interfaces").length > 0) {
    const text = `mynetworks trusts ${names}, but connections come through a proxy or NAT (proxy_interfaces): strangers may seem to come from there`;
    return warn(text, "leave the address of the proxy out of mynetworks");
  }
  const bridges = trusted.filter(({ pattern }) => isBridge(networkIn(pattern))).map(({ pattern }) => pattern);
  if (bridges.length === 0) return [];
  const text = `mynetworks trusts ${bridges.join(", ")}, where container bridges are: behind a published port all strangers may seem to come from there`;
  return warn(text, "trust single addresses, or logins");
}

function isPrivatePattern(pattern: string): boolean {
  const network = networkIn(pattern);
  return network !== undefined && isPrivate(network);
}

function isBridge(network: Network | undefined): boolean {
  if (network === undefined) return false;
  return BRIDGES.some((bridge) => {
    const { family, words } = network;
    return network.prefixLength >= bridge.prefixLength && bridge.matches({ family, words });
  });
}

function allRules(lists: Lists): readonly Rule[] {
  return rulesIn(RCPT_STAGES.map((stage) => lists[stage]));
}

/** Each rule once, those of classes too. */
function rulesIn(lists: readonly (readonly Rule[])[]): readonly Rule[] {
  const rules = new Set<Rule>();
  const visit = (list: readonly Rule[]): void => {
    for (const rule of list) {
      if (rules.has(rule)) continue;
      rules.add(rule);
      if (rule.rules) visit(rule.rules);
    }
  };
  for (const list of lists) visit(list);
  return [...rules];
}

/** Submission is for people who log in; who wrote permit_mynetworks at the service itself means it. */
function inheritedMynetworks({ params, lists, cells, reached, at, name, submission }: Suspect): readonly Problem[] {
  const cell = cells.find(({ client, destination }) => client === "mynetworks" && destination === "foreign");
  if (!submission || cell?.verdict !== "always") return [];
  const rule = allRules(lists).find((one) => one.word === "permit_mynetworks" && reached.has(one));
  if (rule === undefined || params.source(rule.ref.parameter)?.file === at.file) return [];
  const text = `submission service ${name} inherits permit_mynetworks (${rule.ref.parameter}, ${rule.ref.at}): clients in mynetworks need no login`;
  const hint = `-o { ${rule.ref.parameter} = permit_sasl_authenticated, reject }`;
  return [{ severity: "warning", at, text, hint }];
}

/** Words that people put behind everything else to be on the safe side. */
const LAST_WORDS: ReadonlySet<string> = new Set([
  "permit",
  "reject",
  "defer",
  "reject_unauth_destination",
  "defer_unauth_destination",
  "error",
]);

/** Restrictions to which no client comes; and policy servers of submission that never hear of those who log in. */
function neverReached(suspect: Suspect): readonly Problem[] {
  const { params, lists, cells, reached } = suspect;
  // What cannot be told for sure is not told; a broken table or word refuses everybody and was reported.
  if (cells.some(({ capped }) => capped) || allRules(lists).some((rule) => isBroken(rule, suspect))) return [];
  return RCPT_STAGES.flatMap((stage) => {
    const list = lists[stage];
    const parameter = `smtpd_${stage}_restrictions`;
    const at = params.source(parameter);
    const [first] = list;
    if (first === undefined || at === undefined || !isOwn(parameter, suspect)) return [];
    if (!reached.has(first)) {
      const text = `${parameter} is never reached: the lists before it refuse every client`;
      return [{ severity: "warning", at, text }];
    }
    return rulesIn([list]).flatMap((rule) => unreached(rule, suspect));
  });
}

function isBroken({ word, argument }: Rule, { tables }: Suspect): boolean {
  if (word === "error") return true;
  return /^check_\w+_access$/.test(word) && argument !== undefined && neverAnswers(tables.open(tableOf(argument)));
}

/** A list of main.cf is made for other services too, where a service changes some lists and inherits the rest. */
function isOwn(parameter: string, { params, at }: Suspect): boolean {
  const changes = RCPT_STAGES.some((stage) => params.source(`smtpd_${stage}_restrictions`)?.file === at.file);
  return !changes || params.source(parameter)?.file === at.file;
}

function unreached(rule: Rule, { params, cells, reached, submission }: Suspect): readonly Problem[] {
  if (LAST_WORDS.has(rule.word)) return [];
  const at = params.source(rule.ref.parameter);
  const by = reached.get(rule);
  const isPolicy = rule.word === "check_policy_service";
  const where = `${rule.ref.parameter}: ${rule.ref.text}`;
  if (by === undefined) {
    const text = `${where} is never ${isPolicy ? "asked" : "reached"}: what stands before it decides about every client`;
    return [{ severity: "warning", at, text }];
  }
  const logins = cells.some(({ client, verdict }) => client === "login" && verdict === "always");
  if (!isPolicy || !submission || !logins || by.has("login")) return [];
  const text = `${where} is never asked about clients that have logged in: a permit stands before it`;
  return [{ severity: "warning", at, text, hint: "put it in front of permit_sasl_authenticated" }];
}

function loginMismatchWithoutMaps({ params, lists }: Suspect): readonly Problem[] {
  if (params.get("smtpd_sender_login_maps").length > 0) return [];
  return allRules(lists)
    .filter(({ word }) => /login_mismatch$/.test(word))
    .map(({ word, ref }): Problem => {
      const all = word === "reject_sender_login_mismatch" || word === "reject_authenticated_sender_login_mismatch";
      const effect = all ? "refuses every client that has logged in" : "has nothing to look up";
      return {
        severity: "warning",
        at: params.source(ref.parameter),
        text: `${ref.parameter}: ${ref.text} ${effect}: smtpd_sender_login_maps is empty`,
      };
    });
}

/** XCLIENT makes anybody of whoever may use it. */
function xclient({ params, at }: Suspect): readonly Problem[] {
  const wide = params.get("smtpd_authorized_xclient_hosts").find((item) => {
    const network = networkIn(item);
    return !item.startsWith("!") && network !== undefined && isWide(network);
  });
  if (wide === undefined) return [];
  return [
    {
      severity: params.get("postern_allow_open_relay") ? "warning" : "error",
      at: params.source("smtpd_authorized_xclient_hosts") ?? at,
      text: `open relay: any client can take any address and any login with XCLIENT; smtpd_authorized_xclient_hosts holds ${wide}`,
    },
  ];
}

function untrustedRouting({ params }: Suspect): readonly Problem[] {
  if (!params.get("allow_untrusted_routing") || params.get("relay_domains").length === 0) return [];
  const text =
    "allow_untrusted_routing = yes: strangers can send user%elsewhere@relay-domain, and relay if the next host follows it";
  return [{ severity: "warning", at: params.source("allow_untrusted_routing"), text }];
}

/** Each address that a stranger names is a session to a host that he chooses (ADDRESS_VERIFICATION_README). */
function probesForStrangers({ params, lists, strangersElsewhere }: Suspect): readonly Problem[] {
  return allRules(lists)
    .filter((rule) => rule.word === "reject_unverified_recipient" && strangersElsewhere.has(rule))
    .map(({ ref }): Problem => {
      const text = `${ref.parameter}: reject_unverified_recipient is asked about recipients elsewhere before strangers are refused: anybody can make this server probe any host`;
      const hint = "put it behind reject_unauth_destination";
      return { severity: "warning", at: params.source(ref.parameter), text, hint };
    });
}
