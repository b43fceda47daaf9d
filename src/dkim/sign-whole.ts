/** dkim/sign-whole.ts: signs a message that is whole in memory: the server's own delivery reports. */
import type { Signer } from "./create.ts";
import type { Field } from "./fields.ts";

/** `content`: fields with CRLF line ends, an empty line, the body. The same with the signatures on top; as it is where no key is for its From, and where the
 *  key cannot be used, which `warn` is told: a report must not wait for that. */
export async function signWhole(
  signer: Signer,
  content: Uint8Array,
  warn: (reason: string) => void,
): Promise<Uint8Array> {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return content;
  const signing = signer.begin();
  signing.update(bytes.subarray(end + 4));
  const signed = await signing.sign(fieldsOf(bytes.toString("latin1", 0, end)), { owned: true });
  if (signed.kind === "signed") {
    return Buffer.concat([...signed.fields.map((text) => Buffer.from(`${text}\r\n`, "latin1")), bytes]);
  }
  warn(signed.reason);
  return content;
}

function fieldsOf(header: string): readonly Field[] {
  return header.split(/\r\n(?![ \t])/).map((text) => ({
    name: text
      .slice(0, Math.max(0, text.indexOf(":")))
      .trim()
      .toLowerCase(),
    text,
  }));
}
