/** test/testbed/signing-corpus.ts: messages that are hard to sign: each body with each header at several sizes. Text is latin1, one
 *  character a byte; lines end in CRLF. */

export interface CorpusMessage {
  /** "17 trailing white space / folded oddly"; the subject, too. */
  readonly name: string;
  readonly content: string;
}

const CTE = "Content-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8";
const MIXED = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\nContent-Transfer-Encoding: 8bit';

interface Body {
  readonly name: string;
  /** Header fields that belong to it. */
  readonly fields?: string;
  readonly text: (lines: number) => string;
}

const repeated = (line: string) => (lines: number) => `${line}\r\n`.repeat(lines);

const BODIES: readonly Body[] = [
  { name: "plain", text: repeated("The quick brown fox jumps over the lazy dog.") },
  { name: "no body", text: () => "" },
  { name: "only line ends", text: (lines) => "\r\n".repeat(lines) },
  { name: "no final newline", text: (lines) => `${"line\r\n".repeat(lines)}the end` },
  { name: "trailing empty lines", text: (lines) => `text\r\n${"\r\n".repeat(lines)}` },
  { name: "trailing white space", text: repeated("words \t and  blanks   \t ") },
  { name: "only white space", text: repeated(" \t ") },
  { name: "long lines", text: (lines) => `${"abcdefghi ".repeat(lines * 40)}\r\n`.repeat(3) },
  { name: "8-bit text", fields: CTE, text: repeated("Gr\xc3\xbc\xc3\x9fe \xe2\x82\xac =3D") },
  { name: "8-bit bytes that nothing names", text: repeated("\xff\xfe\xe9 bytes") },
  { name: "dots", text: repeated(".\r\n..\r\n.dot") },
  {
    name: "parts",
    fields: MIXED,
    text: (lines) =>
      `--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${"\xc3\xa4 part\r\n".repeat(lines)}--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n`,
  },
];

const HEADERS: readonly { readonly name: string; readonly fields: string }[] = [
  { name: "plain", fields: "To: bob@example.net" },
  {
    name: "folded oddly",
    fields: "To:\r\n bob@example.net\r\n\t,carol@example.net\r\nX-Empty:\r\nComments: a\r\n  b\r\n\tc   ",
  },
  {
    name: "duplicates",
    fields:
      "Received: from a\r\nReceived: from b\r\nComments: one\r\nComments: two\r\nTo: bob@example.net\r\nX-A: 1\r\nX-A: 1",
  },
  {
    name: "long",
    fields: `To: bob@example.net\r\nReferences:${"\r\n <0123456789012345678901234567890123456789@example.org>".repeat(60)}`,
  },
  {
    name: "a list",
    fields:
      "To: list@example.net\r\nList-Id: <l.example.net>\r\nList-Unsubscribe: <https://example.net/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nReply-To: r@example.org\r\nSender: s@example.org",
  },
];

/** Lines of a body: few, and about as many as fill the buffers on the way. */
const SIZES = [1, 2, 373, 1490] as const;

/** 240 messages. `domain`: of From. */
export function signingCorpus(domain: string): readonly CorpusMessage[] {
  const messages: CorpusMessage[] = [];
  for (const lines of SIZES) {
    for (const header of HEADERS) {
      for (const body of BODIES) {
        const name = `${messages.length} ${body.name} / ${header.name}`;
        const fields = [
          `From: Alice <alice@${domain}>`,
          header.fields,
          `Subject: ${name}`,
          "Date: Tue, 24 Nov 2026 10:00:00 +0000",
          `Message-ID: <${messages.length}@${domain}>`,
          ...(body.fields === undefined ? [] : [body.fields]),
        ];
        messages.push({ name, content: `${fields.join("\r\n")}\r\n\r\n${body.text(lines)}` });
      }
    }
  }
  return messages;
}
