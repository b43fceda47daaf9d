/** admin/zone-line.ts: DNS records as lines of a zone file (RFC 1035 §5.1), to be copied into one. */

/** Most octets of one string of a TXT record (RFC 1035 §3.3). */
const STRING_BYTES = 255;

/** `name. IN TYPE rdata`. `name` without final dot. */
export function zoneRecord(name: string, type: string, rdata: string): string {
  return `${name}. IN ${type} ${rdata}`;
}

/** A TXT record, in as many strings as it takes. */
export function zoneText(name: string, text: string): string {
  const bytes = Buffer.from(text, "utf8");
  const strings: string[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += STRING_BYTES) {
    strings.push(quoted(bytes.subarray(at, at + STRING_BYTES)));
  }
  return zoneRecord(name, "TXT", strings.length === 1 ? (strings[0] ?? "") : `( ${strings.join(" ")} )`);
}

/** `\"`, `\\`, and `\DDD` for what is no printable ASCII. */
function quoted(bytes: Uint8Array): string {
  const characters = [...bytes].map((byte) => {
    if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`;
  });
  return `"${characters.join("")}"`;
}
