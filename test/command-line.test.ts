/** What a tired operator types: `--help` that must do nothing, words too many, directories that are not there. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PLAIN_COMMANDS } from "../src/cli/plain-command.ts";
import { OTHER_UID } from "./testbed/other-user.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const WITH_HELP = ["verify", "explain", "diff", "selftest", "trace", "queue", "dkim", "dns", "autoconfig", "user"];

describe("the command line", { concurrency: false }, () => {
  let server: TestServer;
  let empty: string;
  before(async () => {
    empty = mkdtempSync(join(tmpdir(), "postern-empty-"));
    server = new TestServer({
      mainCf: "compatibility_level = 3.10\npostern_workers = 1\n",
      masterCf: `${await freePort()} inet n - n - - smtpd\n`,
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(empty, { recursive: true });
  });

  for (const [name, what] of Object.entries(PLAIN_COMMANDS)) {
    test(`${name} --help tells what it would do, and does not do it`, async () => {
      for (const word of ["--help", "-h"]) {
        const { code, stdout, stderr } = await server.run([name, word]);
        assert.deepEqual([code, stderr], [0, ""]);
        assert.equal(stdout, `Usage: postern [-c DIR] ${name}\n\n${what}\n`);
      }
    });

    test(`${name} with a word too much does nothing`, async () => {
      const { code, stdout, stderr } = await server.run([name, "now"]);
      assert.deepEqual([code, stdout], [64, ""]);
      assert.equal(stderr, `postern: ${name}: unexpected argument "now"; see: postern ${name} --help\n`);
    });
  }

  test("after all of them the server still runs", async () => {
    const { code, stdout } = await server.run(["status"]);
    assert.equal(code, 0, stdout);
  });

  for (const name of WITH_HELP) {
    test(`${name} --help and -h are usage on standard output`, async () => {
      for (const word of ["--help", "-h"]) {
        const { code, stdout, stderr } = await server.run([name, word]);
        assert.deepEqual([code, stderr], [0, ""]);
        assert.match(stdout, new RegExp(`^usage: postern .*${name}`, "i"));
      }
    });
  }

  for (const words of [
    ["queue", "delete", "ALL", "--help"],
    ["queue", "list", "-h"],
    ["dkim", "rotate", "a.test", "-h"],
  ]) {
    test(`${words.join(" ")} is usage, too`, async () => {
      const { code, stdout } = await server.run(words);
      assert.equal(code, 0);
      assert.match(stdout, /^Usage: postern /);
    });
  }

  const WITHOUT = [
    ["check", 1],
    ["start", 78],
    ["flush", 78],
    ["queue list", 78],
    ["user list", 78],
    ["dkim list", 78],
    ["trace 4ABCDEF12345678", 78],
    ["verify", 78],
    ["selftest", 78],
    ["autoconfig a.test", 78],
    ["dns check a.test", 78],
    ["logrotate", 78],
  ] as const;
  for (const [words, want] of WITHOUT) {
    test(`${words} without a configuration says which file is missing, and how to name another`, async () => {
      const { code, stdout, stderr } = await server.run(["-c", empty, ...words.split(" ")]);
      assert.equal(code, want, stderr);
      const said = `main.cf:1: error: open ${empty}/main.cf: No such file or directory; name its directory: postern -c DIR`;
      assert.ok(`${stdout}${stderr}`.includes(said), `${stdout}${stderr}`);
    });
  }

  test("as another user: what may not be read or written is named, with exit 77; check says what it has not seen", () => {
    if (OTHER_UID === undefined) return; // may read and write all of this
    const asOther = (...args: string[]) =>
      spawnSync(process.execPath, [...server.words(args)], { encoding: "utf8", uid: OTHER_UID, gid: OTHER_UID });
    const keys = asOther("dkim", "generate", "a.test");
    assert.deepEqual(
      [keys.status, keys.stderr],
      [77, `postern: dkim: ${server.directory}/dkim/a.test: permission denied; run it as root\n`],
    );
    server.write("hidden", "");
    chmodSync(join(server.directory, "hidden"), 0o600);
    const main = readFileSync(join(server.directory, "main.cf"), "utf8");
    server.append("main.cf", "smtpd_client_restrictions = check_client_access texthash:$config_directory/hidden\n");
    const said = "postern: check: you may not read all files; run it as root\n";
    assert.ok(asOther("check").stdout.includes(said));
    server.write("main.cf", main);
    assert.ok(!asOther("check").stdout.includes(said));
  });

  test("as another user: queue list and shape are what everybody may see, and end well", () => {
    for (const [verb, want] of [
      ["list", /^No message\.\n$/],
      ["shape", /./],
    ] as const) {
      const words = [...server.words(["queue", verb])];
      const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8", uid: OTHER_UID });
      assert.deepEqual([status, stderr], [0, ""]);
      assert.match(stdout, want);
    }
  });

  test("-c without a directory is no call for another configuration", async () => {
    const { code, stderr } = await server.run(["-c"]);
    assert.deepEqual([code, stderr], [64, "postern: -c: which directory? see: postern help\n"]);
  });

  test("a site without keys is told how to make some; of records there are none to publish", async () => {
    const path = join(server.directory, "dkim/keys");
    const list = await server.run(["dkim", "list"]);
    assert.deepEqual(
      [list.code, list.stdout, list.stderr],
      [0, "", `postern: dkim: ${path} names no key; make some: postern dkim generate DOMAIN\n`],
    );
    const dns = await server.run(["dkim", "dns", "a.test"]);
    assert.equal(dns.code, 1);
    assert.match(dns.stderr, /names no key of a\.test; make some: postern dkim generate a\.test$/m);
  });

  test("who stops a server that does not run is not told to start it", async () => {
    await server.stop();
    for (const name of ["stop", "abort"]) {
      const { code, stderr } = await server.run([name]);
      assert.deepEqual([code, stderr], [69, `postern: ${name}: the mail system is not running\n`]);
    }
    const flush = await server.run(["flush"]);
    assert.equal(flush.stderr, "postern: flush: the mail system is not running; start it: postern start\n");
  });
});
