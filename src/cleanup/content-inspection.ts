/** cleanup/content-inspection.ts: one message on its way through the checks: its header fields, then its body as it streams by.
 *  Fields and lines come out as they came in, but for those that a rule changes or takes away. Holds no body: at most one
 *  line, one field of a part, and the boundaries that are open. */
import { isUtf8 } from "node:buffer";
import type { Turns } from "../base/turns.ts";
import { TableError } from "../tables/table.ts";
import type { CheckMaps, ContentChecks } from "./content-checks.ts";
import type { Judge, LineEffect } from "./content-judge.ts";
import { FIELD_COST, type HeaderField } from "./header-block.ts";
import { isMimeField } from "./mime-fields.ts";
import { type MimeEvent, MimeStructure } from "./mime-structure.ts";
import { type Steps, take } from "./steps.ts";

const CRLF = Buffer.from("\r\n");
const KEEP: LineEffect = { kind: "keep" };

export interface InspectedHeader {
  readonly fields: readonly HeaderField[];
  readonly blank: boolean;
  readonly seen: (field: HeaderField) => void;
  /** Of a header that is large. */
  readonly turns?: Turns | undefined;
}

export class ContentInspection {
  readonly #judge: Judge;
  readonly #checks: ContentChecks;
  readonly #structure: MimeStructure;
  /** The parameters whose rules have changed a line of the body. */
  readonly changed = new Set<string>();
  /** Some piece of the line under way has been kept. */
  #lineKept = false;

  constructor(checks: ContentChecks, judge: Judge) {
    this.#checks = checks;
    this.#judge = judge;
    this.#structure = new MimeStructure(checks.limits, checks.faults);
  }

  /** The message's own header; `blank`: an empty line ends it. `seen` gets each field that stays, in time for the order of
   *  log lines; a rule that ends the matter leaves out the rest. */
  header(given: InspectedHeader): readonly HeaderField[] | Promise<readonly HeaderField[]> {
    return take(this.#header(given));
  }

  /** The next bytes of the body, as they shall be stored. */
  body(chunk: Buffer): Buffer | Promise<Buffer> {
    return take(this.#events(this.#structure.push(chunk)));
  }

  /** What was held back of it. */
  end(): Buffer | Promise<Buffer> {
    return take(this.#events(this.#structure.end()));
  }

  *#header({ fields, blank, seen, turns }: InspectedHeader): Steps<readonly HeaderField[]> {
    const kept: HeaderField[] = [];
    for (const field of fields) {
      const wait = turns?.spend(field.text.length + FIELD_COST);
      if (wait) yield wait;
      for (const event of this.#structure.primaryField(field.name, field.text)) {
        if (event.kind === "fault") this.#judge.fault(event.fault, event.text);
      }
      const maps = isMimeField(field.name) ? this.#checks.mimeHeader : this.#checks.header;
      const line = lookupLine(field);
      const effect = yield* this.#check(maps, "header", line);
      if (this.#judge.over) break;
      if (effect.kind === "drop") continue;
      if (effect.kind === "prepend") kept.push({ name: "", text: fieldText(effect.text, line) });
      const stays = effect.kind === "replace" ? fieldFrom(effect.text, line) : field;
      kept.push(stays);
      seen(stays);
    }
    this.#structure.endPrimary(blank);
    return kept;
  }

  *#events(events: readonly MimeEvent[]): Steps<Buffer> {
    const out = new Pieces();
    for (const event of events) {
      if (this.#judge.over) break;
      if (event.kind === "fault") this.#judge.fault(event.fault, event.text);
      else if (event.kind === "field") yield* this.#partField(event, out);
      else yield* this.#line(event, out);
    }
    return out.joined();
  }

  *#partField({ where, bytes }: Extract<MimeEvent, { kind: "field" }>, out: Pieces): Steps<void> {
    const line = decode(bytes);
    const mime = where === "mime" || isMimeField(fieldName(line.text));
    const maps = mime ? this.#checks.mimeHeader : this.#checks.nestedHeader;
    const effect = yield* this.#check(maps, "header", { ...line, text: fieldKey(line.text) });
    if (effect.kind !== "keep" && maps) this.changed.add(maps.name);
    if (effect.kind === "drop") return;
    if (effect.kind === "prepend") out.add(Buffer.from(fieldText(effect.text, line), "latin1"), CRLF);
    out.add(effect.kind === "replace" ? Buffer.from(fieldText(effect.text, line), "latin1") : bytes, CRLF);
  }

  *#line(event: Extract<MimeEvent, { kind: "line" }>, out: Pieces): Steps<void> {
    const { raw, length, begins, ends, offset } = event;
    if (begins) this.#lineKept = false;
    const { body, bodySizeLimit } = this.#checks;
    if (body === undefined || !this.#judge.inspecting || (bodySizeLimit > 0 && offset >= bodySizeLimit)) {
      this.#lineKept = true;
      out.add(raw);
      return;
    }
    const line = decode(raw.subarray(0, length));
    const effect = yield* this.#check(body, "body", line);
    if (effect.kind !== "keep") this.changed.add(body.name);
    if (effect.kind === "drop") {
      // The end of a line that was kept in part stays: nothing else may move up into it.
      if (ends && this.#lineKept) out.add(CRLF);
      return;
    }
    this.#lineKept = true;
    if (effect.kind === "prepend") out.add(encode(effect.text, line), CRLF);
    if (effect.kind === "replace") out.add(encode(effect.text, line), ends ? CRLF : undefined);
    else out.add(raw);
  }

  *#check(maps: CheckMaps | undefined, what: "header" | "body", line: DecodedLine): Steps<LineEffect> {
    if (maps === undefined || !this.#judge.inspecting) return KEEP;
    try {
      const found = maps.find(line.text);
      const value = found instanceof Promise ? ((yield found) as Awaited<typeof found>) : found;
      return value === undefined ? KEEP : this.#judge.act(value, { map: maps.name, what, ...line });
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      this.#judge.lookupFailed(maps.name, error);
      return KEEP;
    }
  }
}

/** A field as tables see it. */
export function lookupLine({ text }: HeaderField): DecodedLine {
  const line = decode(Buffer.from(text, "latin1"));
  return { ...line, text: fieldKey(line.text) };
}

/** The field that a table has in the place of the one that `line` is. */
export function fieldFrom(text: string, line: DecodedLine): HeaderField {
  return asField(fieldText(text, line));
}

/** A line as tables see it. Postfix matches bytes; the tables here hold text, and so does most mail. */
export interface DecodedLine {
  readonly text: string;
  /** False: the bytes are no UTF-8 and `text` has one character for each. */
  readonly utf8: boolean;
}

function decode(bytes: Buffer): DecodedLine {
  const utf8 = isUtf8(bytes);
  return { text: utf8 ? bytes.toString("utf8") : bytes.toString("latin1"), utf8 };
}

/** A table's text in the bytes of the line that it may hold a part of. No line end of its own. */
function encode(text: string, { utf8 }: DecodedLine): Buffer {
  const oneLine = text.replace(/[\r\n]+/g, " ");
  return Buffer.from(oneLine, utf8 || /[^\x00-\xff]/.test(oneLine) ? "utf8" : "latin1");
}

/** A field from a table, in latin1 of its bytes: further lines are folded, so that none becomes a field or ends the header. */
function fieldText(text: string, line: DecodedLine): string {
  const [first = "", ...rest] = text.split(/[\r\n]+/).map((part) => encode(part, line).toString("latin1"));
  return [first, ...rest.map((part) => (/^[ \t]/.test(part) ? part : `\t${part}`))].join("\r\n");
}

function fieldName(text: string): string {
  return text.slice(0, text.indexOf(":")).trimEnd().toLowerCase();
}

function asField(text: string): HeaderField {
  return { name: fieldName(text), text };
}

/** One logical line: `Subject : a CRLF b` is seen as `Subject: a LF b`, as in Postfix. */
function fieldKey(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(/^([\x21-\x39\x3b-\x7e]+)[ \t]+:/, "$1:");
}

/** Output under way; neighbours in one buffer are joined without copying. */
class Pieces {
  readonly #pieces: Buffer[] = [];

  add(bytes: Buffer, lineEnd?: Buffer): void {
    const last = this.#pieces.at(-1);
    if (last && last.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset) {
      this.#pieces[this.#pieces.length - 1] = Buffer.from(last.buffer, last.byteOffset, last.length + bytes.length);
    } else this.#pieces.push(bytes);
    if (lineEnd) this.#pieces.push(lineEnd);
  }

  joined(): Buffer {
    const [first] = this.#pieces;
    return this.#pieces.length === 1 && first ? first : Buffer.concat(this.#pieces);
  }
}
