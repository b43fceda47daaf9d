/** cleanup/authors.ts: whose names stand in From and Resent-From of mail from clients that have logged in: theirs, by
 *  smtpd_sender_login_maps, or what postern_header_from_login_mismatch says of others (RFC 6409 §6.1, §6.3; SUB-24). Where there
 *  is no From, the envelope sender counts, which From will be made of. Mail from clients without a login is not looked at. */

import { whereOf } from "../access/list-compiler.ts";
import { rejected } from "../access/reply-text.ts";
import type { Turns } from "../base/turns.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { type Address, asAddress, formatAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import { findAddresses } from "../mail/header-address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type Reply, reply, replyText } from "../mail/reply.ts";
import type { LoginOwners } from "../rewrite/login-owners.ts";
import { TableError } from "../tables/table.ts";
import { FIELD_COST, type HeaderField } from "./header-block.ts";
import { actingClient, partiesOf, partiesText } from "./log-parties.ts";

const PARAMETER = "postern_header_from_login_mismatch";
/** Authors of one message that are looked up; more are nobody's. */
const MAX_AUTHORS = 100;

export interface AuthorScene {
  readonly envelope: Envelope;
  /** The last recipient, for the log. */
  readonly recipient: Address | undefined;
  readonly log: Log;
  /** Of a header that is large. */
  readonly turns?: Turns | undefined;
}

export type AuthorAnswer =
  | { readonly kind: "fields"; readonly fields: readonly HeaderField[] }
  | { readonly kind: "refused"; readonly reply: Reply };

export interface Authors {
  /** What the parameter makes of a header as the client sent it. Rejects for bugs only. */
  apply(fields: readonly HeaderField[], scene: AuthorScene): Promise<AuthorAnswer>;
  /** Whether the domain in From may sign: all authors of one of these headers, as it came and as it was made, are the login's, or
   *  nobody has logged in. undefined: that cannot be known now. */
  maySign(
    headers: readonly (readonly HeaderField[])[],
    scene: Omit<AuthorScene, "recipient">,
  ): Promise<boolean | undefined>;
}

export interface AuthorsDeps {
  readonly params: Parameters;
  readonly owners: LoginOwners;
  /** Canonical form in local context. */
  readonly rewrite: (address: Address) => Address;
}

/** undefined where nothing is asked. */
export function createAuthors(deps: AuthorsDeps): Authors | undefined {
  const grade = deps.params.get(PARAMETER);
  const signs = deps.params.get("postern_dkim_require_owner") && deps.params.get("postern_dkim_signing_file") !== "";
  return grade === "ignore" && !signs ? undefined : new LoginAuthors(deps, signs);
}

/** A name in a field that the login does not own. `text`: the address as it may be shown. */
interface Stranger {
  readonly field: HeaderField | undefined;
  readonly text: string;
}

class LoginAuthors implements Authors {
  readonly #owners: LoginOwners;
  readonly #rewrite: (address: Address) => Address;
  readonly #grade: "ignore" | "warn" | "rewrite" | "reject";
  readonly #signs: boolean;
  /** `main.cf:31`; undefined: no line of the log names it. */
  readonly #rule: string | undefined;

  constructor({ params, owners, rewrite }: AuthorsDeps, signs: boolean) {
    this.#owners = owners;
    this.#rewrite = rewrite;
    this.#grade = params.get(PARAMETER);
    this.#signs = signs;
    this.#rule = params.get("postern_explain_log") ? whereOf(params.source(PARAMETER)) : undefined;
  }

  async apply(fields: readonly HeaderField[], scene: AuthorScene): Promise<AuthorAnswer> {
    const { saslUsername } = scene.envelope.origin;
    if (this.#grade === "ignore" || saslUsername === undefined) return { kind: "fields", fields };
    try {
      if (!this.#owners.known) throw new TableError("smtpd_sender_login_maps lists nobody");
      const strangers = await this.#strangers(fields, scene, saslUsername);
      if (strangers.length === 0) return { kind: "fields", fields };
      return await this.#judge(fields, strangers, { ...scene, login: saslUsername });
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      scene.log.warning(printableUtf8(`${scene.envelope.queueId}: whose From it is cannot be known: ${error.message}`));
      if (this.#grade === "warn") return { kind: "fields", fields };
      return { kind: "refused", reply: reply(451, "4.3.0", "Error: owner of the From address cannot be looked up") };
    }
  }

  async maySign(
    headers: readonly (readonly HeaderField[])[],
    { envelope, log, turns }: Omit<AuthorScene, "recipient">,
  ): Promise<boolean | undefined> {
    const { origin } = envelope;
    if (!this.#signs || origin.saslUsername === undefined) return true;
    try {
      for (const fields of headers) {
        if ((await this.#strangers(fields, { envelope, log, turns }, origin.saslUsername)).length === 0) return true;
      }
      return false;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      log.warning(printableUtf8(error.message));
      return undefined;
    }
  }

  async #judge(
    fields: readonly HeaderField[],
    strangers: readonly Stranger[],
    scene: AuthorScene & { readonly login: string },
  ): Promise<AuthorAnswer> {
    const [first] = strangers;
    const refusal = rejected(
      550,
      "5.7.1",
      { name: first?.text ?? "", replyClass: "Sender address" },
      `not owned by user ${scene.login}`,
    );
    const mailbox = this.#grade === "rewrite" ? await this.#mailboxOf(scene.login, scene.envelope.sender) : undefined;
    if (mailbox !== undefined) {
      logMismatch("replace", `${replyText(refusal)} -- From becomes ${formatAddress(mailbox)}`, scene);
      return { kind: "fields", fields: renamed(fields, strangers, mailbox) };
    }
    logMismatch(this.#grade === "warn" ? "warning" : "reject", replyText(refusal), scene);
    if (this.#grade === "warn") return { kind: "fields", fields };
    this.#explain(scene);
    return { kind: "refused", reply: refusal };
  }

  /** The line that names the rule, as behind every refusal. */
  #explain({ envelope, log }: AuthorScene): void {
    if (this.#rule === undefined) return;
    const rule = this.#rule;
    const line = `${envelope.queueId}: explain: rule=${rule} parameter=${PARAMETER} grade=${this.#grade}`;
    log.info(line, { event: "explain", rule, parameter: PARAMETER, restriction: this.#grade });
  }

  /** One for each field that names somebody else. */
  async #strangers(
    fields: readonly HeaderField[],
    { envelope: { sender }, turns }: Omit<AuthorScene, "recipient">,
    login: string,
  ): Promise<readonly Stranger[]> {
    const found: Stranger[] = [];
    const owned = new Map<Address, boolean>();
    const owns = async (address: Address) => {
      const known = owned.get(address);
      if (known !== undefined || owned.size >= MAX_AUTHORS) return known ?? false;
      const logins = await this.#owners.of(address);
      owned.set(address, logins?.includes(login) === true);
      return owned.get(address) === true;
    };
    const authored = fields.filter(({ name }) => name === "from" || name === "resent-from");
    for (const field of authored) {
      const wait = turns?.spend(field.text.length + FIELD_COST);
      if (wait) await wait;
      const authors = authorsOf(field);
      // What cannot be read is nobody's: a mail program may read it otherwise.
      if (authors.length === 0) found.push({ field, text: "" });
      for (const address of authors) {
        if (await owns(address)) continue;
        found.push({ field, text: formatAddress(address) });
        break;
      }
    }
    const unnamed = !authored.some(({ name }) => name === "from") && sender !== "";
    if (unnamed && !(await owns(sender))) found.push({ field: undefined, text: formatAddress(sender) });
    return found;
  }

  /** The address that a login sends under: the envelope sender if it is his, else that of his name. undefined: somebody else's. */
  async #mailboxOf(login: string, sender: Address): Promise<Address | undefined> {
    if (sender !== "" && (await this.#owners.of(sender))?.includes(login)) return sender;
    if (login === "" || /[\x00-\x1f\x7f]/.test(login)) return undefined;
    const mailbox = this.#rewrite(asAddress(login));
    const logins = await this.#owners.of(mailbox);
    return logins === undefined || logins.includes(login) ? mailbox : undefined;
  }
}

/** Fields are latin1 text of bytes. */
function authorsOf(field: HeaderField): readonly Address[] {
  const value = field.text.slice(field.text.indexOf(":") + 1);
  return findAddresses(Buffer.from(value, "latin1").toString("utf8")).map(({ address }) => address);
}

/** The mailbox alone, without the name that the client gave: most programs show only that. What stood there is kept: as
 *  Reply-To if there is none, so that replies go where the client wanted, else as X-Original-From. */
function renamed(
  fields: readonly HeaderField[],
  strangers: readonly Stranger[],
  mailbox: Address,
): readonly HeaderField[] {
  const value = Buffer.from(formatAddress(mailbox), "utf8").toString("latin1");
  const given = new Set(strangers.map(({ field }) => field));
  const fromGiven = strangers.some(({ field }) => field === undefined || field.name === "from");
  let replyTo = fields.some(({ name }) => name === "reply-to");
  let from = false;
  const out = fields.flatMap((field): readonly HeaderField[] => {
    if (field.name === "from" && fromGiven) {
      const first = from ? [] : [{ name: "from", text: `From: ${value}` }];
      from = true;
      const name = replyTo || authorsOf(field).length === 0 ? "X-Original-From" : "Reply-To";
      replyTo = true;
      return given.has(field) ? [...first, called(name, field)] : first;
    }
    if (!given.has(field)) return [field];
    return [{ name: "resent-from", text: `Resent-From: ${value}` }, called("X-Original-Resent-From", field)];
  });
  return fromGiven && !from ? [...out, { name: "from", text: `From: ${value}` }] : out;
}

function called(name: string, { text }: HeaderField): HeaderField {
  return { name: name.toLowerCase(), text: `${name}${text.slice(text.indexOf(":"))}` };
}

/** `QID: reject: header From from name[address]: 550 …; from=<s> to=<r> proto=ESMTP helo=<h>`. */
function logMismatch(action: string, text: string, { envelope, recipient, log }: AuthorScene): void {
  const parties = partiesOf(envelope, recipient);
  const line = `${envelope.queueId}: ${action}: header From from ${actingClient(envelope)}: ${text};`;
  log.info(printableUtf8(`${line}${partiesText(parties)}`), () => ({
    ...{ event: action, stage: "header From", queue_id: envelope.queueId, reply: text, ...parties },
  }));
}
