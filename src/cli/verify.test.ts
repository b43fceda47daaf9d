/** cli/verify.test.ts: what `postern verify` prints for whole configurations, against testdata/verify.ref (rewritten with
 *  POSTERN_UPDATE_GOLDEN=1; read the diff before committing it), and its command line. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runCheck } from "./check.ts";
import type { Command } from "./terminal.ts";
import { CLASSIC_MISTAKES, type SampleConfig, STOCK_CONFIGS } from "./testdata/verify-configs.ts";
import { verify } from "./verify.ts";

const REFERENCE = new URL("./testdata/verify.ref", import.meta.url);
const RECIPE = new URL("../../test/submission-2005/", import.meta.url);

let root = "";

before(() => {
  root = mkdtempSync(join(tmpdir(), "postern-verify-"));
});
after(() => rmSync(root, { recursive: true }));

/** What the command prints, and its exit code. */
async function run(directory: string, { args = [] as readonly string[], colours = false, command = verify } = {}) {
  let out = "";
  let err = "";
  const code = await command(args, {
    configDirectory: directory,
    verbose: false,
    colours,
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    stdin: async () => "",
  });
  return { code, out, err };
}

function commandOf({ command }: SampleConfig): Command {
  return command === "check" ? runCheck : verify;
}

/** The account of the workers is one that every machine has. */
function write({ main, master, files = {} }: SampleConfig, name: string): string {
  const directory = join(root, name);
  mkdirSync(directory, { recursive: true });
  for (const [file, text] of Object.entries({
    "main.cf": `${main}\nmail_owner = nobody\n`,
    "master.cf": master,
    ...files,
  })) {
    writeFileSync(join(directory, file), text);
  }
  return directory;
}

const recipe: SampleConfig = {
  why: "the recipe of 2005",
  main: readFileSync(new URL("main.cf", RECIPE), "utf8"),
  master: readFileSync(new URL("master.cf", RECIPE), "utf8"),
};

describe("postern verify", () => {
  test("prints what testdata/verify.ref says", async () => {
    const texts: string[] = [];
    for (const [i, config] of [recipe, ...STOCK_CONFIGS, ...CLASSIC_MISTAKES].entries()) {
      const directory = write(config, `config${i}`);
      const { code, out, err } = await run(directory, { command: commandOf(config) });
      texts.push(`######## ${config.why}: exit ${code}\n\n${out}${err}\n`);
    }
    if (process.env["POSTERN_UPDATE_GOLDEN"]) writeFileSync(REFERENCE, texts.join(""));
    const wanted = readFileSync(REFERENCE, "utf8").split(/(?=^######## )/m);
    for (const [i, text] of texts.entries()) assert.equal(text, wanted[i]);
    assert.equal(texts.length, wanted.length);
    const long = texts
      .filter((text) => !text.includes("postern: check"))
      .join("")
      .split("\n")
      .filter((line) => line.length > 100);
    assert.deepEqual(long, []);
  });

  for (const [mistake, config] of CLASSIC_MISTAKES.entries()) {
    test(`finds: ${config.why}`, async () => {
      const { code, out } = await run(write(config, `mistake${mistake}`), { command: commandOf(config) });
      const says = out.replace(/\n {4}/g, " ");
      for (const pattern of config.finds ?? []) assert.match(says, pattern);
      assert.equal(code, config.finds?.some(({ source }) => source.includes("error:")) ? 1 : 0);
    });
  }

  test("--json holds the same matrix, with path and example", async () => {
    const [open] = CLASSIC_MISTAKES;
    assert.ok(open);
    const { code, out } = await run(write(open, "json"), { args: ["--json"] });
    const { services, errors } = JSON.parse(out);
    assert.deepEqual([code, errors, services.length], [1, 1, 1]);
    const cell = services[0].cells.find(
      (one: { client: string; destination: string }) => one.client === "stranger" && one.destination === "foreign",
    );
    assert.equal(cell.verdict, "always");
    assert.equal(cell.path.at(-1).rule, "permit_mynetworks");
    assert.match(cell.example.host.address, /^\d+\.\d+\.\d+\.\d+$/);
  });

  test("colours an open relay on a terminal, and nothing elsewhere", async () => {
    const [open] = CLASSIC_MISTAKES;
    assert.ok(open);
    const directory = write(open, "colours");
    const plain = await run(directory);
    const coloured = await run(directory, { colours: true });
    assert.ok(!plain.out.includes("\x1b"));
    assert.match(coloured.out, /\x1b\[1;31malways\x1b\[0m/);
    assert.equal(coloured.out.replace(/\x1b\[[\d;]*m/g, ""), plain.out);
  });

  test("tells a bad option and a configuration that cannot be read", async () => {
    const bad = await run(root, { args: ["--nosuch"] });
    assert.deepEqual([bad.code, bad.out], [64, ""]);
    assert.match(bad.err, /^postern: verify: .*--nosuch.*see: postern verify --help\n$/);
    const none = await run(join(root, "nowhere"));
    assert.equal(none.code, 78);
    assert.match(none.err, /postern: verify: the configuration cannot be read\n$/);
  });
});
