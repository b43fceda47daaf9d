import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMainCf } from "../config/main-cf.ts";
import { parseMasterCf } from "../config/master-cf.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { type SpawnContext, spawnSpecs } from "./spawn-specs.ts";

const ROOT: SpawnContext = {
  ...{ uid: 0, ipv6: false, servicesText: "" },
  accounts: {
    passwd: "root:x:0:0::/root:\npostern:x:101:102::/:\nspf:x:103:104::/:\nwheel:x:105:0::/:\nwith:x:106:102::/:\n",
    group: "root:x:0:\npostern:x:102:\nmail:x:8:\n",
  },
  exists: (path) => path !== "/usr/bin/missing",
  environment: { TZ: "UTC", HOME: "/root", EDITOR: "ed" },
};

function snapshotOf(masterCf: string, mainCf = ""): ConfigSnapshot {
  return {
    generation: 1,
    configDirectory: "/etc/postern",
    mainCf: parseMainCf(mainCf, "main.cf").assignments,
    services: parseMasterCf(masterCf, "master.cf").services,
    files: new Map(),
    builtins: new Map(),
  };
}

const SPF = "policy unix - n n - 0 spawn user=spf argv=/usr/bin/policyd-spf";

test("spawnSpecs() has all that is needed to run the command", () => {
  const { specs, problems } = spawnSpecs(snapshotOf(SPF), ROOT);
  assert.deepEqual(problems, []);
  const path = "/var/spool/postern/private/policy";
  assert.deepEqual(specs, [
    {
      ...{ name: "policy", key: `unix ${path}`, place: { kind: "unix", path } },
      argv: ["/usr/bin/policyd-spf"],
      account: { uid: 103, gid: 104 },
      maxproc: Number.POSITIVE_INFINITY,
      timeLimitMs: 1_000_000,
      environment: { TZ: "UTC", MAIL_CONFIG: "/etc/postern", PATH: "/usr/bin:/bin" },
      directory: "/var/spool/postern",
      logTag: "postfix/spawn",
    },
  ]);
});

const details = [
  {
    line: "policy unix n n n - - spawn user=spf:mail argv=/x",
    want: {
      place: { kind: "unix", path: "/var/spool/postern/public/policy" },
      maxproc: 100,
      account: { uid: 103, gid: 8 },
    },
    why: "private = n is the public directory; `-` is 100 processes; a group of its own",
  },
  {
    line: "127.0.0.1:9999 inet n n n - 3 spawn user=spf argv=/x",
    want: {
      place: { kind: "tcp", host: "127.0.0.1", port: 9999, ipv6Only: false },
      key: "inet 127.0.0.1 9999",
      maxproc: 3,
    },
    why: "an inet service",
  },
  {
    line: SPF,
    mainCf: "command_time_limit = 5m\npolicy_time_limit = 3600",
    want: { timeLimitMs: 3_600_000 },
    why: "a time limit of its own",
  },
  { line: SPF, mainCf: "command_time_limit = 5m", want: { timeLimitMs: 300_000 }, why: "the general time limit" },
  {
    line: `${SPF} x`,
    mainCf: "export_environment = EDITOR { GREETING = good day } ABSENT A=b PATH=/root",
    want: { environment: { EDITOR: "ed", GREETING: "good day", A: "b", PATH: "/usr/bin:/bin" } },
    why: "export_environment; PATH is always the safe one",
  },
];
for (const { line, mainCf, want, why } of details) {
  test(`spawnSpecs() ${why}`, () => {
    const { specs, problems } = spawnSpecs(snapshotOf(line, mainCf), ROOT);
    assert.deepEqual(problems, []);
    assert.equal(specs.length, 1);
    assert.deepEqual({ ...specs[0], ...want }, specs[0]);
  });
}

test("spawnSpecs() as a user runs commands as himself only", () => {
  const own = spawnSpecs(snapshotOf(SPF), { ...ROOT, uid: 103 });
  assert.deepEqual([own.problems, own.specs[0]?.account], [[], undefined]);
  const [problem] = spawnSpecs(snapshotOf(SPF), { ...ROOT, uid: 106 }).problems;
  assert.equal(problem?.text, 'service "policy": only root can run a command as spf');
});

test("spawnSpecs() warns of a program that is not there", () => {
  const line = "policy unix - n n - 0 spawn user=spf argv=/usr/bin/missing";
  const { specs, problems } = spawnSpecs(snapshotOf(line), ROOT);
  assert.equal(specs.length, 1, "it may be installed later");
  assert.deepEqual(
    problems.map(({ severity, text }) => `${severity}: ${text}`),
    ['warning: service "policy": there is no program /usr/bin/missing'],
  );
});

const refused = [
  { args: "user=nobody-here argv=/x", want: "unknown user name: nobody-here" },
  { args: "user=spf:nothing argv=/x", want: "unknown group name: nothing" },
  { args: "user=root argv=/x", want: "request to deliver as root" },
  { args: "user=postern argv=/x", want: "request to deliver as mail system owner" },
  { args: "user=wheel argv=/x", want: "request to use privileged group 0" },
  { args: "user=spf:root argv=/x", want: "request to use privileged group root" },
  { args: "user=with argv=/x", want: "request to use mail system owner group 102" },
  { args: "user=spf:postern argv=/x", want: "request to use mail system owner group postern" },
  { args: "argv=/x", want: "missing user= attribute" },
];
for (const { args, want } of refused) {
  test(`spawnSpecs() refuses: ${want}`, () => {
    const { specs, problems } = spawnSpecs(snapshotOf(`policy unix - n n - 0 spawn ${args}`), ROOT);
    assert.deepEqual(specs, []);
    assert.deepEqual(
      problems.map(({ severity, at, text }) => ({ severity, line: at?.line, text })),
      [{ severity: "error", line: 1, text: `service "policy": ${want}` }],
    );
  });
}

for (const name of ["..", "a/b", "/etc/passwd"]) {
  test(`spawnSpecs() keeps the socket in its directory: ${name}`, () => {
    const { specs } = spawnSpecs(snapshotOf(`${name} unix - n n - 0 spawn user=spf argv=/x`), ROOT);
    assert.deepEqual(specs, []);
  });
}
