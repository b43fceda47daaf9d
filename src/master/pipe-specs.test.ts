/** Pipe services as they are run, and what is said about those that are not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatProblem } from "../config/check.ts";
import { loadSnapshot } from "../config/load.ts";
import { pipeSpecs } from "./pipe-specs.ts";

const ACCOUNTS = {
  passwd:
    "root:x:0:0::/root:/bin/sh\npostern:x:100:200::/:/bin/sh\nvmail:x:500:600::/:/bin/sh\nhalf:x:501:0::/:/bin/sh\n",
  group: "root:x:0:\npostern:x:200:\nvmail:x:600:\nlist:x:700:\n",
};

async function specsOf(services: string, options: { mainCf?: string; uid?: number; exists?: boolean } = {}) {
  const main = `compatibility_level = 3.10\nmail_owner = postern\nqueue_directory = /q\n${options.mainCf ?? ""}`;
  const files: Readonly<Record<string, string>> = { "/c/main.cf": main, "/c/master.cf": services };
  const { snapshot } = await loadSnapshot({
    ...{ configDirectory: "/c", generation: 0, hostname: "h", mailVersion: "0", interfaces: [] },
    readFile: async (path) => Buffer.from(files[path] ?? ""),
  });
  assert.ok(snapshot);
  const context = { accounts: ACCOUNTS, uid: options.uid ?? 0, environment: { TZ: "UTC", SECRET: "x" } };
  const { specs, problems } = pipeSpecs(snapshot, { ...context, exists: () => options.exists ?? true });
  return { specs, problems: problems.map(formatProblem) };
}

const line = (name: string, rest: string) => `${name} unix - n n - ${rest}\n`;

test("pipeSpecs() gives what is run, and as whom", async () => {
  const services =
    line("maildrop", "- pipe\n  flags=R user=vmail:list argv=/bin/x ${recipient}") +
    line("two", "0 pipe user=vmail argv=/bin/y");
  const mainCf = "maildrop_time_limit = 5s\nrecipient_delimiter = +\nexport_environment = TZ A=b\n";
  const { specs, problems } = await specsOf(services, { mainCf });
  assert.deepEqual(problems, []);
  const { command, ...spec } = specs.get("maildrop") ?? assert.fail();
  assert.deepEqual(command.argv, ["/bin/x", "${recipient}"]);
  assert.deepEqual(spec, {
    ...{ name: "maildrop", account: { uid: 500, gid: 700 }, refusal: undefined, delimiter: "+", maxproc: 100 },
    ...{ timeLimitMs: 5000, environment: { TZ: "UTC", A: "b", PATH: "/usr/bin:/bin" }, directory: "/q" },
    ...{ messages: { directory: "/q/pipe", uid: 100 }, logTag: "postfix/pipe" },
  });
  const second = specs.get("two");
  assert.deepEqual([second?.account, second?.maxproc], [{ uid: 500, gid: 600 }, Number.POSITIVE_INFINITY]);
});

const REFUSALS: readonly { rest: string; options?: Parameters<typeof specsOf>[1]; want: string; why: string }[] = [
  { rest: "user=nobody argv=/bin/x", want: "unknown user name: nobody", why: "no such user" },
  { rest: "user=vmail:none argv=/bin/x", want: "unknown group name: none", why: "no such group" },
  { rest: "user=root argv=/bin/x", want: "request to deliver as root", why: "root" },
  { rest: "user=postern argv=/bin/x", want: "request to deliver as mail system owner", why: "the mail system" },
  { rest: "user=half argv=/bin/x", want: "request to use privileged group 0", why: "root's group" },
  {
    rest: "user=vmail argv=/bin/x",
    options: { uid: 1000 },
    want: "only root can run a command as vmail",
    why: "not root",
  },
  { rest: "user=vmail argv=/bin/x", options: { exists: false }, want: "there is no program /bin/x", why: "no program" },
];
for (const c of REFUSALS) {
  test(`pipeSpecs() keeps a service that cannot run, with its reason: ${c.why}`, async () => {
    const { specs, problems } = await specsOf(line("p", `- pipe ${c.rest}`), c.options);
    assert.equal(specs.get("p")?.refusal, c.why === "no program" ? undefined : c.want);
    assert.equal(specs.get("p")?.account === undefined, c.why !== "no program");
    const text = `pipe services that cannot run here, so that mail for them waits: p (${c.want})`;
    assert.deepEqual(problems, [`master.cf:1: warning: ${text}; make what is missing, or comment the services out`]);
  });
}

test("pipeSpecs() names all services that cannot run in one warning", async () => {
  const services = line("a", "- pipe user=x argv=/bin/x") + line("b", "- pipe user=y argv=/bin/x");
  const { problems } = await specsOf(services);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? "", /: a \(unknown user name: x\), b \(unknown user name: y\);/);
});

test("pipeSpecs() reports what cannot be read as errors", async () => {
  const { specs, problems } = await specsOf(
    line("p", "- pipe user=vmail argv=/bin/x ${nosuch}") + line("f", "- pipe flags=Rz user=vmail argv=/bin/x"),
  );
  assert.equal(specs.has("p"), false);
  assert.deepEqual(problems, [
    'master.cf:1: error: service "p": unknown macro name: "nosuch"',
    'master.cf:2: warning: service "f": unknown flag: z (ignored)',
  ]);
});
