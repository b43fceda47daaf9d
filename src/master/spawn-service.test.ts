/** The commands are sh scripts: what they get and give back is looked at from the client's end of a real socket. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../base/clock.ts";
import { Log } from "../log/log.ts";
import { SpawnServices } from "./spawn-services.ts";
import type { SpawnSpec } from "./spawn-specs.ts";

const directory = mkdtempSync(join(tmpdir(), "spawn-test-"));
const path = join(directory, "policy");

function spec(script: string, more: Partial<SpawnSpec> = {}): SpawnSpec {
  return {
    ...{ name: "policy", key: "policy", place: { kind: "unix", path } },
    argv: ["sh", "-c", script],
    account: undefined,
    maxproc: 10,
    timeLimitMs: 20_000,
    environment: { PATH: "/usr/bin:/bin", GREETING: "good day" },
    directory,
    logTag: "postfix/spawn",
    ...more,
  };
}

/** One client; everything it is sent until the end is kept. */
class Client {
  readonly socket: net.Socket;
  readonly ended: Promise<string>;
  text = "";

  constructor(target: string | number = path) {
    this.socket = typeof target === "string" ? net.connect(target) : net.connect(target, "127.0.0.1");
    this.ended = new Promise((resolve) => {
      this.socket.on("data", (chunk) => (this.text += chunk.toString("latin1")));
      this.socket.on("error", () => undefined).on("close", () => resolve(this.text));
    });
  }

  async got(pattern: RegExp): Promise<void> {
    for (const end = Date.now() + 5000; !pattern.test(this.text); await sleep(5)) {
      if (Date.now() > end) throw new Error(`never got ${pattern}: ${this.text}`);
    }
  }
}

describe("SpawnServices", { concurrency: false, timeout: 30_000 }, () => {
  const lines: string[] = [];
  const log = new Log({
    sink: ({ tag, severity, text }) => lines.push(`${tag}: ${severity}: ${text}`),
    ...{ now: () => 0, tag: "postfix/master", id: 1 },
  });
  let services = new SpawnServices({ clock: systemClock, log });

  const open = async (...specs: readonly SpawnSpec[]) => (await services.prepare(specs)).commit();
  async function logged(pattern: RegExp): Promise<void> {
    for (const end = Date.now() + 5000; !lines.some((line) => pattern.test(line)); await sleep(5)) {
      if (Date.now() > end) throw new Error(`never logged ${pattern}: ${lines.join("\n")}`);
    }
  }

  afterEach(async () => {
    await services.close();
    services = new SpawnServices({ clock: systemClock, log });
    lines.length = 0;
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  test("a command talks over its standard streams, in its directory, with its environment only", async () => {
    await open(
      spec('echo "$GREETING $(pwd) $HOME$LOGNAME$(umask)"; echo trouble >&2; read line; echo "you said $line"'),
    );
    const client = new Client();
    client.socket.write("hello\n");
    assert.equal(await client.ended, `good day ${directory} 0077\ntrouble\nyou said hello\n`);
    assert.deepEqual(lines, []);
    assert.equal(statSync(path).mode & 0o777, 0o666);
  });

  test("a client that has said all still gets all", async () => {
    await open(spec("cat >/dev/null; head -c 3000000 /dev/zero"));
    const client = new Client();
    client.socket.end("x\n");
    assert.equal((await client.ended).length, 3_000_000);
  });

  test("a client that does not read holds the command up", async () => {
    const mark = join(directory, "written");
    await open(spec(`head -c 20000000 /dev/zero; : >${mark}`));
    const client = new Client();
    client.socket.pause();
    await sleep(200);
    assert.equal(existsSync(mark), false);
    client.socket.resume();
    assert.equal((await client.ended).length, 20_000_000);
    assert.equal(existsSync(mark), true);
  });

  test("maxproc: the next connection waits for the end of a command", async () => {
    await open(spec("echo ready; cat", { maxproc: 1 }));
    const first = new Client();
    await first.got(/ready/);
    const second = new Client();
    await sleep(100);
    assert.equal(second.text, "");
    first.socket.end();
    await second.got(/ready/);
    second.socket.end();
  });

  test("no more than 100 connections wait", async () => {
    await open(spec("echo ready; cat", { maxproc: 1 }));
    const first = new Client();
    await first.got(/ready/);
    const others = Array.from({ length: 101 }, () => new Client());
    await logged(/^postfix\/spawn: warning: service "policy" has reached its process limit: a connection was closed$/);
    for (const { socket } of [first, ...others]) socket.destroy();
  });

  test("the time limit ends a command and its offspring", async () => {
    await open(spec("sleep 30 & wait", { timeLimitMs: 150 }));
    await new Client().ended; // which the offspring held open too
    assert.match(lines.join("\n"), /^postfix\/spawn: warning: sh: process id \d+: command time limit exceeded/);
    await logged(/warning: command sh killed by signal 9$/);
  });

  const ends = [
    { script: "exit 3", want: /^postfix\/spawn: warning: command sh exit status 3$/, why: "an exit status" },
    { script: "kill -TERM $$", want: /^postfix\/spawn: warning: command sh killed by signal 15$/, why: "a signal" },
  ];
  for (const { script, want, why } of ends) {
    test(`${why} is logged`, async () => {
      await open(spec(script));
      await new Client().ended;
      await logged(want);
    });
  }

  const missing = [
    { more: { argv: ["/no/such/program"] as const }, want: /execvp \/no\/such\/program: No such file or directory$/ },
    { more: { argv: ["sh", "a\0b"] as const }, want: /spawn_command: sh: .*null bytes/ },
    { more: { argv: [directory] as const }, want: /execvp .*: Permission denied$/ },
  ];
  for (const { more, want } of missing) {
    test(`a command that cannot be started is logged: ${want.source}`, async () => {
      await open(spec("", { ...more, maxproc: 1 }));
      await new Client().ended;
      assert.equal(await new Client().ended, "", "the slot was given back");
      await logged(want);
    });
  }

  test("close() ends commands, even those that ignore SIGTERM, and says nothing", async () => {
    await open(spec("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    const client = new Client();
    await client.got(/ready/);
    await services.close();
    await client.ended;
    assert.deepEqual(lines, []);
    assert.equal(existsSync(path), false);
  });

  test("prepare() changes nothing until commit()", async () => {
    await open(spec("echo old"));
    const other = join(directory, "other");
    const next = await services.prepare([spec("echo new", { key: "other", place: { kind: "unix", path: other } })]);
    assert.equal(await new Client().ended, "old\n");
    next.commit();
    assert.equal(await new Client(other).ended, "new\n");
    assert.equal(await new Client().ended, "", "the old socket is gone");
  });

  test("commands that run go on over a change of the command", async () => {
    await open(spec("echo old; cat"));
    const before = new Client();
    await before.got(/old/);
    await open(spec("echo new"));
    assert.equal(await new Client().ended, "new\n");
    before.socket.end("still here\n");
    assert.equal(await before.ended, "old\nstill here\n");
  });

  test("a socket that cannot be made leaves nothing open", async () => {
    const file = join(directory, "file");
    writeFileSync(file, "precious");
    const specs = [spec("echo x"), spec("echo y", { key: "file", place: { kind: "unix", path: file } })];
    await assert.rejects(services.prepare(specs), { name: "BindError", code: "EEXIST" });
    assert.deepEqual([existsSync(path), existsSync(file)], [false, true]);
  });

  test("an inet service", async () => {
    const probe = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => probe.once("listening", resolve));
    const { port } = probe.address() as net.AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    await open(spec("echo hello", { place: { kind: "tcp", host: "127.0.0.1", port } }));
    assert.equal(await new Client(port).ended, "hello\n");
  });
});
