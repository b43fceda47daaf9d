/** tables/testdata/ber.ts: as much BER as tests need to talk like an LDAP server (RFC 4511 §5.1): build elements, read
 *  requests. Trusts what it reads. */

export function ber(tag: number, ...content: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(content.map((part) => Buffer.from(part as string)));
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([Buffer.of(tag, 0x84), length, body]);
}

const octets = (text: string | Buffer) => ber(0x04, text);

/** An LDAPMessage around an operation. */
export function message(id: number, operation: Buffer): Buffer {
  const digits = Buffer.alloc(4);
  digits.writeUInt32BE(id);
  return ber(0x30, ber(0x02, digits), operation);
}

export function result(tag: number, code = 0, text = ""): Buffer {
  return ber(tag, ber(0x0a, Buffer.of(code)), octets(""), octets(text));
}

export type Attributes = Readonly<Record<string, readonly (string | Buffer)[]>>;

export function entry(name: string, attributes: Attributes): Buffer {
  const list = Object.entries(attributes).map(([type, values]) =>
    ber(0x30, octets(type), ber(0x31, ...values.map(octets))),
  );
  return ber(0x64, octets(name), ber(0x30, ...list));
}

interface Element {
  readonly tag: number;
  readonly body: Buffer;
}

function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at + 1] ?? 0;
    const count = first < 0x80 ? 0 : first & 0x7f;
    const length = count === 0 ? first : bytes.readUIntBE(at + 2, count);
    const start = at + 2 + count;
    found.push({ tag: bytes[at] ?? 0, body: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

export interface Request {
  readonly id: number;
  readonly kind: "bind" | "search" | "extended" | "other";
  /** Search base, name that binds, or name of the extension. */
  readonly name: string;
  readonly password: string;
  /** As nested text with values in JSON: `(&(mail="a")(uid="b"))`. */
  readonly filter: string;
  readonly scope: number;
  readonly sizeLimit: number;
  readonly attributes: readonly string[];
}

/** The requests in `bytes`; a beginning of one at the end is left out. */
export function requests(bytes: Buffer): readonly Request[] {
  return elements(bytes).map(({ body }) => {
    const [id, operation] = elements(body);
    const parts = operation ? elements(operation.body) : [];
    const search = operation?.tag === 0x63;
    const kinds = new Map([
      [0x60, "bind"],
      [0x63, "search"],
      [0x77, "extended"],
    ] as const);
    return {
      id: id ? id.body.readUIntBE(0, id.body.length) : 0,
      kind: kinds.get((operation?.tag ?? 0) as 0x60) ?? "other",
      name: (operation?.tag === 0x60 ? parts[1] : parts[0])?.body.toString() ?? "",
      password: (operation?.tag === 0x60 && parts[2]?.body.toString()) || "",
      filter: search && parts[6] ? filterText(parts[6]) : "",
      scope: (search && parts[1]?.body[0]) || 0,
      sizeLimit: search && parts[3] ? parts[3].body.readUIntBE(0, parts[3].body.length) : 0,
      attributes: search && parts[7] ? elements(parts[7].body).map((part) => part.body.toString()) : [],
    };
  });
}

function filterText(filter: Element): string {
  const sets = new Map([
    [0xa0, "&"],
    [0xa1, "|"],
    [0xa2, "!"],
  ]);
  const set = sets.get(filter.tag);
  if (set !== undefined) return `(${set}${elements(filter.body).map(filterText).join("")})`;
  if (filter.tag === 0x87) return `(${filter.body}=*)`;
  const [type, value] = elements(filter.body);
  const text = JSON.stringify(value?.body.toString());
  if (filter.tag === 0xa3) return `(${type?.body}=${text})`;
  return `(${type?.body} 0x${filter.tag.toString(16)} ${text})`;
}
