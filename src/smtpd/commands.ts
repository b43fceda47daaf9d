/** smtpd/commands.ts: every verb the server knows, one line each. */
import { runAuth } from "./commands/auth.ts";
import { runBdat } from "./commands/bdat.ts";
import { runData } from "./commands/data.ts";
import { runEhlo } from "./commands/ehlo.ts";
import { runEtrn } from "./commands/etrn.ts";
import { runHelo } from "./commands/helo.ts";
import { runHelp } from "./commands/help.ts";
import { runMail } from "./commands/mail.ts";
import { runNoop } from "./commands/noop.ts";
import { runQuit } from "./commands/quit.ts";
import { runRcpt } from "./commands/rcpt.ts";
import { runRset } from "./commands/rset.ts";
import type { CommandSpec } from "./commands/spec.ts";
import { runStartTls } from "./commands/starttls.ts";
import { runUnimplemented, runUnknown } from "./commands/unimplemented.ts";
import { runVrfy } from "./commands/vrfy.ts";
import { runXclient } from "./commands/xclient.ts";
import { runXforward } from "./commands/xforward.ts";

const KNOWN = { tally: "unknown", run: runUnimplemented, preTls: false, endsGroup: true, junk: false } as const;

const COMMANDS = {
  HELO: { tally: "helo", run: runHelo, preTls: true, endsGroup: true, junk: true },
  EHLO: { tally: "ehlo", run: runEhlo, preTls: true, endsGroup: true, junk: true },
  XCLIENT: { tally: "xclient", run: runXclient, preTls: true, endsGroup: false, junk: false },
  XFORWARD: { tally: "xforward", run: runXforward, preTls: false, endsGroup: false, junk: false },
  STARTTLS: { tally: "starttls", run: runStartTls, preTls: true, endsGroup: true, junk: false },
  // AUTH with an initial response may be followed by more input (AUTH-20).
  AUTH: { tally: "auth", run: runAuth, preTls: false, endsGroup: false, junk: false },
  MAIL: { tally: "mail", run: runMail, preTls: false, endsGroup: false, junk: false },
  RCPT: { tally: "rcpt", run: runRcpt, preTls: false, endsGroup: false, junk: false },
  DATA: { tally: "data", run: runData, preTls: false, endsGroup: true, junk: false },
  RSET: { tally: "rset", run: runRset, preTls: false, endsGroup: false, junk: true },
  NOOP: { tally: "noop", run: runNoop, preTls: true, endsGroup: true, junk: true },
  VRFY: { tally: "vrfy", run: runVrfy, preTls: false, endsGroup: true, junk: true },
  QUIT: { tally: "quit", run: runQuit, preTls: true, endsGroup: false, junk: false },
  HELP: { tally: "help", run: runHelp, preTls: true, endsGroup: false, junk: true },
  BDAT: { tally: "bdat", run: runBdat, preTls: false, endsGroup: false, junk: false },
  ETRN: { tally: "etrn", run: runEtrn, preTls: false, endsGroup: true, junk: true },
  ATRN: KNOWN,
  EXPN: KNOWN,
  TURN: KNOWN,
  SEND: KNOWN,
  SOML: KNOWN,
  SAML: KNOWN,
} satisfies Record<string, CommandSpec>;

const BY_VERB: ReadonlyMap<string, CommandSpec> = new Map(Object.entries(COMMANDS));

/** Says the same with and without TLS, as in Postfix. */
export const UNKNOWN_COMMAND: CommandSpec = {
  tally: "unknown",
  run: runUnknown,
  preTls: true,
  endsGroup: false,
  junk: false,
};

/** The command of an upper-case verb. */
export function findCommand(verb: string): CommandSpec | undefined {
  return BY_VERB.get(verb);
}
