import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type MimeEvent, type MimeFault, type MimeLimits, MimeStructure } from "./mime-structure.ts";

const LIMITS: MimeLimits = { lineLimit: 64, fieldLimit: 100, nestingLimit: 3, boundaryLimit: 8, disabled: false };
const ALL: ReadonlySet<MimeFault> = new Set(["nesting", "8bit-header", "8bit-body", "encoding"]);

interface Input {
  /** Fields of the message's own header. */
  readonly header?: readonly string[];
  readonly body: string;
  readonly limits?: Partial<MimeLimits>;
}

/** One letter and the text for each event: F field of a part, N of a message, L line, P piece without line end, ! fault. */
function show(event: MimeEvent): string {
  if (event.kind === "fault") return `! ${event.fault} ${event.text}`;
  if (event.kind === "field") return `${event.where === "mime" ? "F" : "N"} ${event.bytes.toString("latin1")}`;
  const text = event.raw.subarray(0, event.length).toString("latin1");
  return `${event.ends ? "L" : "P"}${event.begins ? "" : "+"} ${event.offset} ${text}`;
}

function events(
  { header = [], body, limits }: Input,
  cuts: (bytes: Buffer) => readonly Buffer[] = (b) => [b],
): string[] {
  const structure = new MimeStructure({ ...LIMITS, ...limits }, ALL);
  const seen = header.flatMap((text) =>
    structure.primaryField(text.slice(0, text.indexOf(":")).toLowerCase(), text).map(show),
  );
  structure.endPrimary(true);
  for (const chunk of cuts(Buffer.from(body, "latin1"))) seen.push(...structure.push(chunk).map(show));
  return [...seen, ...structure.end().map(show)];
}

const MULTIPART = "Content-Type: multipart/mixed; boundary=b";

const cases: readonly (Input & { readonly why: string; readonly want: readonly string[] })[] = [
  { why: "lines and their offsets", body: "a\r\n\r\nbcd", want: ["L 1 a", "L 3 ", "P 4 bcd"] },
  { why: "no body", body: "", want: [] },
  { why: "bare CR, bare LF, NUL are content", body: "a\rb\nc\0\r\n\r\r\n", want: ["L 1 a\rb\nc\0", "L 8 \r"] },
  {
    why: "a part's fields, folded, then its body",
    header: [MULTIPART],
    body: "pre\r\n--b\r\nA: x\r\n y\r\nB: z\r\n\r\ntext\r\n--b--\r\npost\r\n",
    want: ["L 1 pre", "L 5 --b", "F A: x\r\n y", "F B: z", "L 0 ", "L 1 text", "L 0 --b--", "L 6 post"],
  },
  {
    why: "without a boundary nothing is a part",
    header: ["Content-Type: text/plain; boundary=b"],
    body: "--b\r\nA: x\r\n",
    want: ["L 1 --b", "L 5 A: x"],
  },
  {
    why: "a part without empty line",
    header: [MULTIPART],
    body: "--b\r\nA: x\r\nno field\r\n--b\r\n--b\r\n",
    want: ["L 1 --b", "F A: x", "L 0 no field", "L 9 --b", "L 0 --b"],
  },
  {
    why: "an enclosed message",
    header: ["Content-Type: message/rfc822"],
    body: "Subject: n\r\n\r\nA: x\r\n",
    want: ["N Subject: n", "L 0 ", "L 1 A: x"],
  },
  {
    why: "a second Content-Type does not hide an enclosed message",
    header: ["Content-Type: message/rfc822", "Content-Type: application/x"],
    body: "Subject: n\r\n",
    want: ["N Subject: n"],
  },
  {
    why: "but one that says nothing does, as in Postfix",
    header: ["Content-Type: message/rfc822", "Content-Type:"],
    body: "Subject: n\r\n",
    want: ["L 1 Subject: n"],
  },
  {
    why: "other messages have no header (message/partial)",
    header: ["Content-Type: message/partial"],
    body: "Subject: n\r\n",
    want: ["L 1 Subject: n"],
  },
  {
    why: "multipart/digest: parts are messages, RFC 2046 §5.1.5",
    header: ["Content-Type: multipart/digest; boundary=b"],
    body: "--b\r\n\r\nSubject: n\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx: y\r\n",
    want: [
      ...["L 1 --b", "L 0 ", "N Subject: n", "L 0 ", "L 1 --b"],
      ...["F Content-Type: text/plain", "L 0 ", "L 1 x: y"],
    ],
  },
  {
    why: "an outer boundary ends what lies inside",
    header: [MULTIPART],
    body: "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nX: 1\r\n\r\n--b\r\nY: 2\r\n\r\n--c\r\nZ: 3\r\n",
    want: [
      ...["L 1 --b", `F ${MULTIPART.slice(0, -1)}c`, "L 0 ", "L 1 --c", "F X: 1", "L 0 ", "L 1 --b", "F Y: 2", "L 0 "],
      ...["L 1 --c", "L 5 Z: 3"],
    ],
  },
  {
    why: "cruft behind a boundary hides nothing",
    header: [MULTIPART],
    body: "--bbb\r\nA: x\r\n\r\n-- b\r\n--b-- x\r\n--b\r\nB: y\r\n",
    want: ["L 1 --bbb", "F A: x", "L 0 ", "L 1 -- b", "L 0 --b-- x", "L 8 --b", "L 12 B: y"],
  },
  {
    why: "a boundary longer than the limit",
    header: ["Content-Type: multipart/mixed; boundary=123456789"],
    body: "--1234567\r\n--12345678x\r\nA: x\r\n",
    want: ["L 1 --1234567", "L 11 --12345678x", "F A: x"],
  },
  {
    why: "long lines come in pieces; only the first begins anything",
    header: [MULTIPART],
    body: `${"x".repeat(64)}--b\r\nA: x\r\n${"y".repeat(64)}\r\n`,
    want: [`P 1 ${"x".repeat(64)}`, "L+ 66 --b", "L 70 A: x", `P 75 ${"y".repeat(64)}`, "L+ 140 "],
  },
  {
    why: "a long field is cut at the limit",
    header: [MULTIPART],
    body: `--b\r\nA: ${"x".repeat(200)}\r\n y\r\nB: z\r\n\r\n`,
    want: ["L 1 --b", `F A: ${"x".repeat(97)}`, "F B: z", "L 0 "],
  },
  {
    why: "nested too deep: told once, no part is opened (MSG-15, LIM-13)",
    header: ["Content-Type: multipart/mixed; boundary=1; boundary=2; boundary=3; boundary=4; boundary=5; boundary=6"],
    body: "--6\r\nA: x\r\n",
    want: [
      "! nesting Content-Type: multipart/mixed; boundary=1; boundary=2; boundary=3; boundary=4; boundary=5; boundary=6",
      ...["L 1 --6", "L 5 A: x"],
    ],
  },
  {
    why: "8-bit text where 7bit is said or meant",
    header: ["Subject: \xe9", "X: \xe9"],
    body: "a\xe9\r\n\xe9\r\n",
    want: ["! 8bit-header Subject: \xe9", "! 8bit-body a\xe9", "L 1 a\xe9", "L 4 \xe9"],
  },
  {
    why: "8-bit text that is told of",
    header: ["Content-Transfer-Encoding: 8bit"],
    body: "a\xe9\r\n",
    want: ["L 1 a\xe9"],
  },
  {
    why: "a transformed multipart",
    header: [MULTIPART, "Content-Transfer-Encoding: base64"],
    body: "x\r\n",
    want: ["! encoding base64", "L 1 x"],
  },
  {
    why: "a transformed message, RFC 2046 §5.2.1",
    header: ["Content-Type: message/rfc822", "Content-Transfer-Encoding: quoted-printable"],
    body: "x\r\n",
    want: ["! encoding quoted-printable", "L 0 x"],
  },
  {
    why: "a fragment must be 7bit, RFC 2046 §5.2.2",
    header: ["Content-Type: message/partial", "Content-Transfer-Encoding: 8bit"],
    body: "x\r\n",
    want: ["! encoding 8bit", "L 1 x"],
  },
  {
    why: "message/global may be transformed, RFC 6532 §3.5",
    header: ["Content-Type: message/global", "Content-Transfer-Encoding: base64"],
    body: "x\r\n",
    want: ["L 1 x"],
  },
  {
    why: "disabled: nothing is looked at",
    header: [MULTIPART, "Content-Transfer-Encoding: base64", "Subject: \xe9"],
    body: "--b\r\nA: \xe9\r\n",
    limits: { disabled: true },
    want: ["L 1 --b", "L 5 A: \xe9"],
  },
];

const byteByByte = (bytes: Buffer) => Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));

for (const c of cases) {
  test(`MimeStructure: ${c.why}, at once and byte by byte`, () => {
    assert.deepEqual(events(c), c.want);
    assert.deepEqual(events(c, byteByByte), c.want);
  });
}

test("MimeStructure: every byte comes out once, however the bytes are cut", () => {
  const word = fc.constantFrom("--b", "--b--", "--c", "\r\n", "\r", "\n", "A: x", " ", "x".repeat(70), "\0", "\xe9");
  const nested = fc.constantFrom(
    "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n",
    "\r\n--b\r\nContent-Type: multipart/digest; boundary=c\r\n\r\n",
  );
  const body = fc
    .array(fc.oneof({ weight: 5, arbitrary: word }, nested), { maxLength: 40 })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(body, fc.array(fc.nat(400), { maxLength: 12 }), (text, points) => {
      const input = { header: [MULTIPART], body: text, limits: { fieldLimit: 10_000, nestingLimit: 100 } };
      const whole = events(input);
      const at = [...new Set(points.map((point) => Math.min(point, text.length)))].sort((a, b) => a - b);
      const cuts = (bytes: Buffer) => [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
      assert.deepEqual(events(input, cuts), whole);
      assert.equal(bytesOf(input), text);
    }),
  );
});

/** What the events give back. */
function bytesOf({ header = [], body }: Input): string {
  const structure = new MimeStructure({ ...LIMITS, fieldLimit: 10_000, nestingLimit: 100 }, new Set());
  for (const text of header) structure.primaryField("content-type", text);
  structure.endPrimary(true);
  let text = "";
  for (const event of [...structure.push(Buffer.from(body, "latin1")), ...structure.end()]) {
    if (event.kind === "field") text += `${event.bytes.toString("latin1")}\r\n`;
    else if (event.kind === "line") text += event.raw.toString("latin1");
  }
  // A field at the very end is given a line end.
  return body.endsWith("\r\n") ? text : text.slice(0, body.length);
}

const REAL: MimeLimits = {
  lineLimit: 2048,
  fieldLimit: 102_400,
  nestingLimit: 100,
  boundaryLimit: 2048,
  disabled: false,
};

const hostile = [
  {
    why: "10,000 levels",
    chunk: (i: number) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`,
    chunks: 10_000,
    begin: "--b\r\n",
  },
  { why: "100,000 fields in a part", chunk: (i: number) => `X-${i}: y\r\n`, chunks: 100_000, begin: "--b\r\n" },
  { why: "an endless field", chunk: () => ` ${"x".repeat(60_000)}\r\n`, chunks: 2_000, begin: "--b\r\nX: y\r\n" },
  { why: "a field of one endless line", chunk: () => "x".repeat(65_536), chunks: 2_000, begin: "--b\r\nX: y" },
  { why: "a line of 1 GB", chunk: () => "x".repeat(65_536), chunks: 16_384, begin: "" },
  { why: "a line of bare LF", chunk: () => "\n".repeat(65_536), chunks: 50, begin: "" },
  { why: "boundaries and nothing else", chunk: () => "--b\r\n".repeat(1000), chunks: 100, begin: "" },
];
for (const c of hostile) {
  test(`MimeStructure: ${c.why}: memory is bounded`, () => {
    const structure = new MimeStructure(REAL, ALL);
    structure.primaryField("content-type", MULTIPART);
    structure.endPrimary(true);
    structure.push(Buffer.from(c.begin));
    // One buffer for all: what is held must be a copy, and what is given must not grow.
    const bytes = Buffer.alloc(131_072);
    for (let i = 0; i < c.chunks; i++) {
      const chunk = bytes.subarray(0, bytes.write(c.chunk(i), "latin1"));
      let given = 0;
      for (const event of structure.push(chunk)) {
        given += event.kind === "line" ? event.raw.length : event.kind === "field" ? event.bytes.length : 0;
      }
      assert.ok(given <= chunk.length + REAL.fieldLimit + REAL.lineLimit);
    }
  });
}
