/** access/restrictions/reject-unknown-client-hostname.ts: `reject_unknown_client_hostname` (the PTR name must resolve back
 *  to the address) and `reject_unknown_reverse_client_hostname` (there must be a PTR name). smtpd/ has looked both up. */
import { shortened } from "../reply-text.ts";
import { DUNNO, type Outcome, type Services, type Word } from "../restriction.ts";

export const rejectUnknownClientHostname: Word = {
  names: ["reject_unknown_client_hostname", "reject_unknown_client"],
  argument: "none",
  build(services) {
    return ({ facts: { client } }) => {
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
    return ({ facts: { client } }) => {
      if (client.reverseName !== "unknown") return DUNNO;
      return refuse(
        codeFor(client.nameStatus, services),
        "7.1",
        `cannot find your reverse hostname, [${client.address}]`,
      );
    };
  },
};

/** A name that may be found later is never refused for good. */
function codeFor(status: string, { params }: Services): number {
  return status === "temporary" ? 450 : params.get("unknown_client_reject_code");
}

function refuse(code: number, detail: string, text: string): Outcome {
  const reply = shortened(code, `${Math.floor(code / 100)}.${detail}`, `Client host rejected: ${text}`);
  return { kind: "refuse", cause: "policy", reply };
}
