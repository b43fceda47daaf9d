/** test/interop/rspamd.ts: a real rspamd that only verifies (SPF, DKIM, DMARC, ARC), asked over HTTP what it thinks of a message. Its files are in a
 *  temporary directory; the installed configuration is not read. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../testbed/eventually.ts";
import { freePort } from "../testbed/server.ts";

export interface Asked {
  readonly ip: string;
  readonly helo: string;
  readonly from: string;
}

export function hasRspamd(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/bin/rspamd") && existsSync("/usr/share/rspamd/plugins/dmarc.lua");
}

export class Rspamd {
  readonly #directory = mkdtempSync(join(tmpdir(), "rspamd-test-"));
  readonly #port: number;
  #daemon: ChildProcess | undefined;
  #output = "";

  private constructor(port: number) {
    this.#port = port;
  }

  /** `dnsPort`: of the name server on 127.0.0.1 that it asks. */
  static async start(dnsPort: number): Promise<Rspamd> {
    const rspamd = new Rspamd(await freePort());
    try {
      await rspamd.#start(dnsPort);
      return rspamd;
    } catch (error) {
      await rspamd.stop();
      throw error;
    }
  }

  async #start(dnsPort: number): Promise<void> {
    const config = join(this.#directory, "rspamd.conf");
    // The whole list of public suffixes would be compiled for half a minute.
    writeFileSync(join(this.#directory, "suffixes"), "test\n");
    writeFileSync(
      config,
      `options {
  filters = "dkim";
  url_tld = "${this.#directory}/suffixes";
  pidfile = "${this.#directory}/pid";
  control_socket = "${this.#directory}/control mode=0600";
  hs_cache_dir = "${this.#directory}";
  tempdir = "${this.#directory}";
  local_addrs = ["203.0.113.0/24"];
  dns { nameserver = ["127.0.0.1:${dnsPort}:1"]; timeout = 1s; retransmits = 2; sockets = 4; }
}
logging { type = "console"; level = "warning"; }
worker "normal" { bind_socket = "127.0.0.1:${this.#port}"; count = 1; }
modules { path = "/usr/share/rspamd/plugins/"; }
spf { spf_cache_size = 1k; spf_cache_expire = 1d; }
dkim { dkim_cache_size = 1k; trusted_only = false; }
dmarc { enabled = true; }
arc { enabled = true; }
actions { reject = 1000; }
`,
    );
    const daemon = spawn("/usr/bin/rspamd", ["-f", "-i", "-c", config], { stdio: ["ignore", "pipe", "pipe"] });
    this.#daemon = daemon;
    for (const stream of [daemon.stdout, daemon.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        this.#output = `${this.#output}${chunk.toString("latin1")}`.slice(-10_000);
      });
    }
    const asked = { ip: "192.0.2.1", helo: "x", from: "" };
    await eventually(async () => void (await this.symbols("From: a@b\r\n\r\nx\r\n", asked)), 60_000);
  }

  /** The symbols of its verdict. */
  async symbols(content: string, { ip, helo, from }: Asked): Promise<ReadonlySet<string>> {
    const headers = { IP: ip, Helo: helo, From: from, Rcpt: "b@y.test" };
    const answer = await new Promise<string>((resolve, reject) => {
      const where = { host: "127.0.0.1", port: this.#port, path: "/checkv2", method: "POST", headers };
      const asking = request(where, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
        response.on("end", () => resolve(text));
      });
      asking.on("error", (error) => reject(new Error(`${error.message}\n${this.#output}`)));
      asking.end(Buffer.from(content, "latin1"));
    });
    return new Set(Object.keys((JSON.parse(answer) as { symbols: object }).symbols));
  }

  async stop(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon && daemon.exitCode === null && daemon.signalCode === null) {
      const ended = new Promise((resolve) => daemon.once("exit", resolve));
      daemon.kill();
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
