/** smtpd/base64.ts: base64 of SASL exchanges, strictly (RFC 4954 §4, AUTH-08): Node's decoder forgives everything. */

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The bytes, or undefined for anything but canonical alphabet, length and padding. "" is no bytes. */
export function decodeBase64(text: string): Buffer | undefined {
  return BASE64.test(text) ? Buffer.from(text, "base64") : undefined;
}
