/** authentication/verdict.ts: what SPF, DKIM, ARC and DMARC say together (RFC 9989), and the field that tells it. */
import type { SignatureResult } from "mailauth/lib/dkim/dkim-verifier.js";
import type { AuthenticationVerdict, DmarcCheck, SpfCheck } from "../mail/message-authentication.ts";
import type { Library } from "./library.ts";
import { type Resolve, SPENT } from "./questions.ts";
import { formatResults } from "./results-field.ts";
import type { Signatures } from "./signatures.ts";

const NO_POLICY = { policy: "none", domain: "" } as const;

export interface Asked {
  /** Asks for keys. */
  readonly keys: Resolve;
  /** Asks for policies: of the author, so another's slow answers do not use up its time. */
  readonly policies: Resolve;
  readonly serviceId: string;
  readonly clientAddress: string;
  /** MAIL FROM; "" for the null sender. */
  readonly sender: string;
  readonly spf: readonly SpfCheck[];
}

/** Ends the body. */
export async function judge(signatures: Signatures, library: Library, asked: Asked): Promise<AuthenticationVerdict> {
  const dkim = await signatures.results();
  const arc = await judgeArc(signatures, library, asked);
  const { dmarc, row } = await judgeDmarc(signatures, { dkim, library, asked });
  const rows = [...dkim.map(({ info }) => info), ...asked.spf.map(({ field }) => field), ...arc.rows, row];
  return { dmarc, arc: arc.result, field: formatResults(asked.serviceId, rows) };
}

/** What is said of a message that cannot be read. */
export function unknownVerdict(spf: readonly SpfCheck[], serviceId: string): AuthenticationVerdict {
  const rows = ["dkim=temperror", ...spf.map(({ field }) => field), "dmarc=temperror"];
  return {
    dmarc: { result: "temperror", ...NO_POLICY },
    arc: "fail",
    field: formatResults(serviceId, rows),
  };
}

async function judgeArc(
  { verifier }: Signatures,
  { arc }: Library,
  { keys, clientAddress }: Asked,
): Promise<{ readonly result: AuthenticationVerdict["arc"]; readonly rows: readonly string[] }> {
  if (verifier.arc.chain === false && verifier.arc.error === undefined) return { result: "none", rows: [] };
  const found = await arc(
    verifier.arc as never,
    {
      resolver: keys as never,
      minBitLength: 1024,
      strict: true,
      ip: clientAddress,
    } as never,
  );
  const result = found.status.result === "pass" ? "pass" : "fail";
  return { result, rows: found.info ? [found.info] : [] };
}

interface DmarcInput {
  readonly dkim: readonly SignatureResult[];
  readonly library: Library;
  readonly asked: Asked;
}

interface Alignable {
  readonly spf: readonly SpfCheck[];
  readonly dkim: readonly SignatureResult[];
}

/** What fails only because DNS did not answer for a signature or for SPF is a temperror, not a failure. */
async function judgeDmarc(
  signatures: Signatures,
  input: DmarcInput,
): Promise<{ readonly dmarc: DmarcCheck; readonly row: string }> {
  const { dkim, asked } = input;
  const { response, reason } = await evaluate(signatures, input, alignable(dkim, asked));
  if (response === false) {
    const noAuthor = (reason ?? "no-author-domain").replaceAll("-", " ");
    return { dmarc: { result: "permerror", ...NO_POLICY, noAuthor }, row: `dmarc=permerror (${noAuthor})` };
  }
  const { policy, status, info = "dmarc=none" } = response as typeof response & { policy?: string };
  const domain = signatures.verifier.headerFrom[0]?.split("@").at(-1) ?? "";
  const found = { policy: policyOf(policy), domain };
  if (status.result === "fail") {
    const perhaps = alignable(dkim, asked, true);
    const { response: other } = await evaluate(signatures, input, perhaps);
    if (other !== false && other.status.result !== "fail") {
      return { dmarc: { result: "temperror", ...found }, row: info.replace(/^dmarc=fail/, "dmarc=temperror") };
    }
  }
  return { dmarc: { result: resultOf(status.result), ...found }, row: info };
}

/** DNS failed for its key, and not only because others had used up the time. */
function isUndecided({ status }: SignatureResult): boolean {
  return status.result === "temperror" && !String(status.comment).includes(SPENT);
}

/** `perhaps`: with what DNS did not answer for. A signature that leaves a part of the body unsigned (`l=`) does not speak for the message. */
function alignable(dkim: readonly SignatureResult[], { spf, sender }: Asked, perhaps = false): Alignable {
  const identity = sender === "" ? "helo" : "mailfrom";
  const checks = spf.filter((check) => check.identity === identity);
  const signed = dkim.filter(({ status }) => !status.underSized);
  return {
    spf: checks.filter(({ result }) => result === "pass" || (perhaps && result === "temperror")),
    dkim: signed.filter((one) => one.status.result === "pass" || (perhaps && isUndecided(one))),
  };
}

function evaluate({ verifier }: Signatures, { library, asked }: DmarcInput, { spf, dkim }: Alignable) {
  return library.evaluateDmarc({
    headerFrom: verifier.headerFrom,
    fromFields: verifier.fromFields,
    spfDomains: spf.map(({ domain }) => domain),
    dkimDomains: dkim.map(({ id, signingDomain }) => ({ id, domain: signingDomain })),
    resolver: asked.policies,
    strict: true,
  } as never);
}

function resultOf(word: string): DmarcCheck["result"] {
  return word === "pass" || word === "fail" || word === "none" || word === "permerror" ? word : "temperror";
}

function policyOf(word: string | undefined): DmarcCheck["policy"] {
  return word === "reject" || word === "quarantine" ? word : "none";
}
