/** sasl/user-file.ts: the format of the user file and its edits, as pure functions over text. One line a user:
 *
 *    login:$scrypt$ln=15,r=8,p=1$salt$key:SCRAM-SHA-256$iterations:salt$storedKey:serverKey[:CRAM-MD5$base64 of the password]
 *
 *  Lines that are empty or begin with `#` are kept as they are. One line `:salt-key:base64` holds the key from which the
 *  SCRAM salts of unknown users are made, so that they stay the same over restarts and in all workers.
 *  Reading and writing the disk is user-store.ts. */
import { randomBytes } from "node:crypto";
import type { Problem } from "../config/snapshot.ts";
import type { ScramKeys } from "./passwords.ts";
import { prepare } from "./prepare.ts";
import { formatScram, formatScrypt, parseScram, parseScrypt, type ScryptVerifier } from "./verifiers.ts";

/** What is stored for one password. */
export interface UserSecrets {
  readonly scrypt: ScryptVerifier;
  readonly scram: ScramKeys;
  /** The prepared password in UTF-8, only for accounts with CRAM-MD5. */
  readonly cramSecret?: Uint8Array | undefined;
}

export interface User extends UserSecrets {
  readonly login: string;
  /** Counts from 1. */
  readonly line: number;
}

export interface UserTable {
  readonly users: ReadonlyMap<string, User>;
  readonly saltKey: Uint8Array | undefined;
  /** Lines that were not understood; their users cannot log in. */
  readonly problems: readonly Problem[];
}

const SALT_KEY = /^:salt-key:([A-Za-z0-9+/]{43}=)$/;
const MAX_LOGIN_BYTES = 255;

const HEADER = `# Logins of Postern; edit with "postern user". A line is
# login:scrypt hash:SCRAM-SHA-256 keys[:CRAM-MD5 secret]. Keep this file at mode 0600.
`;

/** All users and all complaints. `file` is the name used in complaints. */
export function parseUsers(text: string, file: string): UserTable {
  const users = new Map<string, User>();
  const problems: Problem[] = [];
  let saltKey: Uint8Array | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    if (!isEntry(line)) continue;
    const at = { file, line: index + 1 };
    const key = SALT_KEY.exec(line);
    if (key !== null) {
      saltKey = Buffer.from(key[1] ?? "", "base64");
      continue;
    }
    const user = parseLine(line, index + 1);
    if (typeof user === "string") problems.push({ severity: "error", at, text: user });
    else if (users.has(user.login)) problems.push({ severity: "error", at, text: duplicate(users, user.login) });
    else users.set(user.login, user);
  }
  return { users, saltKey, problems };
}

function duplicate(users: ReadonlyMap<string, User>, login: string): string {
  return `login "${login}" is already on line ${users.get(login)?.line}; this line is ignored`;
}

function isEntry(line: string): boolean {
  return line.trim() !== "" && !line.startsWith("#");
}

/** The user of one line, or what is wrong with it. The complaint never quotes a secret. */
function parseLine(line: string, number: number): User | string {
  const fields = line.split(":");
  const login = fields[0] ?? "";
  const fault = checkLogin(login);
  if (fault !== undefined) return fault;
  if (fields.length !== 5 && fields.length !== 6)
    return `login "${login}": expected login:scrypt:SCRAM-SHA-256[:CRAM-MD5]`;
  const scrypt = parseScrypt(fields[1] ?? "");
  if (scrypt === undefined) return `login "${login}": bad scrypt hash`;
  const scram = parseScram(fields.slice(2, 5).join(":"));
  if (scram === undefined) return `login "${login}": bad SCRAM-SHA-256 keys`;
  if (fields[5] === undefined) return { login, line: number, scrypt, scram };
  const cram = /^CRAM-MD5\$([A-Za-z0-9+/]+={0,2})$/.exec(fields[5]);
  if (cram === null) return `login "${login}": bad CRAM-MD5 secret`;
  return { login, line: number, scrypt, scram, cramSecret: Buffer.from(cram[1] ?? "", "base64") };
}

/** Why a text cannot be a login, or undefined. Blanks and commas are out because lists such as
 *  smtpd_sender_login_maps separate logins by them. */
export function checkLogin(login: string): string | undefined {
  if (login === "") return "empty login";
  if (/[\p{Cc}\p{Zl}\p{Zp}\ufffd]/u.test(login)) return "login holds control characters or is not UTF-8";
  if (/[:,\s]/u.test(login)) return `login "${login}" holds a colon, a comma or a blank`;
  if (login.startsWith("#")) return `login "${login}" begins with "#"`;
  if (Buffer.byteLength(login) > MAX_LOGIN_BYTES) return `login is longer than ${MAX_LOGIN_BYTES} bytes`;
  if (prepare(login, "stored") !== login) return `login "${login}" is not in its SASLprep form`;
  return undefined;
}

/** The outcome of an edit: the whole new text of the file, or why there is none. */
export type Edit =
  | { readonly kind: "done"; readonly text: string }
  | { readonly kind: "refused"; readonly reason: string };

/** The text of a file without users. */
export function newUserFile(): string {
  return `${HEADER}:salt-key:${randomBytes(32).toString("base64")}\n`;
}

/** Appends a user. */
export function addUser(text: string, login: string, secrets: UserSecrets): Edit {
  const fault = checkLogin(login);
  if (fault !== undefined) return refused(fault);
  if (lineOf(text, login) !== undefined) return refused(`login "${login}" exists already`);
  const gap = text === "" || text.endsWith("\n") ? "" : "\n";
  return { kind: "done", text: `${text}${gap}${formatLine(login, secrets)}\n` };
}

/** Replaces a user's secrets. */
export function setPassword(text: string, login: string, secrets: UserSecrets): Edit {
  return replaceLine(text, login, [formatLine(login, secrets)]);
}

/** Takes a user out. */
export function deleteUser(text: string, login: string): Edit {
  return replaceLine(text, login, []);
}

/** The users in the order of the file. */
export function listUsers(text: string, file: string): readonly User[] {
  return [...parseUsers(text, file).users.values()];
}

function replaceLine(text: string, login: string, replacement: readonly string[]): Edit {
  const index = lineOf(text, login);
  if (index === undefined) return refused(`no login "${login}"`);
  // A second line of the same login would come alive when the first one goes.
  const lines = text.split("\n").filter((line, i) => i <= index || !isLineOf(line, login));
  lines.splice(index, 1, ...replacement);
  return { kind: "done", text: lines.join("\n") };
}

function lineOf(text: string, login: string): number | undefined {
  const index = text.split("\n").findIndex((line) => isLineOf(line, login));
  return index < 0 ? undefined : index;
}

function isLineOf(line: string, login: string): boolean {
  return isEntry(line) && login !== "" && line.startsWith(`${login}:`);
}

function formatLine(login: string, secrets: UserSecrets): string {
  const cram =
    secrets.cramSecret === undefined ? "" : `:CRAM-MD5$${Buffer.from(secrets.cramSecret).toString("base64")}`;
  return `${login}:${formatScrypt(secrets.scrypt)}:${formatScram(secrets.scram)}${cram}`;
}

function refused(reason: string): Edit {
  return { kind: "refused", reason };
}
