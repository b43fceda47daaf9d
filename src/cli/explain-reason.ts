/** cli/explain-reason.ts: why the rule that decided did so, in half a sentence for a person, from an explanation alone. */
import type { Lookup, TraceStep } from "../access/access.ts";
import type { Explanation } from "../smtpd/explanation.ts";

interface Case {
  readonly e: Explanation;
  /** What the deciding rule looked up. */
  readonly lookups: readonly Lookup[];
  /** The last of them that was found. */
  readonly found: Lookup | undefined;
  /** What follows the word. */
  readonly argument: string;
}

type Reason = (c: Case) => string | undefined;

/** By word; words that begin with check_ and are not here looked into a table. */
const REASONS: Readonly<Record<string, Reason>> = {
  reject_unauth_destination: unauthorized,
  defer_unauth_destination: unauthorized,
  reject_unlisted_sender: ({ e, lookups }) => unlisted(e.sender, lookups),
  reject_unlisted_recipient: ({ e, lookups }) => unlisted(e.recipient, lookups),
  smtpd_reject_unlisted_sender: ({ e, lookups }) => unlisted(e.sender, lookups),
  smtpd_reject_unlisted_recipient: ({ e, lookups }) => unlisted(e.recipient, lookups),
  check_policy_service: policyAnswer,
  reject_rbl_client: listed,
  reject_rhsbl_client: listed,
  reject_rhsbl_reverse_client: listed,
  reject_rhsbl_helo: listed,
  reject_rhsbl_sender: listed,
  reject_rhsbl_recipient: listed,
  reject_unknown_sender_domain: ({ e, lookups }) => unknownDomain(e, e.sender, lookups),
  reject_unknown_recipient_domain: ({ e, lookups }) => unknownDomain(e, e.recipient, lookups),
  reject_unknown_helo_hostname: ({ e, lookups }) =>
    unsure(lookups) ?? `DNS has neither an address nor a mail exchanger for the HELO name ${e.helo}`,
  reject_unknown_client_hostname: ({ e: { client } }) =>
    client.reverseName === "unknown"
      ? `${client.address} has no PTR record`
      : `the PTR name ${client.reverseName} does not lead back to ${client.address}`,
  reject_unknown_reverse_client_hostname: ({ e: { client } }) => `${client.address} has no PTR record`,
  reject_invalid_helo_hostname: ({ e }) => `the HELO name ${e.helo} is no host name`,
  reject_non_fqdn_helo_hostname: ({ e }) => `the HELO name ${e.helo} has no domain`,
  reject_non_fqdn_sender: ({ e }) => `the sender <${e.sender}> has no full domain`,
  reject_non_fqdn_recipient: ({ e }) => `the recipient <${e.recipient}> has no full domain`,
  reject_sender_login_mismatch: wrongOwner,
  reject_authenticated_sender_login_mismatch: wrongOwner,
  reject_known_sender_login_mismatch: wrongOwner,
  reject_unauthenticated_sender_login_mismatch: wrongOwner,
  reject_plaintext_session: () => "the session is not encrypted",
  reject_multi_recipient_bounce: ({ e }) => `a message from <> has one recipient, and this one has ${e.recipients}`,
  reject_unauth_pipelining: () => "the client sent commands before it was their turn",
  reject: () => "nothing before it let the client through",
  defer: () => "nothing before it let the client through",
  permit: () => "nothing before it refused",
  permit_mynetworks: ({ e, found }) => `${e.client.address} is ${found?.value} of mynetworks`,
  permit_sasl_authenticated: ({ e }) => `the client has logged in as ${e.login?.username}`,
  permit_auth_destination: ({ e }) => `${domainOf(e.recipient)} is a domain of ours`,
  permit_postmaster: ({ e }) => `${e.recipient} is a postmaster of ours`,
  permit_inet_interfaces: () => "the client is on this machine",
};

/** undefined where there is nothing to add to the rule's own name. */
export function reasonFor(e: Explanation): string | undefined {
  const step = decidingStep(e);
  if (e.by === undefined) return undefined;
  const [word = "", ...rest] = e.by.text.split(" ");
  const lookups = step?.lookups ?? [];
  const failure = /^451 /.test(e.reply[0] ?? "") ? failureIn(lookups) : undefined;
  if (failure !== undefined) return `it could not be looked up: ${failure}`;
  const found = lookups.findLast(({ result }) => result === "found");
  const reason = Object.hasOwn(REASONS, word) ? REASONS[word] : word.startsWith("check_") ? tableEntry : undefined;
  if (reason !== undefined) return reason({ e, lookups, found, argument: rest.join(" ") });
  return MISCONFIGURED.test(e.reply[0] ?? "") ? "it cannot work as it is written; see: postern check" : undefined;
}

const MISCONFIGURED = /^451 4\.3\.5 Server configuration error/;

/** What kept a table from answering: noted with its key, or as a remark of the whole rule. */
function failureIn(lookups: readonly Lookup[]): string | undefined {
  const failed = lookups.find(({ result }) => result === "error");
  if (failed !== undefined) return failed.value;
  const remark = lookups.find(({ source, result }) => result === "remark" && source.startsWith("error: "));
  return remark?.source.slice("error: ".length);
}

/** The step of the rule that decided. */
export function decidingStep({ by, steps }: Explanation): TraceStep | undefined {
  if (by === undefined) return undefined;
  const isIts = ({ rule }: TraceStep) => rule.text === by.text && rule.at === by.at && rule.parameter === by.parameter;
  return steps.findLast(isIts);
}

function domainOf(address: string | undefined): string {
  return (address ?? "").replace(/^.*@/, "");
}

function unauthorized({ e, lookups }: Case): string {
  const routed = lookups.some(({ source }) => source.endsWith("has sender-specified routing"));
  if (routed) return `the address ${e.recipient} holds a route of its own`;
  const who = e.login === undefined ? "the client has not logged in" : "no rule before it lets a login relay";
  return `${domainOf(e.recipient)} is not ours and ${who}`;
}

function unlisted(address: string | undefined, lookups: readonly Lookup[]): string {
  const route = lookups.find(({ source }) => source === "transport of");
  if (route !== undefined) return `mail to ${address} would go to ${route.value}`;
  return `${domainOf(address)} is ours, and no table lists ${address}`;
}

function policyAnswer({ lookups }: Case): string | undefined {
  const answer = lookups.findLast(({ source }) => source === "policy answer of");
  if (answer !== undefined) return `the policy server ${answer.key} answered "${answer.value}"`;
  return lookups.findLast(({ result }) => result === "remark")?.source;
}

function listed({ e, lookups, argument }: Case): string {
  const query = lookups.find(({ source, result }) => source === "dns A" && result === "found");
  const reason = lookups.find(({ source, result }) => source === "dns TXT" && result === "found");
  const list = argument.replace(/=.*/, "");
  const what = e.by?.text.startsWith("reject_rbl_client ") ? e.client.address : query?.key.replace(`.${list}`, "");
  return `${list} lists ${what}${reason === undefined ? "" : `: ${reason.value}`}`;
}

function unknownDomain(e: Explanation, address: string | undefined, lookups: readonly Lookup[]): string {
  if (e.reply.some((line) => line.includes("nullMX")))
    return `${domainOf(address)} says that it takes no mail (null MX)`;
  return unsure(lookups) ?? `DNS has neither a mail exchanger nor an address for ${domainOf(address)}`;
}

function unsure(lookups: readonly Lookup[]): string | undefined {
  const failed = lookups.find(({ result }) => result === "error");
  return failed && `DNS could not tell about ${failed.key}: ${failed.value}`;
}

function wrongOwner({ e, found }: Case): string {
  if (found === undefined) return `no table of smtpd_sender_login_maps lists ${e.sender}`;
  const who = e.login === undefined ? "the client has not logged in" : `the client is ${e.login.username}`;
  return `${e.sender} belongs to ${found.value}, and ${who}`;
}

function tableEntry({ e, found }: Case): string | undefined {
  if (found === undefined) return undefined;
  const isForbidden = MISCONFIGURED.test(e.reply[0] ?? "");
  const more = isForbidden ? ", which must not stand in such a table" : "";
  return `"${found.key}" is listed there as "${found.value}"${more}`;
}
