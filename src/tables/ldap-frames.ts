/** tables/ldap-frames.ts: cuts a byte stream into LDAP messages (RFC 4511 §5.1: BER, definite lengths) and lets through only
 *  those whose inner lengths fit together. The driver decodes them; it trusts lengths, and would loop or hoard on bad ones. */

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const ENUMERATED = 0x0a;
const OCTETS = 0x04;
const CONTROLS = 0xa0;
const BIND_RESPONSE = 0x61;
const ENTRY = 0x64;
const DONE = 0x65;
const REFERENCE = 0x73;
const EXTENDED_RESPONSE = 0x78;
const REFERRAL = 0xa3;

/** Longest frame head: tag, length of length, four bytes. */
const HEAD_BYTES = 6;
/** The driver collects the entries of an answer with one call that has an argument each. */
const MAX_ENTRIES = 50_000;

export class LdapFrames {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #received = 0;
  #entries = 0;
  #doneCode: number | undefined;

  /** `limitBytes` is for all messages between two calls of begin(). */
  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  /** True if no part of a message is held back. */
  get empty(): boolean {
    return this.#buffered === 0;
  }

  /** resultCode of the last search since begin(). */
  get doneCode(): number | undefined {
    return this.#doneCode;
  }

  /** A new question: its answer may be as long as the limit. */
  begin(): void {
    this.#received = this.#buffered;
    this.#entries = 0;
    this.#doneCode = undefined;
  }

  /** The whole messages that `chunk` completes, or what is wrong. */
  push(chunk: Buffer): readonly Buffer[] | { readonly problem: string } {
    this.#received += chunk.length;
    if (this.#received > this.#limit) return { problem: `the answer is longer than ${this.#limit} bytes` };
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      const size = this.#nextSize();
      if (size === "bad") return { problem: "malformed LDAP message from the server" };
      if (size === undefined || size > this.#buffered) return messages;
      const message = this.#take(size);
      if (!isMessage(message)) return { problem: "malformed LDAP message from the server" };
      const operation = operationOf(message);
      if (operation?.tag === ENTRY && ++this.#entries > MAX_ENTRIES) {
        return { problem: `the answer has more than ${MAX_ENTRIES} entries` };
      }
      if (operation?.tag === DONE) this.#doneCode = resultCode(message, operation);
      messages.push(message);
    }
  }

  /** Bytes of the message that comes next, undefined if too few are there to tell. */
  #nextSize(): number | "bad" | undefined {
    if (this.#buffered === 0) return undefined;
    let head = this.#chunks[0] ?? Buffer.alloc(0);
    if (head.length < HEAD_BYTES && this.#chunks.length > 1) head = this.#join();
    if (head[0] !== SEQUENCE) return "bad";
    const first = head[1];
    if (first === undefined) return undefined;
    if (first < 0x80) return 2 + first;
    const count = first & 0x7f;
    if (count === 0 || count > 4) return "bad";
    if (head.length < 2 + count) return undefined;
    const size = 2 + count + head.readUIntBE(2, count);
    return size > this.#limit ? "bad" : size;
  }

  #take(size: number): Buffer {
    const all = this.#join();
    const rest = all.subarray(size);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#buffered = rest.length;
    return all.subarray(0, size);
  }

  #join(): Buffer {
    const [first] = this.#chunks;
    if (first && this.#chunks.length === 1) return first;
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}

/** One BER element; `end` is behind it. */
interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** The elements that fill `from` to `to` exactly, or undefined. */
function elements(bytes: Buffer, from: number, to: number): readonly Element[] | undefined {
  const found: Element[] = [];
  for (let at = from; at < to; ) {
    const tag = bytes[at];
    const first = bytes[at + 1];
    if (tag === undefined || first === undefined) return undefined;
    const count = first < 0x80 ? 0 : first & 0x7f;
    if (first === 0x80 || count > 4 || at + 2 + count > to) return undefined;
    const start = at + 2 + count;
    const end = start + (count === 0 ? first : bytes.readUIntBE(at + 2, count));
    if (end > to) return undefined;
    found.push({ tag, start, end });
    at = end;
  }
  return found;
}

function inside(bytes: Buffer, element: Element | undefined, tag: number): readonly Element[] | undefined {
  return element?.tag === tag ? elements(bytes, element.start, element.end) : undefined;
}

function operationOf(message: Buffer): Element | undefined {
  const [whole] = elements(message, 0, message.length) ?? [];
  return inside(message, whole, SEQUENCE)?.[1];
}

function resultCode(message: Buffer, operation: Element): number | undefined {
  const [code] = inside(message, operation, DONE) ?? [];
  return code && message.readUIntBE(code.start, code.end - code.start);
}

/** RFC 4511 §4.1.1: message id, one of the answers that a client of ours can get, controls. */
function isMessage(bytes: Buffer): boolean {
  const [whole] = elements(bytes, 0, bytes.length) ?? [];
  const [id, operation, controls, ...more] = inside(bytes, whole, SEQUENCE) ?? [];
  if (id?.tag !== INTEGER || id.end - id.start < 1 || id.end - id.start > 4 || !operation) return false;
  if (more.length > 0 || (controls && !areControls(bytes, controls))) return false;
  if (operation.tag === ENTRY) return isEntry(bytes, operation);
  if (operation.tag === REFERENCE) return allAre(inside(bytes, operation, REFERENCE), OCTETS);
  return [BIND_RESPONSE, DONE, EXTENDED_RESPONSE].includes(operation.tag) && isResult(bytes, operation);
}

/** LDAPResult: resultCode, matchedDN, diagnosticMessage, perhaps a referral, perhaps parts of the operation. */
function isResult(bytes: Buffer, operation: Element): boolean {
  const [code, matched, text, ...rest] = inside(bytes, operation, operation.tag) ?? [];
  if (code?.tag !== ENUMERATED || code.end === code.start || code.end - code.start > 4) return false;
  if (matched?.tag !== OCTETS || text?.tag !== OCTETS) return false;
  return rest.every((part) =>
    part.tag === REFERRAL ? allAre(inside(bytes, part, REFERRAL), OCTETS) : (part.tag & 0xe0) === 0x80,
  );
}

/** objectName, then a list of attributes: a type and a set of values each. */
function isEntry(bytes: Buffer, operation: Element): boolean {
  const [name, attributes, ...more] = inside(bytes, operation, ENTRY) ?? [];
  const list = inside(bytes, attributes, SEQUENCE);
  if (name?.tag !== OCTETS || !list || more.length > 0) return false;
  return list.every((attribute) => {
    const [type, values, ...others] = inside(bytes, attribute, SEQUENCE) ?? [];
    return type?.tag === OCTETS && others.length === 0 && allAre(inside(bytes, values, SET), OCTETS);
  });
}

function areControls(bytes: Buffer, controls: Element): boolean {
  return inside(bytes, controls, CONTROLS)?.every((control) => inside(bytes, control, SEQUENCE) !== undefined) === true;
}

function allAre(found: readonly Element[] | undefined, tag: number): boolean {
  return found?.every((element) => element.tag === tag) === true;
}
