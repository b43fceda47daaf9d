/** cleanup/duties/signed.ts: what of a message somebody has signed or encrypted before it came (MOD-02): that must arrive as it
 *  is. Sees what the header says; text with OpenPGP armour inside is known by its beginning (body-watch.ts). */
import type { HeaderField } from "../header-block.ts";

export interface Signed {
  /** DKIM: fields and body. */
  readonly header: boolean;
  /** DKIM, S/MIME, OpenPGP. */
  readonly body: boolean;
}

const SECURE_TYPE =
  /^[^:]*:\s*"?(?:multipart\/(?:signed|encrypted)|application\/(?:x-)?pkcs7-mime|application\/pgp(?:-encrypted)?)(?![\w-])/i;

export function signedBy(fields: readonly HeaderField[], armoured: boolean): Signed {
  const dkim = fields.some(({ name }) => name === "dkim-signature" || name === "domainkey-signature");
  const secure = fields.some(({ name, text }) => name === "content-type" && isSecure(text));
  return { header: dkim, body: dkim || secure || armoured };
}

/** A Content-Type field of what is signed or encrypted, whole. */
export function isSecure(field: string): boolean {
  return /^content-type[ \t]*:/i.test(field) && SECURE_TYPE.test(field);
}
