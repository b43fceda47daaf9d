/** test/postfix/site.ts: one Postfix, one Postern and one Dovecot for both, from the same main.cf and master.cf: only the
 *  directories and the ports are their own. */
import { randomInt } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { TestDovecot } from "../testbed/dovecot.ts";
import { TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import type { ServiceBlock } from "./dialogue-file.ts";
import { readSessions } from "./session-log.ts";

const CONFIGURATION = join(import.meta.dirname, "configuration");
const LOG_TIMEOUT_MS = 5_000;

export type Side = "postfix" | "postern";

export class Site {
  readonly #postfix: TestPostfix;
  readonly #postern: TestServer;
  readonly #dovecot: TestDovecot;
  readonly #ports: Readonly<Record<Side, ReadonlyMap<string, number>>>;

  private constructor(parts: {
    postfix: TestPostfix;
    postern: TestServer;
    dovecot: TestDovecot;
    ports: Readonly<Record<Side, ReadonlyMap<string, number>>>;
  }) {
    this.#postfix = parts.postfix;
    this.#postern = parts.postern;
    this.#dovecot = parts.dovecot;
    this.#ports = parts.ports;
  }

  static async start(services: readonly ServiceBlock[]): Promise<Site> {
    const authPort = await freePort();
    const forPostfix = await assignPorts(services);
    const ports = { postfix: forPostfix, postern: await assignPorts(services, new Set(forPostfix.values())) };
    const dovecot = new TestDovecot({ sockets: [], port: authPort, users: { "alice@example.org": "secret" } });
    const mainCf = `smtpd_sasl_path = inet:127.0.0.1:${authPort}\n${readFileSync(join(CONFIGURATION, "main.cf"), "utf8")}`;
    const postfix = new TestPostfix(await freePort(), { mainCf, smtpdOptions: masterCf(services, ports.postfix) });
    const postern = new TestServer({ mainCf, masterCf: masterCf(services, ports.postern) });
    for (const { directory } of [postfix, postern]) writeTables(directory);
    const site = new Site({ postfix, postern, dovecot, ports });
    try {
      await dovecot.start();
      await Promise.all([postfix.start(), postern.start()]);
    } catch (error) {
      await site.stop();
      throw error;
    }
    return site;
  }

  port(side: Side, service: string): number {
    const port = this.#ports[side].get(service);
    if (port === undefined) throw new Error(`No service ${service}`);
    return port;
  }

  log(side: Side): string {
    return side === "postfix" ? this.#postfix.log() : this.#postern.log();
  }

  /** Waits until each session of a service has its disconnect in the log; gives up in silence, the comparison will show it. */
  async settled(counts: ReadonlyMap<string, number>): Promise<void> {
    const complete = (side: Side) => {
      const sessions = readSessions(this.log(side));
      return [...counts].every(([name, n]) => (sessions.get(name) ?? []).filter(({ ended }) => ended).length >= n);
    };
    for (const end = Date.now() + LOG_TIMEOUT_MS; Date.now() < end; await sleep(100)) {
      if (complete("postfix") && complete("postern")) return;
    }
  }

  async stop(): Promise<void> {
    this.#postfix.stop();
    await this.#postern[Symbol.asyncDispose]();
    await this.#dovecot.remove();
  }
}

/** Below the range from which systems take the ports of outgoing connections: these stay free until they are bound. */
const PORTS = { first: 20_000, count: 10_000 };

async function assignPorts(
  services: readonly ServiceBlock[],
  taken: ReadonlySet<number> = new Set(),
): Promise<ReadonlyMap<string, number>> {
  const ports = new Map<string, number>();
  let next = randomInt(PORTS.count);
  for (const { name } of services) {
    let port = PORTS.first + (next++ % PORTS.count);
    while (taken.has(port) || !(await isFree(port))) port = PORTS.first + (next++ % PORTS.count);
    ports.set(name, port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The services; behind another smtpd line in Postfix's file. */
function masterCf(services: readonly ServiceBlock[], ports: ReadonlyMap<string, number>): string {
  const lines = services.map(({ name, settings }) => {
    const options = [`syslog_name = svc/${name}`, ...settings].map((setting) => `  -o { ${setting} }\n`);
    return `127.0.0.1:${ports.get(name)} inet n - n - - smtpd\n${options.join("")}`;
  });
  return lines.join("");
}

function writeTables(directory: string): void {
  for (const name of readdirSync(CONFIGURATION)) {
    if (name !== "main.cf") copyFileSync(join(CONFIGURATION, name), join(directory, name));
  }
  const { keyPem, certificatePem } = makeSelfSigned(["mail.example.org"], Date.now());
  writeFileSync(join(directory, "chain.pem"), keyPem + certificatePem, { mode: 0o644 });
}
