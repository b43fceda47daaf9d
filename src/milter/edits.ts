/** milter/edits.ts: what Milters change of a message: its header at positions, sender, recipients. Positions count the fields that a
 *  Milter sees: all but our own Received (as in Postfix). */

/** A header field; `text` is latin1, folded, without the final CRLF. */
export interface MilterField {
  /** Lower case. */
  readonly name: string;
  readonly text: string;
}

export class MessageEdits {
  #fields: MilterField[];
  /** Our own Received. */
  readonly #hidden: MilterField | undefined;
  /** "" is the null sender; undefined: as it was. */
  sender: string | undefined;
  readonly added: string[] = [];
  readonly deleted: string[] = [];
  /** Why the message is to be held. */
  quarantine: string | undefined;

  constructor(fields: readonly MilterField[], hidden: MilterField | undefined) {
    this.#fields = [...fields];
    this.#hidden = hidden;
  }

  get fields(): readonly MilterField[] {
    return this.#fields;
  }

  /** Those that a Milter sees. */
  get visible(): readonly MilterField[] {
    return this.#fields.filter((field) => field !== this.#hidden);
  }

  /** At the end. */
  add(name: string, value: string): void {
    this.#fields.push(fieldOf(name, value));
  }

  /** In front of the field that has this position among all fields, from 0, our own Received counted, as in Postfix: 1 is
   *  behind it. At the end if there are fewer. */
  insert(position: number, name: string, value: string): void {
    this.#fields.splice(position, 0, fieldOf(name, value));
  }

  /** The `occurrence`th field of the name, from 1; one that is not there is added. An empty value removes it. */
  change(occurrence: number, name: string, value: string): void {
    const same = this.visible.filter((field) => field.name === name.toLowerCase());
    const found = same[Math.max(1, occurrence) - 1];
    if (found === undefined) {
      if (value !== "") this.add(name, value);
      return;
    }
    const at = this.#fields.indexOf(found);
    if (value === "") this.#fields.splice(at, 1);
    else this.#fields[at] = fieldOf(name, value);
  }
}

/** Line ends in the value are folding; what does not begin with a blank would be a field of its own, and gets one. */
function fieldOf(name: string, value: string): MilterField {
  const lines = value.replace(/\r\n?/g, "\n").replaceAll("\0", "").replace(/\n+$/, "").split("\n");
  const folded = lines.map((line, i) => (i === 0 || /^[ \t]/.test(line) ? line : `\t${line}`)).join("\r\n");
  const text = `${name}:${/^[ \t]/.test(folded) ? "" : " "}${folded}`;
  return { name: name.toLowerCase(), text: Buffer.from(text, "utf8").toString("latin1") };
}

/** The value of a field as a Milter gets it: bytes, LF as line end, the blank behind the colon only if it asked for that. */
export function valueFor({ text }: MilterField, leadingSpace: boolean): Buffer {
  const value = text.slice(text.indexOf(":") + 1).replaceAll("\r\n", "\n");
  return Buffer.from(leadingSpace ? value : value.replace(/^[ \t]/, ""), "latin1");
}

/** The name as it is written. */
export function nameOf({ text }: MilterField): string {
  return text.slice(0, text.indexOf(":")).trimEnd();
}
