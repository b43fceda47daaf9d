/** cleanup/encoded-words.ts: text beyond ASCII as encoded words (RFC 2047 §2), base64, folded between words. Pure. */

/** Bytes in one word: 56 characters of base64, so that it stays below 75 with any name of a character set that is in use. */
const WORD_BYTES = 42;
/** What a line with an encoded word may have. */
const LINE = 76;

/** `=?charset?B?…?=` words with CRLF and a blank between them. Each word holds whole characters of UTF-8. `column`: where on
 *  its line the first one begins; it may come on a line of its own. */
export function encodedWords(bytes: Buffer, charset: string, column = 0): string {
  const frame = `=?${charset}?B??=`.length;
  const room = Math.floor((LINE - column - frame) / 4) * 3;
  const words: string[] = [];
  let at = 0;
  let most = Math.min(WORD_BYTES, room);
  // Not worth a word.
  if (most < 12) {
    if (column > 0) words.push("");
    most = WORD_BYTES;
  }
  while (at < bytes.length) {
    const end = characterEnd(bytes, at, Math.min(bytes.length, at + most));
    words.push(`=?${charset}?B?${bytes.toString("base64", at, end)}?=`);
    at = end;
    most = WORD_BYTES;
  }
  return words.join("\r\n ");
}

/** Not inside a character; bytes that are none are cut anywhere. */
function characterEnd(bytes: Buffer, start: number, end: number): number {
  let at = end;
  while (at < bytes.length && at > start && ((bytes[at] ?? 0) & 0xc0) === 0x80) at--;
  return at === start || end - at > 3 ? end : at;
}
