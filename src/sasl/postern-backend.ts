/** sasl/postern-backend.ts: smtpd_sasl_type = postern, the password backend over Postern's own user file.
 *  While the file cannot be read every login ends in a temporary failure. */
import { randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import type { MechanismProperties, SaslBackend, SaslContext, SaslExchange } from "./backend.ts";
import { converse, type Mechanism } from "./conversation.ts";
import { HashPool } from "./hash-pool.ts";
import { cramMd5 } from "./mechanisms/cram-md5.ts";
import { login } from "./mechanisms/login.ts";
import { plain } from "./mechanisms/plain.ts";
import { scramSha256 } from "./mechanisms/scram-sha-256.ts";
import { UserPasswords } from "./user-passwords.ts";

export interface PosternBackendOptions {
  /** Current image of the user file, another object after each change; throws while the file is absent or unreadable. */
  readonly users: () => Uint8Array;
  readonly params: Parameters;
  readonly clock: Clock;
  readonly log: Log;
  /** Shared by all backends of a process; the owner closes it. Without it the backend has a pool of its own. */
  readonly hashes?: HashPool | undefined;
}

/** A backend whose owner tells it when the accounts have changed. */
export interface AccountBackend extends SaslBackend {
  /** Forgets what it knows of the user file. */
  usersChanged(): void;
}

const WEAK = { anonymous: false, active: true, dictionary: true, forwardSecrecy: false, mutualAuth: false };

// As Cyrus SASL rates them: a plain password is open to active attack and guessing, too.
const SCRAM: MechanismProperties = {
  ...WEAK,
  name: "SCRAM-SHA-256",
  plaintext: false,
  active: false,
  mutualAuth: true,
};
const CRAM: MechanismProperties = { ...WEAK, name: "CRAM-MD5", plaintext: false };
const PLAIN: MechanismProperties = { ...WEAK, name: "PLAIN", plaintext: true };
const LOGIN: MechanismProperties = { ...WEAK, name: "LOGIN", plaintext: true };

const WITHOUT_CRAM: readonly MechanismProperties[] = [SCRAM, PLAIN, LOGIN];
const WITH_CRAM: readonly MechanismProperties[] = [SCRAM, CRAM, PLAIN, LOGIN];

/** Nothing is read and no thread is started before the first login. */
export function createPosternBackend(options: PosternBackendOptions): AccountBackend {
  const { params, clock, log } = options;
  const hashes =
    options.hashes ??
    new HashPool({ threads: params.get("postern_hash_threads"), queueLimit: params.get("postern_hash_queue_limit") });
  const passwords = new UserPasswords({ users: options.users, params, clock, log, hashes });
  const mechanisms = () => (passwords.hasCram ? WITH_CRAM : WITHOUT_CRAM);
  const onError = (error: unknown) => {
    log.error(`SASL: ${printableAscii(error instanceof Error ? (error.stack ?? error.message) : String(error))}`);
  };
  return {
    mechanisms,
    start(name: string, context: SaslContext): SaslExchange | undefined {
      const known = mechanisms().find((mechanism) => mechanism.name === name.toUpperCase());
      if (known === undefined) return undefined;
      const mechanism = mechanismOf(known, context, clock);
      return converse((initial) => mechanism(passwords, initial), onError);
    },
    usersChanged: () => passwords.changed(),
    async close() {
      if (options.hashes === undefined) await hashes.close();
    },
  };
}

function mechanismOf(known: MechanismProperties, context: SaslContext, clock: Clock): Mechanism {
  if (known === SCRAM) return scramSha256(randomBytes(18).toString("base64"));
  if (known === CRAM) {
    const unique = `${randomBytes(12).toString("hex")}.${Math.floor(clock.now() / 1000)}`;
    return cramMd5(`<${unique}@${context.myhostname}>`);
  }
  return known === PLAIN ? plain : login;
}
