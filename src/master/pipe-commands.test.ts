/** Real commands, run as the user that runs the test. */
import assert from "node:assert/strict";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Clock, systemClock } from "../base/clock.ts";
import { parsePipeCommand } from "../config/pipe-command.ts";
import type { CommandEnd } from "../local/command-result.ts";
import type { PipeValues } from "../local/pipe-arguments.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { PipeCommands } from "./pipe-commands.ts";
import type { PipeSpec } from "./pipe-specs.ts";

const VALUES: PipeValues = {
  sender: asAddress("s@x.test"),
  nexthop: "hop",
  recipients: [{ address: asAddress("a b@y.test"), original: asAddress("") }],
  message: { queue_id: "ABC" },
};

class World {
  readonly root = mkdtempSync(join(tmpdir(), "pipe-commands-"));
  readonly lines: string[] = [];
  readonly commands: PipeCommands;
  readonly owner = {};

  constructor(t: { after(run: () => void): void }, clock: Clock = systemClock) {
    mkdirSync(join(this.root, "pipe"));
    const log = new Log({ sink: ({ tag, text }) => this.lines.push(`${tag}: ${text}`), now: () => 0, tag: "m", id: 1 });
    this.commands = new PipeCommands({ clock, log });
    this.message("1");
    t.after(() => {
      this.commands.close();
      rmSync(this.root, { recursive: true, force: true });
    });
  }

  message(name: string, text = "Subject: x\n\nbody\n"): void {
    writeFileSync(join(this.root, "pipe", name), text);
  }

  configure(args: readonly string[], more: Partial<PipeSpec> = {}): void {
    const spec: PipeSpec = {
      ...{ name: "p", command: parsePipeCommand({ args: ["user=x", ...args] }), delimiter: "", account: undefined },
      ...{ refusal: undefined, maxproc: 100, timeLimitMs: 60_000, environment: { PATH: "/usr/bin:/bin", A: "b" } },
      ...{ directory: this.root, messages: { directory: join(this.root, "pipe"), uid: process.getuid?.() ?? 0 } },
      logTag: "postfix/pipe",
      ...more,
    };
    this.commands.configure(new Map([["p", spec]]));
  }

  run(id = 1, fileName = "1"): Promise<CommandEnd> {
    return this.commands.run(this.owner, { id, service: "p", fileName, values: VALUES });
  }
}

/** The script's own dollars are no macros. */
const sh = (script: string, ...args: readonly string[]) => [
  ...["argv=/bin/sh", "-c", script.replaceAll("$", "$$$$"), "sh"],
  ...args,
];

const ENDS: readonly { args: readonly string[]; more?: Partial<PipeSpec>; want: CommandEnd; why: string }[] = [
  {
    args: sh("cat"),
    want: { kind: "exit", status: 0, output: "Subject: x\n\nbody\n" },
    why: "the message is its input",
  },
  {
    args: sh("cat /dev/stdin"),
    want: { kind: "exit", status: 0, output: "Subject: x\n\nbody\n" },
    why: "by name, too",
  },
  {
    args: sh('printf "[%s]" "$@"', "$recipient", "${sender}", "$queue_id", "*"),
    want: { kind: "exit", status: 0, output: "[a b@y.test][s@x.test][ABC][*]" },
    why: "arguments",
  },
  {
    args: sh("echo $A-$SECRET; umask"),
    want: { kind: "exit", status: 0, output: "b-\n0077\n" },
    why: "its surroundings",
  },
  { args: sh("echo no >&2; exit 67"), want: { kind: "exit", status: 67, output: "no\n" }, why: "its complaint" },
  { args: sh("kill -9 $$"), want: { kind: "signal", signal: 9, output: "" }, why: "a signal" },
  {
    args: sh("echo begun; sleep 60"),
    more: { timeLimitMs: 300 },
    want: { kind: "timeLimit", output: "begun\n" },
    why: "a command that takes too long",
  },
  {
    args: ["argv=/nonexistent/x"],
    want: { kind: "notStarted", text: "pipe: fatal: pipe_command: execvp /nonexistent/x: No such file or directory\n" },
    why: "no program",
  },
  {
    args: sh("exit 0"),
    more: { directory: "/nonexistent" },
    want: { kind: "exit", status: 75, output: "" },
    why: "no directory",
  },
  {
    args: sh("exit 0"),
    more: { refusal: "unknown user name: x" },
    want: { kind: "refused" },
    why: "a service that cannot run",
  },
  {
    args: sh("sleep 60 & echo gone"),
    want: { kind: "exit", status: 0, output: "gone\n" },
    why: "what it leaves behind holds nobody up",
  },
];
test("run() of a command that was in time is not out of it while its output is waited for", async (t) => {
  const timers = new Map<number, () => void>();
  let waits: () => void = () => undefined;
  const waiting = new Promise<void>((resolve) => (waits = resolve));
  const after: Clock["after"] = (delayMs, run) => {
    timers.set(delayMs, run);
    if (delayMs === 1000) waits();
    return { cancel: () => timers.delete(delayMs) };
  };
  const world = new World(t, { ...systemClock, after });
  world.configure(sh("sleep 60 & echo gone"));
  const end = world.run();
  await waiting;
  timers.get(60_000)?.(); // the time limit
  timers.get(1000)?.();
  assert.deepEqual(await end, { kind: "exit", status: 0, output: "gone\n" });
});

for (const c of ENDS) {
  test(`run() ${c.why}`, async (t) => {
    const world = new World(t);
    world.configure(c.args, c.more);
    assert.deepEqual(await world.run(), c.want);
  });
}

test("run() keeps the beginning of a long output", async (t) => {
  const world = new World(t);
  world.configure(sh("head -c 1000000 /dev/zero | tr '\\000' x"));
  const end = await world.run();
  assert.deepEqual(end, { kind: "exit", status: 0, output: "x".repeat(4096) });
});

test("run() logs in Postfix's words what it could not start", async (t) => {
  const world = new World(t);
  world.configure(["argv=/nonexistent/x"]);
  await world.run();
  world.configure(sh("exit 0"), { directory: "/nonexistent" });
  await world.run();
  assert.deepEqual(world.lines, [
    "postfix/pipe: fatal: pipe_command: execvp /nonexistent/x: No such file or directory",
    'postfix/pipe: fatal: cannot change directory to "/nonexistent": No such file or directory',
  ]);
});

test("cancel() and drop() end the command of that worker only", async (t) => {
  const world = new World(t);
  world.configure(sh("sleep 60"));
  for (const name of ["2", "3"]) world.message(name);
  const [first, second] = [world.run(1), world.run(2, "2")];
  const other = world.commands.run({}, { id: 1, service: "p", fileName: "3", values: VALUES });
  world.commands.cancel(world.owner, 1);
  assert.deepEqual((await first).kind, "signal");
  world.commands.drop(world.owner);
  assert.deepEqual((await second).kind, "signal");
  world.commands.close();
  assert.deepEqual((await other).kind, "signal");
});

test("run() runs no more than maxproc at a time, in turn", async (t) => {
  const world = new World(t);
  const trail = join(world.root, "trail");
  world.configure(sh(`echo + >> ${trail}; sleep 0.05; echo - >> ${trail}; cat ${trail}`), { maxproc: 1 });
  const ends = await Promise.all([world.run(1), world.run(2), world.run(3)]);
  const last = ends.at(-1);
  assert.equal(last?.kind === "exit" && last.output.replaceAll("\n", ""), "+-+-+-");
});

const FILES: readonly { name: string; make?: (path: string, root: string) => void; why: string }[] = [
  { name: "../main.cf", why: "outside" },
  { name: "", why: "no name" },
  { name: "9", why: "no file" },
  { name: "9", make: (path) => symlinkSync("/etc/passwd", path), why: "a symbolic link" },
  { name: "9", make: (path, root) => linkSync(join(root, "pipe/1"), path), why: "a second name of a file" },
  { name: "9", make: (path) => mkdirSync(path), why: "a directory" },
];
for (const { name, make, why } of FILES) {
  test(`run() opens no file that is no message: ${why}`, async (t) => {
    const world = new World(t);
    world.configure(sh("cat"));
    make?.(join(world.root, "pipe", name), world.root);
    assert.deepEqual(await world.run(1, name), { kind: "exit", status: 75, output: "" });
    assert.equal(world.lines.length, 1);
  });
}

test("run() opens no file of another user", async (t) => {
  const world = new World(t);
  world.configure(sh("cat"), { messages: { directory: join(world.root, "pipe"), uid: 4_000_000 } });
  assert.deepEqual(await world.run(), { kind: "exit", status: 75, output: "" });
});
