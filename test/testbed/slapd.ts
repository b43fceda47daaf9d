/** test/testbed/slapd.ts: a real OpenLDAP server of its own on a loopback port and a socket in a temporary directory, from Debian's
 *  slapd; touches nothing of an installed one. As root it runs as nobody. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const START_TIMEOUT_MS = 20_000;
const NOBODY = 65534;
const SERVER = "/usr/sbin/slapd";
export const LDAP_SUFFIX = "dc=example,dc=org";
export const LDAP_ROOT = `cn=root,${LDAP_SUFFIX}`;

export interface SlapdOptions {
  readonly port: number;
  readonly rootPassword: string;
  /** Entries below LDAP_SUFFIX; the suffix itself is made. */
  readonly ldif: string;
  /** PEM texts. */
  readonly tls: { readonly cert: string; readonly key: string };
}

export class TestSlapd {
  readonly directory = mkdtempSync(join(tmpdir(), "slapd-test-"));
  readonly port: number;
  readonly #identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  /** Fills the directory; starts nothing. */
  constructor({ port, rootPassword, ldif, tls }: SlapdOptions) {
    this.port = port;
    chmodSync(this.directory, 0o755);
    this.#own(this.directory);
    mkdirSync(join(this.directory, "db"));
    this.#own(join(this.directory, "db"));
    this.#write("cert.pem", tls.cert);
    this.#write("key.pem", tls.key);
    this.#write("slapd.conf", this.#configuration(rootPassword));
    this.#write("data.ldif", `dn: ${LDAP_SUFFIX}\nobjectClass: domain\ndc: example\n\n${ldif}`);
    const options = { ...this.#identity, cwd: this.directory, encoding: "latin1" } as const;
    const made = spawnSync(
      "/usr/sbin/slapadd",
      ["-f", this.#path("slapd.conf"), "-l", this.#path("data.ldif")],
      options,
    );
    if (made.status !== 0) throw new Error(`slapadd: ${made.error ?? ""}${made.stdout}${made.stderr}`);
  }

  /** As it stands in server_host. */
  get socketUrl(): string {
    return `ldapi://${encodeURIComponent(this.#path("sock"))}`;
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const urls = `ldap://127.0.0.1:${this.port} ${this.socketUrl}`;
    const child = spawn(SERVER, ["-d", "0", "-f", this.#path("slapd.conf"), "-h", urls], {
      ...this.#identity,
      cwd: this.directory,
      stdio: "ignore",
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("exit", () => resolve()));
    for (const end = Date.now() + START_TIMEOUT_MS; Date.now() < end && child.exitCode === null; await sleep(50)) {
      if ((await this.#answers()) && existsSync(this.#path("sock"))) return;
    }
    throw new Error(`slapd is not ready:\n${readFileSync(this.#path("slapd.conf"), "latin1")}`);
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    this.#child?.kill(signal);
    await this.#ended;
    this.#child = undefined;
  }

  /** A stopped server keeps its connections and answers nothing. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  async remove(): Promise<void> {
    this.signal("SIGCONT");
    await this.stop("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }

  #configuration(rootPassword: string): string {
    const schemas = ["core", "cosine", "inetorgperson"].map((name) => `include /etc/ldap/schema/${name}.schema`);
    return `${schemas.join("\n")}
pidfile ${this.#path("pid")}
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile ${this.#path("cert.pem")}
TLSCertificateKeyFile ${this.#path("key.pem")}
sizelimit 100
database mdb
suffix "${LDAP_SUFFIX}"
rootdn "${LDAP_ROOT}"
rootpw "${rootPassword}"
directory ${join(this.directory, "db")}
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=secret,${LDAP_SUFFIX}" by users read by * none
access to * by * read
`;
  }

  #path(name: string): string {
    return join(this.directory, name);
  }

  #write(name: string, text: string): void {
    writeFileSync(this.#path(name), `${text}\n`, { mode: 0o600 });
    this.#own(this.#path(name));
  }

  #own(path: string): void {
    if (this.#identity) chownSync(path, this.#identity.uid, this.#identity.gid);
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createConnection(this.port, "127.0.0.1");
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  }
}
