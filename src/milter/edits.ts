/** milter/edits.ts: what Milters change of a message: its header at positions, sender, recipients. Positions count the fields that a
 *  Milter sees: all but our own Received (as in Postfix). */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Address } from "../mail/address.ts";

/** A header field; `text` is latin1, folded, without the final CRLF. */
export interface MilterField {
  /** Lower case. */
  readonly name: string;
  readonly text: string;
}

/** What becomes of a field that a Milter wants in the header: the field to put there, nothing, or the message need not be
 *  looked at any more. */
export type FieldCheck = (field: MilterField) => Awaitable<MilterField | "drop" | "over">;

/** One recipient more, or one less. */
export interface RecipientChange {
  readonly kind: "add" | "delete";
  readonly address: Address;
}

/** What mark() has seen. */
interface State {
  readonly fields: readonly MilterField[];
  readonly recipients: readonly RecipientChange[];
  readonly sender: Address | undefined;
  readonly quarantine: string | undefined;
}

export class MessageEdits {
  #fields: MilterField[];
  /** Our own Received. */
  readonly #hidden: MilterField | undefined;
  readonly #check: FieldCheck | undefined;
  /** undefined: as it was. */
  sender: Address | undefined;
  /** In order. */
  recipients: RecipientChange[] = [];
  /** Why the message is to be held. */
  quarantine: string | undefined;
  /** The Milter that speaks now says by itself what stands between colon and value (SMFIP_HDR_LEADSPC). */
  leadingSpace = false;
  /** A check has decided about the message: no other Milter need be asked. */
  over = false;

  /** `check`: milter_header_checks; undefined: there are none. */
  constructor(fields: readonly MilterField[], hidden: MilterField | undefined, check?: FieldCheck) {
    this.#fields = [...fields];
    this.#hidden = hidden;
    this.#check = check;
  }

  get fields(): readonly MilterField[] {
    return this.#fields;
  }

  /** Those that a Milter sees. */
  get visible(): readonly MilterField[] {
    return this.#fields.filter((field) => field !== this.#hidden);
  }

  /** The state to go back to if the Milter fails before it has said its last word. */
  mark(): State {
    const { recipients, sender, quarantine } = this;
    return { fields: [...this.#fields], recipients: [...recipients], sender, quarantine };
  }

  backTo({ fields, recipients, sender, quarantine }: State): void {
    this.#fields = [...fields];
    this.recipients = [...recipients];
    this.sender = sender;
    this.quarantine = quarantine;
  }

  /** At the end. Name and value here and below are latin1 of their bytes. */
  add(name: string, value: string): Awaitable<void> {
    return this.#checked(this.#fieldOf(name, value), (field) => this.#fields.push(field));
  }

  /** In front of the field that has this position among all fields, from 0, our own Received counted, as in Postfix: 1 is
   *  behind it. At the end if there are fewer. */
  insert(position: number, name: string, value: string): Awaitable<void> {
    return this.#checked(this.#fieldOf(name, value), (field) => this.#fields.splice(position, 0, field));
  }

  /** The `occurrence`th field of the name, from 1; one that is not there is added. An empty value removes it. */
  change(occurrence: number, name: string, value: string): Awaitable<void> {
    const same = this.visible.filter((field) => field.name === name.toLowerCase());
    const found = same[Math.max(1, occurrence) - 1];
    if (found === undefined) return value === "" ? undefined : this.add(name, value);
    const at = this.#fields.indexOf(found);
    if (value === "") this.#fields.splice(at, 1);
    else return this.#checked(this.#fieldOf(name, value), (field) => this.#fields.splice(at, 1, field));
    return undefined;
  }

  #checked(field: MilterField, put: (field: MilterField) => unknown): Awaitable<void> {
    if (this.over) return undefined;
    return whenKnown(this.#check ? this.#check(field) : field, (judged) => {
      if (judged === "over") this.over = true;
      else if (judged !== "drop") put(judged);
    });
  }

  /** Line ends in the value are folding; what does not begin with a blank would be a field of its own, and gets one. */
  #fieldOf(name: string, value: string): MilterField {
    const lines = value.replace(/\r\n?/g, "\n").replaceAll("\0", "").replace(/\n+$/, "").split("\n");
    const folded = lines.map((line, i) => (i === 0 || /^[ \t]/.test(line) ? line : `\t${line}`)).join("\r\n");
    return { name: name.toLowerCase(), text: `${name}:${this.leadingSpace ? "" : " "}${folded}` };
  }
}

/** The value of a field as a Milter gets it: bytes, LF as line end, the blank behind the colon (no tab) only if it asked for that. */
export function valueFor({ text }: MilterField, leadingSpace: boolean): Buffer {
  const value = text.slice(text.indexOf(":") + 1).replaceAll("\r\n", "\n");
  return Buffer.from(leadingSpace ? value : value.replace(/^ /, ""), "latin1");
}

/** The name as it is written. */
export function nameOf({ text }: MilterField): string {
  return text.slice(0, text.indexOf(":")).trimEnd();
}
