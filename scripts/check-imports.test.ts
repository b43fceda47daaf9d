/** check-imports must fail on every kind of forbidden import, and let the allowed ones pass. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkImports } from "./check-imports.ts";

type Files = Readonly<Record<string, string>>;
const check = (files: Files): string[] =>
  checkImports(new Map(Object.entries(files))).map((f) => `${f.file}:${f.line}: ${f.message}`);

const one = (file: string, source: string): Files => ({ [file]: source });

const CASES: { why: string; files: Files; want: RegExp | undefined }[] = [
  { why: "lower layer", files: one("src/mail/a.ts", 'import "../base/b.ts";'), want: undefined },
  { why: "same room", files: one("src/mail/a.ts", 'import { c } from "./b.ts";'), want: undefined },
  {
    why: "higher layer",
    files: one("src/base/a.ts", '\nimport { b } from "../mail/b.ts";'),
    want: /^src\/base\/a\.ts:2: base\/ \(layer 0\) must not import mail\/ \(layer 1\)/,
  },
  { why: "same layer, other room", files: one("src/log/a.ts", 'import "../net/b.ts";'), want: /log\/ .* net\// },
  { why: "a type import counts", files: one("src/base/a.ts", 'import type { B } from "../mail/b.ts";'), want: /mail/ },
  { why: "export from counts", files: one("src/base/a.ts", 'export * from "../mail/b.ts";'), want: /mail/ },
  {
    why: "export list from",
    files: one("src/base/a.ts", 'export {\n  a,\n} from "../mail/b.ts";'),
    want: /:3: .*mail/,
  },
  { why: "import()", files: one("src/base/a.ts", 'const a = await import("../mail/b.ts");'), want: /mail/ },
  { why: "a comment is no import", files: one("src/base/a.ts", '// import "../mail/b.ts"'), want: undefined },
  {
    why: "a string is no import",
    files: one("src/base/a.ts", "const a = 'import \"../mail/b.ts\"';"),
    want: undefined,
  },
  { why: "subfolder", files: one("src/smtpd/commands/a.ts", 'import "../../queue/b.ts";'), want: /smtpd\/ must not/ },
  { why: "smtpd ↛ queue", files: one("src/smtpd/a.ts", 'import "../queue/b.ts";'), want: /must not import queue/ },
  { why: "smtpd ↛ smtp", files: one("src/smtpd/a.ts", 'import "../smtp/b.ts";'), want: /must not import smtp/ },
  { why: "smtpd ↛ local", files: one("src/smtpd/a.ts", 'import "../local/b.ts";'), want: /must not import local/ },
  { why: "smtpd → cleanup", files: one("src/smtpd/a.ts", 'import "../cleanup/b.ts";'), want: undefined },
  { why: "qmgr ↛ smtp", files: one("src/qmgr/a.ts", 'import "../smtp/b.ts";'), want: /injected by master/ },
  { why: "qmgr ↛ local", files: one("src/qmgr/a.ts", 'import "../local/b.ts";'), want: /injected by master/ },
  { why: "access ↛ net", files: one("src/access/a.ts", 'import "../net/b.ts";'), want: /access\/ must not import net/ },
  { why: "web imports types", files: one("src/web/a.ts", 'import type { A } from "../admin/b.ts";'), want: undefined },
  {
    why: "web imports code",
    files: one("src/web/a.ts", 'import { a } from "../admin/b.ts";'),
    want: /only import types/,
  },
  {
    why: "node:net outside",
    files: one("src/smtp/a.ts", 'import net from "node:net";'),
    want: /node:net is only for net\//,
  },
  { why: "node:tls outside", files: one("src/smtpd/a.ts", 'import type { X } from "node:tls";'), want: /node:tls/ },
  { why: "node:net inside", files: one("src/net/a.ts", 'import net from "node:net";'), want: undefined },
  { why: "node:sqlite outside", files: one("src/qmgr/a.ts", 'import { D } from "node:sqlite";'), want: /node:sqlite/ },
  { why: "node:sqlite inside", files: one("src/queue/a.ts", 'import { D } from "node:sqlite";'), want: undefined },
  { why: "node:process", files: one("src/smtp/a.ts", 'import p from "node:process";'), want: /node:process/ },
  { why: "process", files: one("src/smtp/a.ts", "if (process.pid) b();"), want: /process is only for master/ },
  { why: "process taken apart", files: one("src/smtp/a.ts", "const { pid } = process;"), want: /process is only/ },
  { why: "globalThis.process", files: one("src/smtp/a.ts", "globalThis.process.exit();"), want: /process is only/ },
  { why: "a member called process", files: one("src/smtp/a.ts", "a.process.b();"), want: undefined },
  { why: "process in cli", files: one("src/cli/a.ts", "process.exit();"), want: undefined },
  { why: "Date.now()", files: one("src/log/a.ts", "a(Date.now());"), want: /Date: time only through/ },
  { why: "new Date()", files: one("src/log/a.ts", "a(new Date());"), want: /Date: time only/ },
  { why: "new Date(ms)", files: one("src/log/a.ts", "a(new Date(ms).toISOString(), Date.UTC(1));"), want: undefined },
  { why: "setTimeout()", files: one("src/log/a.ts", "setTimeout(a, 1);"), want: /setTimeout: time only/ },
  { why: "a socket's setTimeout()", files: one("src/net/a.ts", "socket.setTimeout(1);"), want: undefined },
  { why: "performance", files: one("src/log/a.ts", "performance.now();"), want: /performance: time only/ },
  {
    why: "timers",
    files: one("src/log/a.ts", 'import { setTimeout } from "node:timers/promises";'),
    want: /time only/,
  },
  { why: "the clock itself", files: one("src/base/clock.ts", "Date.now(); setTimeout(a, 1);"), want: undefined },
  { why: "tests may wait", files: one("src/log/a.test.ts", "setTimeout(a, 1); process.pid;"), want: undefined },
  { why: "tests keep to layers", files: one("src/base/a.test.ts", 'import "../mail/b.ts";'), want: /layer/ },
  {
    why: "tests import fixtures",
    files: one("src/base/a.test.ts", 'import "../mail/testdata/b.ts";'),
    want: undefined,
  },
  { why: "fixtures in code", files: one("src/mail/a.ts", 'import "./testdata/b.ts";'), want: /fixtures are for tests/ },
  { why: "code imports a test", files: one("src/mail/a.ts", 'import "./b.test.ts";'), want: /imports the test file/ },
  { why: "code imports scripts", files: one("src/mail/a.ts", 'import "../../scripts/b.ts";'), want: /outside src/ },
  { why: "unknown room", files: one("src/helpers/a.ts", ""), want: /room "helpers" has no layer/ },
  { why: "no room", files: one("src/a.ts", ""), want: /lives in a room/ },
  {
    why: "cycle of two",
    files: { "src/mail/a.ts": 'import "./b.ts";', "src/mail/b.ts": 'import type { A } from "./a.ts";' },
    want: /^src\/mail\/a\.ts:1: import cycle of 2 files: src\/mail\/a\.ts → src\/mail\/b\.ts → src\/mail\/a\.ts$/,
  },
  {
    why: "cycle of three in scripts",
    files: {
      "scripts/a.ts": 'import "./b.ts";',
      "scripts/b.ts": 'import "./c.ts";',
      "scripts/c.ts": 'import "./a.ts";',
    },
    want: /cycle of 3 files/,
  },
  {
    why: "a diamond is no cycle",
    files: {
      "src/mail/a.ts": 'import "./b.ts"; import "./c.ts";',
      "src/mail/b.ts": 'import "./d.ts";',
      "src/mail/c.ts": 'import "./d.ts"; import "./b.ts";',
      "src/mail/d.ts": "",
    },
    want: undefined,
  },
];

for (const c of CASES) {
  test(`checkImports() ${c.why}`, () => {
    const got = check(c.files);
    assert.equal(got.length, c.want ? 1 : 0, got.join("\n"));
    if (c.want) assert.match(got[0] ?? "", c.want);
  });
}
