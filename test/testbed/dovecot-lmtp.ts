/** test/testbed/dovecot-lmtp.ts: a real Dovecot of its own that takes mail by LMTP, on a UNIX socket and on a loopback port, into
 *  maildirs with quotas. Needs root and Debian's dovecot-lmtpd; touches nothing of an installed Dovecot. */
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TIMEOUT_MS = 15_000;
/** nobody, nogroup. */
const MAIL_USER = 65534;

export class TestDovecotLmtp {
  readonly directory: string;
  readonly socket: string;
  readonly #port: number;
  #child: ChildProcess | undefined;

  /** `users`: name to the bytes that his mailbox may hold; 0: no limit. */
  constructor(options: { readonly port: number; readonly users: Readonly<Record<string, number>> }) {
    this.#port = options.port;
    this.directory = mkdtempSync(join(tmpdir(), "dovecot-lmtp-"));
    chmodSync(this.directory, 0o755);
    this.socket = join(this.directory, "lmtp.sock");
    mkdirSync(join(this.directory, "mail"));
    chownSync(join(this.directory, "mail"), MAIL_USER, MAIL_USER);
    const lines = Object.entries(options.users).map(([name, bytes]) => {
      const quota = bytes > 0 ? `userdb_quota_rule=*:bytes=${bytes}` : "";
      return `${name}:{PLAIN}x:${MAIL_USER}:${MAIL_USER}::${this.directory}/mail/${name}::${quota}\n`;
    });
    writeFileSync(join(this.directory, "users"), lines.join(""));
    writeFileSync(join(this.directory, "dovecot.conf"), configuration(this.directory, this.#port));
  }

  async start(): Promise<void> {
    this.#child = spawn("/usr/sbin/dovecot", ["-F", "-c", join(this.directory, "dovecot.conf")], { stdio: "ignore" });
    for (const end = Date.now() + TIMEOUT_MS; Date.now() < end; await sleep(30)) {
      if ((await listens(this.socket)) && (await listens(this.#port))) return;
    }
    throw new Error(`Dovecot does not listen:\n${this.log()}`);
  }

  /** Contents of a user's new messages. */
  mail(user: string): readonly string[] {
    const path = join(this.directory, "mail", user, "Maildir/new");
    return existsSync(path) ? readdirSync(path).map((name) => readFileSync(join(path, name), "latin1")) : [];
  }

  log(): string {
    const path = join(this.directory, "log");
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  }

  async remove(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** True where this machine can run one. */
export function hasDovecotLmtp(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/lib/dovecot/lmtp");
}

function configuration(directory: string, port: number): string {
  return `base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = ${directory}/log
listen = 127.0.0.1
protocols = lmtp
ssl = no
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_plugins = quota
passdb {
  driver = passwd-file
  args = username_format=%n ${directory}/users
}
userdb {
  driver = passwd-file
  args = username_format=%n ${directory}/users
}
plugin {
  quota = maildir:User quota
}
protocol lmtp {
  postmaster_address = postmaster@here.test
  mail_plugins = quota
}
service lmtp {
  unix_listener ${directory}/lmtp.sock {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${port}
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`;
}

function listens(socket: string | number): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = typeof socket === "string" ? net.connect(socket) : net.connect(socket, "127.0.0.1");
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", () => resolve(false));
  });
}
