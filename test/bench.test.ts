/** What `npm run bench` says of its modes and options; nothing is measured here. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { BENCH_OPTIONS, parseBench } from "./bench/modes.ts";

const MAIN = new URL("./bench/main.ts", import.meta.url).pathname;
const bench = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });

const RUNS = [
  { args: [], want: "compare", why: "no word: Postern beside Postfix" },
  { args: ["--write", "--sessions", "20,100"], want: "compare", why: "its options without its name" },
  { args: ["cpu", "--messages", "10"], want: "cpu", why: "a mode with an option of its own" },
  { args: ["soak", "--minutes", "0.5"], want: "soak", why: "half a minute" },
  { args: ["fairness", "--delay", "0"], want: "fairness", why: "a next hop that takes no time" },
];
for (const { args, want, why } of RUNS) {
  test(`parseBench() ${why}: ${args.join(" ")}`, () => {
    assert.deepEqual(parseBench(args), { kind: "run", mode: want });
  });
}

const PROBLEMS = [
  { args: ["quick"], says: /^no mode "quick"; see: npm run bench -- --help$/, why: "no such mode" },
  { args: ["constructor"], says: /^no mode "constructor"/, why: "a name that every object has" },
  { args: ["--nonsense"], says: /^Unknown option '--nonsense'; see/, why: "no such option" },
  { args: ["queue", "--idle", "5"], says: /^Unknown option '--idle'/, why: "the option of another mode" },
  { args: ["queue", "memory"], says: /^Unexpected argument 'memory'/, why: "two modes" },
  { args: ["queue", "--messages", "many"], says: /^--messages: not "many"/, why: "a word for a number" },
  { args: ["queue", "--messages", "0"], says: /^--messages: not "0"/, why: "nothing to measure" },
  { args: ["memory", "--only", "small"], says: /^--only: not "small"/, why: "no such part" },
];
for (const { args, says, why } of PROBLEMS) {
  test(`parseBench() refuses ${why}: ${args.join(" ")}`, () => {
    const command = parseBench(args);
    assert.equal(command.kind, "problem");
    assert.match(command.kind === "problem" ? command.text : "", says);
  });
}

test("parseBench() takes its own defaults", () => {
  for (const [mode, options] of Object.entries(BENCH_OPTIONS)) {
    const given = Object.entries(options).flatMap(([name, option]) =>
      "default" in option && typeof option.default === "string" ? [`--${name}`, option.default] : [],
    );
    assert.deepEqual(parseBench([mode, ...given]), { kind: "run", mode });
  }
});

test("bench --help lists modes and options with exit 0, for one mode its own", () => {
  const whole = bench("--help");
  assert.deepEqual([whole.status, whole.stderr], [0, ""]);
  for (const [mode, options] of Object.entries(BENCH_OPTIONS)) {
    assert.match(whole.stdout, new RegExp(`^${mode}: `, "m"));
    for (const name of Object.keys(options)) assert.match(whole.stdout, new RegExp(`^ {2}--${name} `, "m"));
  }
  const one = bench("queue", "-h");
  assert.match(one.stdout, /^Usage: .*\n\nqueue: .*\n {2}--messages … {4}messages in the queue \(1000000\)\n/);
  assert.doesNotMatch(one.stdout, /idle/);
});

test("bench with a wrong option: one line and exit 64", () => {
  const { status, stdout, stderr } = bench("queue", "--nonsense");
  assert.deepEqual([status, stdout], [64, ""]);
  assert.equal(stderr, "bench: Unknown option '--nonsense'; see: npm run bench -- --help\n");
});
