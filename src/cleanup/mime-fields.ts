/** cleanup/mime-fields.ts: what Content-Type and Content-Transfer-Encoding say (RFC 2045 §5, §6), read tolerantly: comments,
 *  quoted strings, folding, cruft. Text is latin1 of the bytes. Takes time linear in the length; nothing throws. */

export type MimeType = "text" | "message" | "multipart" | "other";

export interface ContentType {
  readonly type: MimeType;
  /** Lower case; "" if there is none. */
  readonly subtype: string;
  /** Each `boundary` parameter, in order. More than one is illegal and a way to hide parts: each of them counts. */
  readonly boundaries: readonly string[];
}

export type Encoding = "7bit" | "8bit" | "binary" | "base64" | "quoted-printable";

/** "7bit", "8bit" and "binary" say what the data is; the others also how it was transformed (RFC 2045 §6.2). */
export const DOMAINS: Readonly<Record<Encoding, "7bit" | "8bit" | "binary">> = {
  "7bit": "7bit",
  "8bit": "8bit",
  binary: "binary",
  base64: "7bit",
  "quoted-printable": "7bit",
};

/** The fields that mime_header_checks are for, wherever they stand. */
const MIME_FIELDS: ReadonlySet<string> = new Set([
  "mime-version",
  "content-type",
  "content-transfer-encoding",
  "content-disposition",
  "content-description",
  "content-id",
]);

/** `name` in lower case. */
export function isMimeField(name: string): boolean {
  return MIME_FIELDS.has(name);
}

/** undefined: no type can be read. RFC 2231 continuations of a boundary (`boundary*0=`) are not joined; no mail program writes them. */
export function parseContentType(value: string): ContentType | undefined {
  const [head = [], ...parameters] = attributesOf(value);
  const [type, slash, subtype] = head;
  if (type === undefined || type.kind !== "word") return undefined;
  const name = type.text.toLowerCase();
  const known = name === "text" || name === "message" || name === "multipart";
  return {
    type: known ? name : "other",
    subtype: slash?.text === "/" && subtype?.kind === "word" ? subtype.text.toLowerCase() : "",
    boundaries: parameters.flatMap(([key, equals, given]) =>
      key?.text.toLowerCase() === "boundary" && equals?.text === "=" && given ? [given.text] : [],
    ),
  };
}

/** undefined: none of those that RFC 2045 has. */
export function parseEncoding(value: string): Encoding | undefined {
  const name = attributesOf(value)[0]?.[0]?.text.toLowerCase() ?? "";
  return Object.hasOwn(DOMAINS, name) ? (name as Encoding) : undefined;
}

interface Token {
  readonly kind: "word" | "quoted" | "special";
  readonly text: string;
}

/** What is looked at of one attribute: `boundary`, `=`, value. */
const TOKENS_KEPT = 3;

/** The tokens between semicolons. A word ends at a blank, a control or one of RFC 2045's tspecials. */
function attributesOf(value: string): readonly (readonly Token[])[] {
  const token = /[\s\x00-\x1f\x7f]+|\(|"((?:[^"\\]|\\[\s\S]?)*)"?|[^\s\x00-\x1f\x7f()<>@,;:\\"/[\]?=]+|[\s\S]/y;
  const attributes: Token[][] = [[]];
  for (let match = token.exec(value); match; match = token.exec(value)) {
    const [text, quoted] = match;
    if (text === "(") token.lastIndex = commentEnd(value, match.index);
    else if (text === ";") attributes.push([]);
    else if (text.trim() !== "") {
      const current = attributes.at(-1);
      if (current && current.length < TOKENS_KEPT) current.push(tokenOf(text, quoted));
    }
  }
  return attributes;
}

function tokenOf(text: string, quoted: string | undefined): Token {
  if (quoted !== undefined) {
    return { kind: "quoted", text: quoted.replace(/\r?\n(?=[ \t])/g, "").replace(/\\([\s\S])/g, "$1") };
  }
  return { kind: /^[()<>@,;:\\"/[\]?=]/.test(text) ? "special" : "word", text };
}

/** Index behind the comment that begins at `start`; comments nest. */
function commentEnd(value: string, start: number): number {
  let depth = 0;
  for (let at = start; at < value.length; at++) {
    const c = value[at];
    if (c === "\\") at++;
    else if (c === "(") depth++;
    else if (c === ")" && --depth === 0) return at + 1;
  }
  return value.length;
}
