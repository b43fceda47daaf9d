/** sasl/user-passwords.ts: Passwords over the user file. Parses an image once, hashes in the pool, remembers success in the
 *  credential cache, and answers for unknown users at the same cost and in the same form as for known ones. */
import { createHash, createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import { CredentialCache } from "./credential-cache.ts";
import type { HashPool } from "./hash-pool.ts";
import type { CramLookup, Passwords, PasswordVerdict, ScramKeys, ScramLookup, Unavailable } from "./passwords.ts";
import { equalBytes } from "./prepare.ts";
import { parseUsers, type User, type UserTable } from "./user-file.ts";
import {
  DEFAULT_SCRAM_ITERATIONS,
  DEFAULT_SCRYPT_COST,
  formatScrypt,
  SALT_BYTES,
  type ScryptCost,
} from "./verifiers.ts";

const MAX_LOGGED_PROBLEMS = 10;
const KEY_BYTES = 32;
const UNREADABLE: Unavailable = { kind: "unavailable", reason: "user database is unavailable" };

export interface UserPasswordsOptions {
  /** Current image of the user file, another object after each change; throws while there is none. */
  readonly users: () => Uint8Array;
  readonly params: Parameters;
  readonly clock: Clock;
  readonly log: Log;
  readonly hashes: HashPool;
}

/** What one image of the file says, and what unknown users get so that they look like its known ones. */
interface Loaded {
  readonly table: UserTable;
  readonly hasCram: boolean;
  readonly cost: ScryptCost;
  readonly iterations: number;
  readonly saltKey: Uint8Array;
}

export class UserPasswords implements Passwords {
  readonly #options: UserPasswordsOptions;
  readonly #cache: CredentialCache;
  readonly #localDomain: string;
  readonly #file: string;
  #image: Uint8Array | undefined;
  #loaded: Loaded | undefined;
  #complained = false;

  constructor(options: UserPasswordsOptions) {
    const { params, clock } = options;
    this.#options = options;
    this.#localDomain = params.get("smtpd_sasl_local_domain");
    this.#file = params.get("postern_user_file");
    this.#cache = new CredentialCache({
      clock,
      lifeMs: params.get("postern_auth_cache_time"),
      limit: params.get("postern_auth_cache_size"),
    });
  }

  /** Whether any account has a CRAM-MD5 secret. */
  get hasCram(): boolean {
    return this.#load()?.hasCram ?? false;
  }

  /** Reads the image anew at the next use and forgets remembered passwords. */
  changed(): void {
    this.#image = undefined;
    this.#loaded = undefined;
    this.#cache.clear();
  }

  async verify(username: string, password: string): Promise<PasswordVerdict> {
    const loaded = this.#load();
    if (loaded === undefined) return UNREADABLE;
    const user = this.#find(loaded, username);
    const identity = user && ["password", user.login, password, formatScrypt(user.scrypt)];
    if (user && identity && this.#cache.has(identity)) return { kind: "match", login: user.login };
    const { logN, r, p } = user?.scrypt ?? loaded.cost;
    const salt = user?.scrypt.salt ?? randomBytes(SALT_BYTES);
    const outcome = await this.#options.hashes.scrypt({ password, salt, keyBytes: KEY_BYTES, cost: { logN, r, p } });
    if (outcome.kind === "overflow") return { kind: "unavailable", reason: "too many logins at once" };
    if (outcome.kind === "broken") {
      this.#options.log.warning(`SASL: cannot hash a password: ${printableAscii(outcome.reason)}`);
      return { kind: "unavailable", reason: "password check failed" };
    }
    if (!user || !identity || !equalBytes(outcome.key, user.scrypt.key)) return { kind: "mismatch" };
    // Not after a change meanwhile: the cache was cleared for it.
    if (this.#loaded === loaded) this.#cache.remember(identity);
    return { kind: "match", login: user.login };
  }

  cramSecret(username: string): CramLookup {
    const loaded = this.#load();
    if (loaded === undefined) return UNREADABLE;
    const user = this.#find(loaded, username);
    if (user?.cramSecret === undefined) return { kind: "none" };
    return { kind: "secret", login: user.login, secret: user.cramSecret };
  }

  scramKeys(username: string): ScramLookup {
    const loaded = this.#load();
    if (loaded === undefined) return UNREADABLE;
    const user = this.#find(loaded, username);
    return { kind: "keys", login: user?.login, keys: user?.scram ?? fakeKeys(loaded, username) };
  }

  #find(loaded: Loaded, username: string): User | undefined {
    const user = loaded.table.users.get(username);
    if (user !== undefined || this.#localDomain === "" || username.includes("@")) return user;
    return loaded.table.users.get(`${username}@${this.#localDomain}`);
  }

  /** The current table; undefined while the file cannot be read or nothing in it makes sense. */
  #load(): Loaded | undefined {
    let image: Uint8Array;
    try {
      image = this.#options.users();
    } catch (cause) {
      this.changed();
      if (!this.#complained) this.#complain(cause instanceof Error ? cause.message : String(cause));
      this.#complained = true;
      return undefined;
    }
    if (image === this.#image) return this.#loaded;
    this.changed();
    this.#image = image;
    this.#complained = false;
    const table = parseUsers(new TextDecoder("utf-8").decode(image), this.#file);
    for (const { at, text } of table.problems.slice(0, MAX_LOGGED_PROBLEMS)) {
      this.#complain(at === undefined ? text : `line ${at.line}: ${text}`);
    }
    const senseless = table.users.size === 0 && table.problems.length > 0;
    this.#loaded = senseless ? undefined : describe(table);
    return this.#loaded;
  }

  #complain(text: string): void {
    this.#options.log.warning(`SASL: user file ${printableAscii(this.#file)}: ${printableAscii(text)}`);
  }
}

function describe(table: UserTable): Loaded {
  const users = [...table.users.values()];
  return {
    table,
    hasCram: users.some((user) => user.cramSecret !== undefined),
    cost:
      typical(users, (user) => `${user.scrypt.logN},${user.scrypt.r},${user.scrypt.p}`)?.scrypt ?? DEFAULT_SCRYPT_COST,
    iterations: typical(users, (user) => `${user.scram.iterations}`)?.scram.iterations ?? DEFAULT_SCRAM_ITERATIONS,
    saltKey: table.saltKey ?? deriveSaltKey(users[0]),
  };
}

/** A file made by hand may have no salt key; the first user's secret is as stable and as unknown to others. */
function deriveSaltKey(user: User | undefined): Uint8Array {
  if (user === undefined) return randomBytes(32);
  return createHash("sha256").update("salt key").update(user.scram.serverKey).digest();
}

/** One of the users with the most common value. */
function typical(users: readonly User[], shared: (user: User) => string): User | undefined {
  const counts = new Map<string, number>();
  let best: User | undefined;
  let bestCount = 0;
  for (const user of users) {
    const count = (counts.get(shared(user)) ?? 0) + 1;
    counts.set(shared(user), count);
    if (count > bestCount) [best, bestCount] = [user, count];
  }
  return best;
}

/** RFC 5802 §9: the same salt each time for the same unknown name, and keys that no password fits. */
function fakeKeys(loaded: Loaded, username: string): ScramKeys {
  const salt = createHmac("sha256", loaded.saltKey).update(username).digest().subarray(0, SALT_BYTES);
  return { iterations: loaded.iterations, salt, storedKey: randomBytes(KEY_BYTES), serverKey: randomBytes(KEY_BYTES) };
}
