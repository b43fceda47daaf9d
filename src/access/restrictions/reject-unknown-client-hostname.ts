/** access/restrictions/reject-unknown-client-hostname.ts: `reject_unknown_client_hostname` (the PTR name must resolve back
 *  to the address) and `reject_unknown_reverse_client_hostname` (there must be a PTR name). smtpd/ has looked both up. */
import type { ClientEndpoint } from "../../mail/client.ts";
import type { Told } from "../../tables/lookup-trace.ts";
import { shortened } from "../reply-text.ts";
import { DUNNO, type Outcome, type Services, type Word } from "../restriction.ts";

export const rejectUnknownClientHostname: Word = {
  names: ["reject_unknown_client_hostname", "reject_unknown_client"],
  argument: "none",
  build(services) {
    return ({ facts: { client }, trace }) => {
      trace?.lookup("verified name of", client.address, client, tellName);
      if (client.nameStatus === "verified") return DUNNO;
      const code = codeFor(client.nameStatus, services);
      return refuse(code, "7.25", `cannot find your hostname, [${client.address}]`); // RFC 7372 §3.3
    };
  },
};

export const rejectUnknownReverseClientHostname: Word = {
  names: ["reject_unknown_reverse_client_hostname"],
  argument: "none",
  build(services) {
    return ({ facts: { client }, trace }) => {
      trace?.lookup("PTR name of", client.address, client, tellReverseName);
      if (client.reverseName !== "unknown") return DUNNO;
      return refuse(
        codeFor(client.nameStatus, services),
        "7.1",
        `cannot find your reverse hostname, [${client.address}]`,
      );
    };
  },
};

const UNVERIFIED: Readonly<Record<ClientEndpoint["nameStatus"], string>> = {
  verified: "",
  missing: "no PTR record",
  mismatch: "does not lead back to the address",
  temporary: "DNS could not tell",
};

function tellName({ name, reverseName, nameStatus }: ClientEndpoint): Told {
  if (nameStatus === "verified") return { result: "found", value: name };
  const of = reverseName === "unknown" ? "" : `${reverseName} `;
  return { result: nameStatus === "temporary" ? "error" : "not found", value: `${of}${UNVERIFIED[nameStatus]}` };
}

function tellReverseName({ reverseName, nameStatus }: ClientEndpoint): Told {
  if (reverseName !== "unknown") return { result: "found", value: reverseName };
  return { result: nameStatus === "temporary" ? "error" : "not found", value: UNVERIFIED[nameStatus] };
}

/** A name that may be found later is never refused for good. */
function codeFor(status: string, { params }: Services): number {
  return status === "temporary" ? 450 : params.get("unknown_client_reject_code");
}

function refuse(code: number, detail: string, text: string): Outcome {
  const reply = shortened(code, `${Math.floor(code / 100)}.${detail}`, `Client host rejected: ${text}`);
  return { kind: "refuse", cause: "policy", reply };
}
