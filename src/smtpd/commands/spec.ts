/** smtpd/commands/spec.ts: the shape of a command: what the table in ../commands.ts says about each verb. */
import type { HandlerResult } from "../result.ts";
import type { Session } from "../session.ts";
import type { TallyName } from "../tally.ts";

export interface CommandSpec {
  /** Name in the disconnect line. */
  readonly tally: TallyName;
  /** `args`: the line behind the verb, without blanks at both ends. */
  run(session: Session, args: string): HandlerResult | Promise<HandlerResult>;
  /** Served before TLS when the security level is encrypt. */
  readonly preTls: boolean;
  /** Last in a pipelined group (RFC 2920 §3.1): more input behind it is improper; its reply is sent at once. */
  readonly endsGroup: boolean;
  /** Counts against smtpd_junk_command_limit. */
  readonly junk: boolean;
}
