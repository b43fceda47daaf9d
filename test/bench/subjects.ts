/** test/bench/subjects.ts: the servers that are measured: Postfix and Postern with the same meaning of their settings. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { TestDovecot } from "../testbed/dovecot.ts";
import { TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";

export const LOGIN = "bench@example.org";
export const PASSWORD = "correct horse";

export interface Subject {
  readonly name: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** "hold": accepted mail stays in the queue, accepting alone is measured. "relay": it goes to the sink. "tls": as hold, and
 *  each connection uses STARTTLS with TLS 1.3 and AUTH PLAIN against a Dovecot. */
export type Load = "hold" | "relay" | "tls";

/** A Dovecot for the passwords of both, and a certificate. */
export class Surroundings {
  readonly directory = mkdtempSync(join(tmpdir(), "bench-"));
  readonly chain = join(this.directory, "chain.pem");
  readonly #sinkPort: number;
  readonly #dovecot: TestDovecot;
  readonly saslPort: number;

  private constructor(sinkPort: number, saslPort: number) {
    this.#sinkPort = sinkPort;
    this.saslPort = saslPort;
    const made = makeSelfSigned(["mail.example.org"], Date.now());
    writeFileSync(this.chain, made.keyPem + made.certificatePem, { mode: 0o600 });
    this.#dovecot = new TestDovecot({ sockets: [], port: saslPort, users: { [LOGIN]: PASSWORD } });
  }

  static async start(sinkPort: number): Promise<Surroundings> {
    const made = new Surroundings(sinkPort, await freePort());
    await made.#dovecot.start();
    return made;
  }

  async stop(): Promise<void> {
    await this.#dovecot.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** main.cf of both servers. */
  settings(load: Load): string {
    const lines = [`relayhost = [127.0.0.1]:${this.#sinkPort}`, "smtpd_client_connection_count_limit = 0"];
    if (load !== "relay") lines.push("smtpd_client_restrictions = check_client_access static:HOLD");
    if (load !== "tls") {
      lines.push("mynetworks = 127.0.0.0/8", "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination");
      return lines.join("\n");
    }
    lines.push("mynetworks =", "smtpd_relay_restrictions = permit_sasl_authenticated, reject");
    lines.push(
      "smtpd_sasl_auth_enable = yes",
      "smtpd_sasl_type = dovecot",
      "smtpd_sasl_security_options = noanonymous",
    );
    lines.push(`smtpd_sasl_path = inet:127.0.0.1:${this.saslPort}`, `smtpd_tls_chain_files = ${this.chain}`);
    lines.push("smtpd_tls_security_level = encrypt", "smtpd_tls_loglevel = 0");
    return lines.join("\n");
  }
}

export async function startPostfix(load: Load, around: Surroundings): Promise<Subject> {
  const port = await freePort();
  const postfix = new TestPostfix(port, { mainCf: `${around.settings(load)}\ndefault_process_limit = 200` });
  await postfix.start();
  const version = execFileSync("postconf", ["-d", "-h", "mail_version"]).toString().trim();
  return { name: `Postfix ${version}`, port, stop: async () => postfix.stop() };
}

export async function startPostern(
  workers: number,
  load: Load,
  around: Surroundings,
): Promise<Subject & Pick<TestServer, "workerPids">> {
  const port = await freePort();
  const server = new TestServer({
    mainCf: `compatibility_level = 3.10\npostern_workers = ${workers}\n${around.settings(load)}`,
    masterCf: `${port} inet n - n - - smtpd\n`,
  });
  await server.start();
  return {
    name: `Postern, workers ${workers}`,
    port,
    stop: () => server[Symbol.asyncDispose](),
    workerPids: () => server.workerPids(),
  };
}
