/** Attributes of pipe services. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePipeCommand } from "./pipe-command.ts";

test("parsePipeCommand() reads every attribute", () => {
  const args =
    "flags=DRhu user=vmail:mail directory=/var/spool null_sender= eol=\\r\\n size=1000 argv=/bin/x -d ${recipient}".split(
      " ",
    );
  const { flags, argv, ...rest } = parsePipeCommand({ args });
  assert.deepEqual([...flags], ["D", "R", "h", "u"]);
  assert.deepEqual(argv, ["/bin/x", "-d", "${recipient}"]);
  assert.deepEqual(rest, {
    ...{ user: "vmail", group: "mail", directory: "/var/spool", nullSender: "", eol: "\r\n", sizeLimit: 1000 },
    unknownFlags: [],
  });
});

test("parsePipeCommand() has pipe(8)'s defaults", () => {
  const { argv: _, flags, ...rest } = parsePipeCommand({ args: ["user=vmail", "argv=/bin/x"] });
  assert.equal(flags.size, 0);
  assert.deepEqual(rest, {
    ...{ user: "vmail", group: undefined, directory: "", nullSender: "MAILER-DAEMON", eol: "\n" },
    ...{ sizeLimit: Number.POSITIVE_INFINITY, unknownFlags: [] },
  });
});

const FAILURES = [
  { args: "argv=/bin/x", want: "missing user= command-line attribute", why: "no user" },
  { args: "user= argv=/bin/x", want: "missing user= command-line attribute", why: "an empty one" },
  { args: "user=vmail", want: "missing argv= command-line attribute", why: "no command" },
  { args: "user=vmail argv=", want: "missing argv= command-line attribute", why: "an empty one" },
  {
    args: "user=vmail colour=red argv=/bin/x",
    want: "unknown attribute name: colour=red",
    why: "an unknown attribute",
  },
  { args: "user=vmail size=big argv=/bin/x", want: "bad size= value: big", why: "a size that is none" },
  { args: "user=vmail chroot=/j argv=/bin/x", want: "chroot= is not supported here", why: "a jail" },
  { args: "user=vmail argv=/bin/x ${nosuch}", want: 'unknown macro name: "nosuch"', why: "an unknown macro" },
  { args: "user=vmail argv=/bin/x ${sender", want: 'bad macro syntax: "${sender"', why: "a macro that does not end" },
  { args: "user=vmail argv=/bin/x a$", want: 'bad macro syntax: "a$"', why: "a dollar alone" },
];
for (const c of FAILURES) {
  test(`parsePipeCommand() refuses ${c.why}`, () => {
    assert.throws(() => parsePipeCommand({ args: c.args.split(" ") }), { name: "ParameterError", message: c.want });
  });
}

test("parsePipeCommand() tells unknown flags, and reads escapes as C does", () => {
  const { flags, unknownFlags, eol } = parsePipeCommand({
    args: ["user=a", "flags=Rz", "eol=\\a\\t\\101\\\\", "argv=/x"],
  });
  assert.deepEqual([[...flags], unknownFlags, eol], [["R"], ["z"], "\x07\tA\\"]);
});
