/** access/restrictions/permit-sasl-authenticated.ts: `permit_sasl_authenticated`. An anonymous login (RFC 4505) is none. */
import { DUNNO, PERMIT, type Word } from "../restriction.ts";

export const permitSaslAuthenticated: Word = {
  names: ["permit_sasl_authenticated"],
  argument: "none",
  build:
    () =>
    ({ facts }) =>
      facts.saslEnabled && facts.sasl !== undefined && facts.sasl.method.toUpperCase() !== "ANONYMOUS" ? PERMIT : DUNNO,
};
