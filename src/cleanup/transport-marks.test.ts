import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { asAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { parseFields } from "./header-block.ts";
import { markedEnvelope } from "./transport-marks.ts";

const ENVELOPE: Envelope = {
  queueId: "4CAFE" as QueueId,
  sender: asAddress("a@example.org"),
  arrivalMs: 0,
  smtputf8: false,
  body: "7BIT",
  origin: { clientName: "c", clientAddress: "192.0.2.1", helo: "c", protocol: "ESMTP", service: "submission" },
};

const CTE = "Content-Transfer-Encoding";
const NO = "TLS-Required: No\r\n";

interface Row {
  readonly why: string;
  readonly header?: string;
  readonly envelope?: Partial<Envelope>;
  readonly eightBit?: boolean;
  readonly settings?: Record<string, string>;
  readonly body?: Envelope["body"];
  readonly tlsOptional?: true;
  readonly filter?: string;
}

const ROWS: readonly Row[] = [
  { why: "nothing said, nothing found" },
  { why: "8BIT-03: 8-bit content that was not declared", eightBit: true, body: "8BITMIME" },
  { why: "8BIT-03: 8bit in the header", header: `${CTE}: 8bit\r\n`, body: "8BITMIME" },
  { why: "8BIT-03: in any case, folded", header: `${CTE.toLowerCase()}:\r\n 8BIT \r\n`, body: "8BITMIME" },
  { why: "binary counts as 8bit, as in Postfix", header: `${CTE}: binary\r\n`, body: "8BITMIME" },
  { why: "7bit", header: `${CTE}: 7bit\r\n` },
  { why: "quoted-printable", header: `${CTE}: quoted-printable\r\n` },
  { why: "an encoding that nobody knows", header: `${CTE}: 8bits\r\n` },
  {
    why: "detect_8bit_encoding_header = no: only the octets count",
    header: `${CTE}: 8bit\r\n`,
    settings: { detect_8bit_encoding_header: "no" },
  },
  {
    why: "BDAT-10: undeclared binary content that is to be converted",
    header: `${CTE}: Binary\r\n`,
    settings: { postern_undeclared_binary: "convert" },
    body: "BINARYMIME",
  },
  {
    why: "BDAT-10: declared as 8BITMIME",
    header: `${CTE}: binary\r\n`,
    envelope: { body: "8BITMIME" },
    settings: { postern_undeclared_binary: "convert" },
    body: "BINARYMIME",
  },
  {
    why: "BDAT-10: undeclared binary content that is returned",
    header: `${CTE}: binary\r\n`,
    envelope: { filter: "smtp:filter.test" },
    settings: { postern_undeclared_binary: "return" },
    body: "BINARYMIME",
    filter: "error:5.6.3 Binary content was not declared (BODY=BINARYMIME)",
  },
  {
    why: "BDAT-10: declared, it is not returned",
    header: `${CTE}: binary\r\n`,
    envelope: { body: "BINARYMIME" },
    settings: { postern_undeclared_binary: "return" },
    body: "BINARYMIME",
  },
  {
    why: "BDAT-10: not binary, it is not returned",
    header: `${CTE}: 8bit\r\n`,
    settings: { postern_undeclared_binary: "return" },
    body: "8BITMIME",
  },
  { why: "BINARYMIME stays", eightBit: true, envelope: { body: "BINARYMIME" }, body: "BINARYMIME" },
  { why: "8BITMIME stays", envelope: { body: "8BITMIME" }, body: "8BITMIME" },
  { why: "REQ-05: TLS-Required: No", header: NO, tlsOptional: true },
  { why: "REQ-05: in any case", header: "tls-required:  NO \r\n", tlsOptional: true },
  { why: "REQ-05: twice is never", header: NO + NO },
  { why: "REQ-05: twice with another value", header: `${NO}TLS-Required: Yes\r\n` },
  { why: "REQ-05: another value", header: "TLS-Required: None\r\n" },
  { why: "REQ-05: no value", header: "TLS-Required:\r\n" },
  { why: "REQ-05: REQUIRETLS goes before", header: NO, envelope: { requireTls: true } },
  { why: "REQ-05: tls_required_enable = no", header: NO, settings: { tls_required_enable: "no" } },
];

for (const row of ROWS) {
  test(`markedEnvelope() ${row.why}`, () => {
    const fields = parseFields(Buffer.from(`Subject: x\r\n${row.header ?? ""}`), 1000);
    const marked = markedEnvelope(
      { ...ENVELOPE, ...row.envelope },
      { fields, eightBit: row.eightBit ?? false, params: parametersOf(row.settings ?? {}) },
    );
    assert.deepEqual(
      [marked.body, marked.tlsOptional, marked.filter],
      [row.body ?? "7BIT", row.tlsOptional, row.filter],
    );
  });
}
