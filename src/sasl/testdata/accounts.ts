/** sasl/testdata/accounts.ts: user files for tests, with hashes that cost nothing. */
import { randomBytes } from "node:crypto";
import { addUser, type UserSecrets } from "../user-file.ts";
import { deriveScramKeys, deriveScrypt } from "../verifiers.ts";

export function secretsOf(password: string, options: { cram?: boolean } = {}): UserSecrets {
  return {
    scrypt: deriveScrypt(password, { logN: 4, r: 1, p: 1 }),
    scram: deriveScramKeys(password, randomBytes(16), 4096),
    cramSecret: options.cram ? Buffer.from(password) : undefined,
  };
}

/** The image of a user file with these accounts. */
export function imageOf(accounts: Readonly<Record<string, UserSecrets>>): Uint8Array {
  let text = `:salt-key:${Buffer.alloc(32, 7).toString("base64")}\n`;
  for (const [login, secrets] of Object.entries(accounts)) {
    const edit = addUser(text, login, secrets);
    if (edit.kind === "refused") throw new Error(edit.reason);
    text = edit.text;
  }
  return Buffer.from(text);
}
