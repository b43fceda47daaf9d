/** dkim/check-keys.ts: what is wrong with the signing file and its keys, for `postern check`. */
import { posix } from "node:path";
import { domainToASCII } from "node:url";
import type { Problem } from "../config/snapshot.ts";
import { parseKey } from "./key.ts";
import { linesFor, parseSigningFile, type SigningLine } from "./signing-file.ts";

/** RFC 8301 §3.2. */
const GOOD_BITS = 2048;

/** `read`: the bytes of a file; undefined if they could not be read, which is reported elsewhere. */
export function checkSigningFile(path: string, read: (path: string) => Uint8Array | undefined): readonly Problem[] {
  const bytes = read(path);
  if (path === "" || bytes === undefined) return [];
  const { lines, problems } = parseSigningFile(new TextDecoder().decode(bytes));
  const wrong = problems.map(
    ({ line, text }): Problem => ({
      severity: "error",
      at: { file: path, line },
      text,
      hint: "see: postern dkim help",
    }),
  );
  return [...wrong, ...lines.flatMap((line) => checkKey(line, path, read))];
}

/** Whether the signing file has a line that signs for the domain. */
export function hasKeyOf(domain: string, file: Uint8Array): boolean {
  const { lines } = parseSigningFile(new TextDecoder().decode(file));
  return linesFor(domainToASCII(domain).toLowerCase(), lines).length > 0;
}

function checkKey(line: SigningLine, path: string, read: (path: string) => Uint8Array | undefined): readonly Problem[] {
  const keyPath = posix.resolve(posix.dirname(path), line.keyFile);
  const pem = read(keyPath);
  if (pem === undefined || line.state === "retired") return [];
  const at = { file: path, line: line.line };
  const key = parseKey(pem);
  if ("problem" in key)
    return [{ severity: "error", at, text: `${keyPath}: ${key.problem}`, hint: "postern dkim generate" }];
  if (key.algorithm !== "rsa-sha256" || key.bits >= GOOD_BITS) return [];
  const text = `${keyPath}: an RSA key of ${key.bits} bits can be broken; ${GOOD_BITS} are the least today`;
  return [{ severity: "warning", at, text, hint: `postern dkim generate ${line.domain}` }];
}
