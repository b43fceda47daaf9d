/** cleanup/duties/submission-duties.ts: one submitted message under the checks of postern_submission_checks: watches its body,
 *  knows who sends it, and logs what is found. */

import type { Turns } from "../../base/turns.ts";
import type { Parameters } from "../../config/parameters.ts";
import type { Log } from "../../log/log.ts";
import { type Address, asAddress } from "../../mail/address.ts";
import { printableUtf8 } from "../../mail/printable.ts";
import { type Reply, replyText } from "../../mail/reply.ts";
import type { LoginOwners } from "../../rewrite/login-owners.ts";
import { TableError } from "../../tables/table.ts";
import type { BodyRepairDeps } from "../body-repair.ts";
import { BodyWatch } from "../body-watch.ts";
import type { MessageOptions } from "../cleanup.ts";
import type { HeaderField } from "../header-block.ts";
import type { Ledger } from "../ledger.ts";
import { actingClient, partiesOf, partiesText } from "../log-parties.ts";
import type { BodyInHand } from "../milter-body.ts";
import { take } from "../steps.ts";
import { applyDuties, PARAMETER, type Refused } from "./apply.ts";
import { BodyDuties, isSevenBit } from "./body-duties.ts";
import { type DutyFacts, makeField } from "./duty.ts";
import { signedBy } from "./signed.ts";

export interface DutyDeps {
  readonly params: Parameters;
  readonly log: Log;
  readonly options: MessageOptions;
  readonly ledger: Ledger;
  readonly owners: LoginOwners | undefined;
}

export class SubmissionDuties {
  readonly #deps: DutyDeps;
  readonly #watch = new BodyWatch();
  readonly #body: BodyDuties;

  constructor(deps: DutyDeps) {
    this.#deps = deps;
    const { params, ledger, options } = deps;
    const warn = (text: string) => this.#warn(text);
    this.#body = new BodyDuties({ params, ledger, envelope: options.envelope, watch: this.#watch, warn });
  }

  /** The body as it goes to the store. */
  update(chunk: Uint8Array): void {
    this.#watch.update(chunk);
  }

  /** The client's own header, as it shall be; all of the body has been seen. `turns`: of a header that is large. */
  async check(
    fields: readonly HeaderField[],
    turns?: Turns,
  ): Promise<{ readonly fields: readonly HeaderField[] } | { readonly refused: Reply }> {
    const { params, ledger } = this.#deps;
    const signed = signedBy(fields, this.#watch.facts.armoured);
    const steps = applyDuties(fields, {
      grades: params.get(PARAMETER),
      facts: this.#facts(await this.#mailbox()),
      signed,
      force: params.get("postern_repair_signed"),
      ledger,
      warn: (text) => this.#warn(text),
      turns,
    });
    const taken = take(steps);
    const done = taken instanceof Promise ? await taken : taken;
    if ("refused" in done) return this.#refused(done.refused);
    const refused = this.#body.check(done.fields, signed.body);
    return refused ? this.#refused(refused) : done;
  }

  /** What is to be done to the body; the header that fits it. `body` follows. Rejects QueueError. */
  async repairBody(
    fields: readonly HeaderField[],
    body: BodyInHand,
    deps: BodyRepairDeps,
  ): Promise<{ readonly fields: readonly HeaderField[] } | { readonly refused: Reply }> {
    const done = await this.#body.repair(fields, body, deps);
    return "refused" in done ? this.#refused(done.refused) : done;
  }

  /** repairBody() has something to look at. */
  get readsBody(): boolean {
    return this.#body.reads;
  }

  #warn(text: string): void {
    const { log, options } = this.#deps;
    log.warning(printableUtf8(`${options.envelope.queueId}: ${text}`));
  }

  /** With a field that tells the next hop and the reader what was done, if that is wanted (RFC 5321 §6.4). */
  tell(fields: readonly HeaderField[]): readonly HeaderField[] {
    const { params, ledger } = this.#deps;
    return params.get("postern_modification_header") ? [...fields, changesField(ledger)] : fields;
  }

  #facts(mailbox: Address | undefined): DutyFacts {
    const { params, options } = this.#deps;
    const { queueId, sender, arrivalMs, smtputf8, origin } = options.envelope;
    return {
      ...{ queueId, sender, arrivalMs, smtputf8 },
      mailbox,
      loggedIn: origin.saslUsername !== undefined,
      myhostname: params.get("myhostname"),
      mydomain: params.get("mydomain"),
      myorigin: params.get("myorigin"),
      tokenLimit: params.get("header_address_token_limit"),
      body: this.#watch.facts,
      sevenBit: isSevenBit(params),
    };
  }

  /** The login, if it is an address; else the envelope sender that smtpd_sender_login_maps gives to it; else that name at
   *  myorigin (MOD-04). undefined also where a table fails: no address is better than another one's. */
  async #mailbox(): Promise<Address | undefined> {
    const { options, params, owners } = this.#deps;
    const { origin, sender } = options.envelope;
    const login = origin.saslUsername;
    if (login === undefined || login === "") return undefined;
    if (login.includes("@")) return asAddress(login);
    try {
      if (sender !== "" && owners?.known && (await owners.of(sender))?.includes(login)) return sender;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      this.#warn(`the mailbox of a login cannot be known: ${error.message}`);
      return undefined;
    }
    return asAddress(`${login}@${params.get("myorigin")}`);
  }

  /** Logs it as Postfix logs a refusal at the end of data, with the line of explain behind it. */
  #refused({ check, reply }: Refused): { readonly refused: Reply } {
    const { params, log, options } = this.#deps;
    const { envelope, recipients } = options;
    const { queueId, origin } = envelope;
    const parties = partiesOf(envelope, recipients.at(-1)?.address);
    const peer = origin.uid === undefined ? actingClient(envelope) : "local";
    const line = `${queueId}: reject: END-OF-MESSAGE from ${peer}: ${replyText(reply)};${partiesText(parties)}`;
    log.info(printableUtf8(line), () => ({
      ...{ event: "reject", stage: "END-OF-MESSAGE", ...parties },
      ...{ client_name: origin.clientName, client_address: origin.clientAddress },
      ...{ code: reply.code, dsn: reply.dsn, reply: reply.lines.join(" ") },
    }));
    const at = params.source(PARAMETER);
    const rule = at === undefined ? "default" : `${at.file}:${at.line}`;
    log.info(`${queueId}: explain: rule=${rule} parameter=${PARAMETER} check=${check}`, {
      ...{ event: "explain", rule, parameter: PARAMETER, restriction: check },
    });
    return { refused: reply };
  }
}

function changesField(ledger: Ledger): HeaderField {
  const { changes } = ledger;
  if (changes === undefined) return makeField("X-Postern-Changes", "none");
  const { list, omitted } = changes;
  const texts = list.map(({ what, rule }) => `${what} (${rule})`);
  return makeField(
    "X-Postern-Changes",
    [...texts, ...(omitted === undefined ? [] : [`${omitted} more`])].join(",\r\n\t"),
  );
}
