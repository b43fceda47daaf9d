/** access/restrictions/permit-sasl-authenticated.ts: `permit_sasl_authenticated`. An anonymous login (RFC 4505) is none. */
import type { SaslIdentity } from "../../mail/client.ts";
import type { Told } from "../../tables/lookup-trace.ts";
import { DUNNO, PERMIT, type Word } from "../restriction.ts";

export const permitSaslAuthenticated: Word = {
  names: ["permit_sasl_authenticated"],
  argument: "none",
  build:
    () =>
    ({ facts, trace }) => {
      trace?.lookup("login", "", facts.sasl, tellLogin);
      const { sasl, saslEnabled } = facts;
      return saslEnabled && sasl !== undefined && sasl.method.toUpperCase() !== "ANONYMOUS" ? PERMIT : DUNNO;
    },
};

function tellLogin(sasl: SaslIdentity | undefined): Told {
  if (sasl === undefined) return { result: "not found", value: "not logged in" };
  return { result: "found", value: `${sasl.username} (${sasl.method})` };
}
