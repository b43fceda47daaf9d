/** cleanup/content-verdict.ts: what the checks have decided about one message so far, and the log line of each action, in
 *  Postfix's form (cleanup_message.c of Postfix is the reference for order and words). Looks nothing up. */
import type { Log } from "../log/log.ts";
import { type Address, asAddress, formatAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableAscii, printableUtf8 } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import type { TableError } from "../tables/table.ts";
import { type CheckAction, parseCheckAction } from "./check-action.ts";
import { EmptyResult } from "./content-checks.ts";
import type { CheckedLine, Judge, LineEffect } from "./content-judge.ts";
import { actingClient, partiesOf, partiesText } from "./log-parties.ts";
import type { MimeFault } from "./mime-structure.ts";

const KEEP: LineEffect = { kind: "keep" };
const DROP: LineEffect = { kind: "drop" };

/** Characters of a line that are logged, and of one that is a MIME fault. */
const SHOWN = 200;
const SHOWN_FAULT = 100;
const SHOWN_OF_MILTER = 60;

/** Worst first: that one is told to the client. */
const FAULTS: readonly (readonly [MimeFault, string])[] = [
  ["nesting", "MIME nesting exceeds safety limit"],
  ["8bit-header", "improper use of 8-bit data in message header"],
  ["8bit-body", "improper use of 8-bit data in message body"],
  ["encoding", "invalid message/* or multipart/* encoding domain"],
];

/** Who sent the message to whom, for log lines. */
export interface CheckScene {
  readonly envelope: Envelope;
  /** The last one. */
  readonly recipient: Address | undefined;
  readonly log: Log;
  /** The lines come from a Milter: there is less that can be done, and the log says so. */
  readonly ofMilter?: true;
}

export class ContentVerdict implements Judge {
  readonly #scene: CheckScene;
  readonly #faults = new Set<MimeFault>();
  #rejected: Reply | undefined;
  /** False once an action has ended the inspection. */
  inspecting = true;
  discard = false;
  hold = false;
  /** The last FILTER. */
  filter: string | undefined;
  /** REDIRECT: gets the message instead of all recipients. */
  redirect: Address | undefined;
  readonly #copies = new Map<string, Address>();

  constructor(scene: CheckScene) {
    this.#scene = scene;
  }

  /** A rule or a table that failed has refused the message: the rest of it need not be looked at. */
  get rejected(): Reply | undefined {
    return this.#rejected;
  }

  /** Why the message is not taken, asked at its end; undefined: nothing stands against it. */
  get refusal(): Reply | undefined {
    if (this.#rejected !== undefined) return this.#rejected;
    const worst = FAULTS.find(([fault]) => this.#faults.has(fault));
    return worst && reply(550, "5.6.0", worst[1]);
  }

  /** BCC, in order, each once. */
  get copies(): readonly Address[] {
    return [...this.#copies.values()];
  }

  get over(): boolean {
    return this.#rejected !== undefined || this.discard;
  }

  /** Does what a table says of a line. */
  act(value: string, line: CheckedLine): LineEffect {
    const action = parseCheckAction(value, this.#scene.ofMilter ? { ...line, scope: "milter" } : line);
    switch (action.kind) {
      case "keep":
        if (action.warning !== undefined) this.#scene.log.warning(printableUtf8(action.warning));
        return KEEP;
      case "ignore":
        return DROP;
      case "reject":
        return this.#reject(action, line);
      case "strip":
        this.#logAction("strip", action.text, line);
        return DROP;
      case "prepend":
      case "replace":
        if (action.kind === "prepend" && this.#scene.ofMilter) return this.#notPrepended(action.text, line);
        this.#logAction(action.kind, action.text, line);
        return action;
      default:
        this.#actOnMessage(action, line);
        return KEEP;
    }
  }

  /** A table did not answer: the message is deferred, whatever else is said of it. */
  lookupFailed(map: string, error: TableError): void {
    const { log, envelope } = this.#scene;
    log.warning(printableUtf8(error.message));
    if (error instanceof EmptyResult) log.warning(`${map} should return NO RESULT in case of NOT FOUND`);
    log.warning(`${envelope.queueId}: ${map} map lookup problem -- message not accepted, try again later`);
    this.#refuse(reply(451, "4.3.0", "Error: queue file write error"));
  }

  /** The message is refused at its end; what the tables say of the rest is logged before. */
  fault(fault: MimeFault, text: string): void {
    this.#faults.add(fault);
    const { envelope, recipient, log } = this.#scene;
    const words = FAULTS.find(([name]) => name === fault)?.[1];
    const shown = printableAscii(text.replaceAll("\r\n", "\n").slice(0, SHOWN_FAULT));
    const to = recipient === undefined ? "" : ` to=<${formatAddress(recipient)}>`;
    const parties = `from=<${formatAddress(envelope.sender)}>${to}`;
    log.info(
      printableUtf8(`${envelope.queueId}: reject: mime-error ${words}: ${shown} from ${this.#origin()}; ${parties}`),
      () => ({ event: "reject", stage: "mime", reply: words, ...partiesOf(envelope, recipient) }),
    );
  }

  #reject(action: Extract<CheckAction, { kind: "reject" }>, line: CheckedLine): LineEffect {
    if (action.warning !== undefined) this.#scene.log.warning(printableUtf8(action.warning));
    this.#logAction("reject", `${action.dsn} ${action.text}`, line);
    this.#refuse(reply(action.dsn.startsWith("4") ? 451 : 550, action.dsn, printableAscii(action.text)));
    return KEEP;
  }

  /** As in Postfix. */
  #notPrepended(text: string, line: CheckedLine): LineEffect {
    this.#logAction("prepend", text, line);
    this.#scene.log.warning("the milter_header/body_checks prepend action is not implemented");
    return KEEP;
  }

  #refuse(answer: Reply): void {
    this.#rejected = answer;
    this.inspecting = false;
  }

  #actOnMessage(
    { kind, text }: Exclude<CheckAction, { kind: "keep" | "ignore" | "reject" | "strip" | "prepend" | "replace" }>,
    line: CheckedLine,
  ): void {
    // Held is held: further rules say nothing.
    if (kind === "hold" && this.hold) return;
    this.#logAction(kind === "warn" ? "warning" : kind, text, line);
    if (kind === "hold") this.hold = true;
    else if (kind === "filter") this.filter = text;
    else if (kind === "bcc" && !this.#copies.has(text.toLowerCase()))
      this.#copies.set(text.toLowerCase(), asAddress(text));
    else if (kind === "redirect") this.redirect = asAddress(text);
    else if (kind === "discard") this.discard = true;
    if (kind === "pass" || kind === "redirect" || kind === "discard") this.inspecting = false;
  }

  #logAction(action: string, text: string, { what, text: content, utf8 }: CheckedLine): void {
    const printable = utf8 ? printableUtf8 : printableAscii;
    const { envelope, recipient, log, ofMilter } = this.#scene;
    const parties = partiesOf(envelope, recipient);
    const shown = content.slice(0, ofMilter ? SHOWN_OF_MILTER : SHOWN);
    const label = ofMilter ? `milter-${what}-${action}` : action;
    const line = `${envelope.queueId}: ${label}: ${what} ${shown} from ${this.#origin()};${partiesText(parties)}`;
    // Postfix has the colon there also in front of nothing.
    const told = text !== "" || (ofMilter && (action === "discard" || action === "hold"));
    log.info(printable(told ? `${line}: ${text}` : line), () => ({
      event: action === "warning" ? "warn" : action,
      stage: ofMilter ? "milter" : what,
      content: printable(shown),
      text: printable(text),
      ...parties,
    }));
  }

  /** The real client, where a content filter has told it (XFORWARD); a program of this machine is "local". */
  #origin(): string {
    const { envelope, ofMilter } = this.#scene;
    const { forwarded, uid } = envelope.origin;
    if (ofMilter) return actingClient(envelope);
    if (uid !== undefined) return "local";
    return forwarded ? `${forwarded.name ?? "unknown"}[${forwarded.address ?? "unknown"}]` : actingClient(envelope);
  }
}
