/** Tests of cli/postconf.ts and cli/postconf-options.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadSnapshot } from "../config/load.ts";
import { runPostconf } from "./postconf.ts";

const MAIN = "myhostname = mx.example.org\nmine = here\nmydestination = $myhostname,\n  $mine\nodd = 1\n";
const MASTER = `smtp      inet  n       -       y       -       -       smtpd
submission inet n - n - 20 smtpd -v
  -o smtpd_sasl_auth_enable=yes
  -o { mydestination = $mine and more }
127.0.0.1:10025 inet n - n - - smtpd
old unix - n n - - pipe
  -o mine=x flags=R argv=/x { a b }
`;

async function run(
  argv: readonly string[],
  disk: Readonly<Record<string, string>> = { "main.cf": MAIN, "master.cf": MASTER },
) {
  let stdout = "";
  let stderr = "";
  let asked: string | undefined;
  const code = await runPostconf(argv, {
    configDirectory: "/c",
    snapshotFor: (directory) => {
      asked = directory;
      return loadSnapshot({
        configDirectory: "/c",
        generation: 1,
        hostname: "host",
        mailVersion: "1.2.3",
        readFile: async (path) => {
          const text = disk[path.replace("/c/", "")];
          if (text === undefined) throw new Error("no such file");
          return Buffer.from(text);
        },
      });
    },
    readFile: async (path) => Buffer.from(disk[path] ?? ""),
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
  });
  return { code, stdout, stderr, asked };
}

/** Nobody looks at `odd`; Postfix says so whatever is asked for. */
const UNUSED = "postconf: warning: /c/main.cf: unused parameter: odd=1\n";

const cases = [
  { argv: ["myhostname"], out: "myhostname = mx.example.org\n", why: "one name" },
  { argv: ["myhostname", "mine"], out: "myhostname = mx.example.org\nmine = here\n", why: "in the order asked" },
  { argv: ["mydestination"], out: "mydestination = $myhostname, $mine\n", why: "as written, but for white space" },
  { argv: ["-x", "mydestination"], out: "mydestination = mx.example.org, here\n", why: "expanded" },
  { argv: ["-h", "mine"], out: "here\n", why: "values only" },
  { argv: ["-H", "mine"], out: "mine\n", why: "names only" },
  { argv: ["-hx", "mydestination"], out: "mx.example.org, here\n", why: "flags together" },
  {
    argv: ["-d", "mydestination"],
    out: "mydestination = $myhostname, localhost.$mydomain, localhost\n",
    why: "the default",
  },
  { argv: ["-d", "mail_version"], out: "mail_version = 1.2.3\n", why: "a computed default" },
  { argv: ["-o", "mine=there", "-h", "-x", "mydestination"], out: "mx.example.org, there\n", why: "-o" },
  { argv: ["recipient_delimiter"], out: "recipient_delimiter =\n", why: "an empty value" },
  { argv: ["-n", "mine", "myorigin"], out: "mine = here\n", why: "-n leaves out what is not set" },
  { argv: ["--", "mine"], out: "mine = here\n", why: "end of options" },
  {
    argv: ["-P"],
    out: "submission/inet/mydestination = $mine and more\nsubmission/inet/smtpd_sasl_auth_enable = yes\nold/unix/mine = x\n",
    why: "options of services, sorted in each",
  },
  {
    argv: ["-Px", "submission/inet/mydestination"],
    out: "submission/inet/mydestination = here and more\n",
    why: "one of them, expanded",
  },
  {
    argv: ["-M", "smtp/inet"],
    out: "smtp       inet  n       -       y       -       -       smtpd\n",
    why: "aligned, - as written",
  },
  {
    argv: ["-M", "submission"],
    out: "submission inet  n       -       n       -       20      smtpd -v -o smtpd_sasl_auth_enable=yes -o {mydestination=$mine and more}\n",
    why: "with options",
  },
  {
    argv: ["-Mf", "old/unix"],
    out: "old        unix  -       n       n       -       -       pipe\n    -o mine=x\n    flags=R argv=/x {a b}\n",
    why: "folded",
  },
  {
    argv: ["-M", "127.0.0.1:10025/inet"],
    out: "127.0.0.1:10025 inet n   -       n       -       -       smtpd\n",
    why: "a long name",
  },
];
for (const c of cases) {
  test(`runPostconf() ${c.why}: ${c.argv.join(" ")}`, async () => {
    assert.deepEqual(await run(c.argv).then(({ code, stdout, stderr }) => ({ code, stdout, stderr })), {
      code: 0,
      stdout: c.out,
      stderr: /^-[A-Za-z]*[MP]/.test(c.argv[0] ?? "") || c.argv[0] === "-d" ? "" : UNUSED,
    });
  });
}

test("runPostconf() -n prints what is set and used, sorted, and warns of the rest", async () => {
  const { code, stdout, stderr } = await run(["-n"]);
  assert.equal(code, 0);
  assert.equal(stdout, "mine = here\nmydestination = $myhostname, $mine\nmyhostname = mx.example.org\n");
  assert.equal(stderr, UNUSED);
  const named = await run(["odd"]);
  assert.deepEqual([named.stdout, named.stderr], ["", `postconf: warning: odd: unknown parameter\n${UNUSED}`]);
  assert.equal((await run(["-nq", "odd"])).stderr, "");
});

test("runPostconf() -M and -P warn of names in master.cf only", async () => {
  const disk = { "main.cf": MAIN, "master.cf": "smtp inet n - n - - smtpd -o myorigin=$nowhere\n" };
  const warning = "postconf: warning: /c/master.cf: undefined parameter: nowhere\n";
  assert.equal((await run(["-M"], disk)).stderr, warning);
  assert.equal((await run(["-P"], disk)).stderr, warning);
});

test("runPostconf() -f breaks lines of main.cf behind 80 characters, of master.cf behind 79", async () => {
  const word = (length: number) => "y".repeat(length);
  const lines = async (argv: readonly string[], [main, master]: readonly [string, string]) =>
    (await run(argv, { "main.cf": main, "master.cf": master })).stdout.split("\n").map((line) => line.length);
  const parameter = (length: number) => [`myorigin = ${word(length)} zz\n`, ""] as const;
  assert.deepEqual(await lines(["-nf"], parameter(66)), [80, 0]);
  assert.deepEqual(await lines(["-nf"], parameter(67)), [78, 6, 0]);
  const service = (length: number) => ["", `x unix - n n - - pipe flags=R argv=${word(length)} zzzz\n`] as const;
  assert.deepEqual(await lines(["-Mf"], service(59)), [69, 4 + 5 + 59 + 5, 0]);
  assert.deepEqual(await lines(["-Mf"], service(65)), [69, 79, 0]);
  assert.deepEqual(await lines(["-Mf"], service(66)), [69, 4 + 5 + 66, 8, 0]);
});

test("runPostconf() without names prints everything, sorted", async () => {
  const { stdout } = await run(["-H"]);
  const names = stdout.trimEnd().split("\n");
  assert.deepEqual(names, [...names].sort());
  assert.ok(names.length > 50 && names.includes("mine") && !names.includes("odd") && names.includes("postern_workers"));
});

test("runPostconf() warns of unknown names and exits 0 as Postfix does", async () => {
  const { code, stdout, stderr } = await run(["nosuch_name", "mine"]);
  assert.deepEqual(
    [code, stdout, stderr],
    [0, "mine = here\n", `postconf: warning: nosuch_name: unknown parameter\n${UNUSED}`],
  );
  assert.equal((await run(["-d", "mine"])).stderr, "postconf: warning: mine: unknown parameter\n");
  assert.equal(
    (await run(["-n", "nosuch_name"])).stderr,
    `postconf: warning: nosuch_name: unknown parameter\n${UNUSED}`,
  );
  assert.equal((await run(["-q", "nosuch_name"])).stderr, "");
});

test("runPostconf() warns of a service nobody has", async () => {
  assert.equal((await run(["-M", "nosuch/inet"])).stderr, 'postconf: warning: unmatched request: "nosuch/inet"\n');
  assert.equal((await run(["-P", "smtp/inet/x"])).stderr, 'postconf: warning: unmatched request: "smtp/inet/x"\n');
});

test("runPostconf() passes -c on, attached or not", async () => {
  assert.equal((await run(["-c", "/x", "mine"])).asked, "/x");
  assert.equal((await run(["-c/x", "mine"])).asked, "/x");
  assert.equal((await run(["mine"])).asked, undefined);
});

const fatal = [
  { argv: ["-Z"], why: /^postconf: fatal: usage: postconf / },
  { argv: ["-c"], why: /option requires an argument -- c/ },
  { argv: ["-dn"], why: /specify one of -d and -n/ },
  { argv: ["-h", "-H"], why: /specify one of -h and -H/ },
  { argv: ["-MP"], why: /specify one of -M and -P/ },
  { argv: ["-e", "a=b"], why: /option -e is not supported/ },
  { argv: ["-o", "ab", "mine"], why: /invalid parameter override: ab: missing '=' after attribute name/ },
  { argv: ["-x", "-o", "mine=${", "mydestination"], why: /truncated macro reference/ },
];
for (const c of fatal) {
  test(`runPostconf() exits 1: ${c.argv.join(" ")}`, async () => {
    const { code, stdout, stderr } = await run(c.argv);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, c.why);
  });
}

test("runPostconf() exits 1 where main.cf is broken or missing, but knows the defaults", async () => {
  const broken = await run(["mine"], { "main.cf": "wrong\n", "master.cf": MASTER });
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /^postconf: fatal: \/c\/main\.cf, line 1: missing '=' after attribute name: "wrong"\n/);
  assert.equal((await run(["mine"], {})).code, 1);
  assert.deepEqual((await run(["-d", "myorigin"], {})).stdout, "myorigin = $myhostname\n");
});

test("runPostconf() -m lists table types", async () => {
  assert.match((await run(["-m"])).stdout, /(^|\n)hash\n/);
});

test("runPostconf() -b and -t show the texts of delivery reports", async () => {
  const file =
    "delay_template = <<EOF\nSubject: Late\n\n$$1 for $delay_warning_time_hours h\nEOF\nsuccess_template = <<EOF\n\n$no\nEOF\n";
  const disk = { "main.cf": `${MAIN}delay_warning_time = 4h\n`, "master.cf": MASTER, "/t": file };
  const expanded = await run(["-b", "/t"], disk);
  assert.equal(expanded.code, 0);
  assert.match(expanded.stdout, /^expanded_failure_text = <<EOF\nThis is the mail system at host mx\.example\.org\.\n/);
  assert.match(expanded.stdout, /\nEOF\n\nexpanded_delay_text = <<EOF\n\$1 for 4 h\nEOF\n\nexpanded_success_text/);
  assert.match(expanded.stderr, /^postconf: warning: \/t, line 1: success_template: undefined \$name in template: no /);
  const plain = await run(["-t", "/t"], disk);
  assert.match(
    plain.stdout,
    /\ndelay_template = <<EOF\nCharset: us-ascii\nFrom: .*\nSubject: Late\nPostmaster-Subject: /,
  );
  assert.match(plain.stdout, /\n\$\$1 for \$delay_warning_time_hours h\nEOF\n/);
  assert.match((await run(["-b", "-t"])).stderr, /specify one of -b and -t/);
});

test("runPostconf() -t prints what a template file may say", async () => {
  const disk = { "main.cf": MAIN, "master.cf": MASTER };
  const { stdout } = await run(["-t"], disk);
  const again = await run(["-t", "/t"], { ...disk, "/t": stdout });
  assert.equal(again.stdout, stdout);
  assert.equal(again.stderr, "");
});
