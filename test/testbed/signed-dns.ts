/** test/testbed/signed-dns.ts: real DNSSEC on loopback: Knot DNS signs zones, Unbound validates them; both are ordinary
 *  processes with configuration and keys of their own in a temporary directory. Nothing leaves this machine. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { freePort } from "./server.ts";

export interface SignedZone {
  readonly name: string;
  /** Lines of a zone file without SOA and NS. */
  readonly records: string;
  /** "forged": signed, with keys that nobody trusts. */
  readonly trust: "signed" | "unsigned" | "forged";
}

export function hasSignedDns(): boolean {
  return ["/usr/sbin/knotd", "/usr/sbin/keymgr", "/usr/sbin/unbound"].every((path) => existsSync(path));
}

export class SignedDns {
  readonly directory = mkdtempSync(join(tmpdir(), "signed-dns-"));
  readonly #children: ChildProcess[] = [];
  #output = "";
  /** Of the resolver that validates. */
  port = 0;
  /** Of one whose clock is so far ahead that every signature is over. */
  latePort = 0;

  static async start(zones: readonly SignedZone[]): Promise<SignedDns> {
    const dns = new SignedDns();
    try {
      await dns.#start(zones);
      return dns;
    } catch (error) {
      await dns.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #start(zones: readonly SignedZone[]): Promise<void> {
    const knotPort = await freePort();
    const config = join(this.directory, "knot.conf");
    mkdirSync(join(this.directory, "keys"));
    writeFileSync(config, knotConfig(this.directory, knotPort, zones));
    for (const { name, records } of zones) {
      const head = `$ORIGIN ${name}.\n$TTL 300\n@ SOA ns.${name}. root.${name}. 1 3600 600 86400 300\n@ NS ns.${name}.\nns A 127.0.0.1\n`;
      writeFileSync(join(this.directory, `${name}.zone`), `${head}${records}\n`);
    }
    this.#spawn("/usr/sbin/knotd", ["-c", config]);
    const anchors = new Map<string, string>();
    for (const { name, trust } of zones) {
      if (trust === "unsigned") continue;
      await eventually(async () => {
        const lines = execFileSync("/usr/sbin/keymgr", ["-c", config, name, "ds"], { encoding: "latin1" }).split("\n");
        const ds = lines.find((line) => /^\S+ DS \d+ 13 2 /.test(line));
        if (ds === undefined) throw new Error(`No key of ${name}:\n${lines.join("\n")}\n${this.#output}`);
        anchors.set(name, trust === "forged" ? ds.replace(/[0-9a-f]{64}$/i, "00".repeat(32)) : ds);
      });
    }
    this.port = await this.#unbound("now", { knotPort, zones, anchors });
    this.latePort = await this.#unbound("late", { knotPort, zones, anchors });
  }

  async #unbound(
    name: "now" | "late",
    served: { knotPort: number; zones: readonly SignedZone[]; anchors: ReadonlyMap<string, string> },
  ): Promise<number> {
    const port = await freePort();
    const config = join(this.directory, `unbound-${name}.conf`);
    const late = name === "late" ? '  val-override-date: "20990101000000"\n' : "";
    const trusted = [...served.anchors.values()].map((anchor) => `  trust-anchor: "${anchor}"\n`).join("");
    const stubs = served.zones.map(
      (zone) => `stub-zone:\n  name: "${zone.name}"\n  stub-addr: 127.0.0.1@${served.knotPort}\n`,
    );
    writeFileSync(
      config,
      `server:
  interface: 127.0.0.1
  port: ${port}
  directory: "${this.directory}"
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-daemonize: no
  do-ip6: no
  num-threads: 1
  do-not-query-localhost: no
  module-config: "validator iterator"
  local-zone: "test." nodefault
${late}${trusted}remote-control:
  control-enable: no
${stubs.join("")}`,
    );
    this.#spawn("/usr/sbin/unbound", ["-d", "-c", config]);
    await eventually(async () => {
      const { Resolver } = await import("node:dns/promises");
      const resolver = new Resolver({ timeout: 500, tries: 1 });
      resolver.setServers([`127.0.0.1:${port}`]);
      const ask = resolver.resolve4(`ns.${served.zones.find(({ trust }) => trust === "unsigned")?.name}`);
      await ask.catch((error: Error) => {
        throw new Error(`${error.message}:\n${this.#output}`);
      });
    });
    return port;
  }

  #spawn(program: string, args: readonly string[]): void {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        this.#output = `${this.#output}${chunk.toString("latin1")}`.slice(-20_000);
      });
    }
    this.#children.push(child);
  }
}

function knotConfig(directory: string, port: number, zones: readonly SignedZone[]): string {
  const signing = (zone: SignedZone) =>
    zone.trust === "unsigned" ? "" : "    dnssec-signing: on\n    dnssec-policy: one\n";
  return `server:
  rundir: "${directory}"
  listen: 127.0.0.1@${port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "${directory}/keys"
log:
  - target: stderr
    any: info
policy:
  - id: one
    algorithm: ecdsap256sha256
    single-type-signing: on
zone:
${zones.map((zone) => `  - domain: ${zone.name}\n    storage: "${directory}"\n    file: "${zone.name}.zone"\n    zonefile-sync: -1\n    zonefile-load: difference\n${signing(zone)}`).join("")}`;
}
