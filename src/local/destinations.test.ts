/** Right-hand sides of aliases. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Destination, parseDestinationLines, parseDestinations } from "./destinations.ts";

function shown(destination: Destination): string {
  switch (destination.kind) {
    case "address":
    case "mailbox":
      return `${destination.kind} ${destination.address}`;
    case "command":
      return `command ${destination.command}`;
    case "invalid":
      return `invalid ${destination.text}`;
    default:
      return `${destination.kind} ${destination.path}`;
  }
}

const CASES = [
  { in: "root", want: ["address root"], why: "a name" },
  { in: "a@x.test, b@y.test", want: ["address a@x.test", "address b@y.test"], why: "two addresses" },
  { in: "a b", want: ["address a", "address b"], why: "blanks stand between names, as in virtual(5)" },
  { in: "Joe <joe@x.test>, Ann <ann@y.test>", want: ["address joe@x.test", "address ann@y.test"], why: "phrases" },
  { in: '"o, neil"@x.test', want: ["address o, neil@x.test"], why: "a comma in quotes" },
  { in: "\\alice, bob", want: ["mailbox alice", "address bob"], why: "a backslash" },
  { in: "\\alice@here.test", want: ["mailbox alice@here.test"], why: "a backslash and a domain" },
  { in: "<\\alice>", want: ["mailbox alice"], why: "a backslash in brackets" },
  { in: "|/bin/prog", want: ["command /bin/prog"], why: "a command" },
  { in: '"|/bin/prog -x, y \\"z\\""', want: ['command /bin/prog -x, y "z"'], why: "a quoted command" },
  { in: "/var/mail/x", want: ["file /var/mail/x"], why: "a file" },
  { in: '"/var/mail/x y"', want: ["file /var/mail/x y"], why: "a quoted file" },
  { in: "~/Mail/", want: ["file ~/Mail/"], why: "a file in the home directory" },
  { in: ":include:/etc/list", want: ["include /etc/list"], why: "an include file" },
  { in: ':Include: "/etc/my list"', want: ["include /etc/my list"], why: "quoted, in any case" },
  { in: '":include:/etc/list", a', want: ["include /etc/list", "address a"], why: "quoted as a whole" },
  { in: ":include:list", want: ["include list"], why: "a relative one, which others refuse" },
  { in: " , ,", want: [], why: "nothing" },
  { in: "a@x.test (the boss, really)", want: ["address a@x.test"], why: "a comma in a comment" },
  { in: "@", want: ["invalid @"], why: "no address" },
  { in: "@x.test, a@", want: ["invalid @x.test", "invalid a@"], why: "half an address" },
  { in: "(nobody)", want: ["invalid (nobody)"], why: "only a comment" },
  { in: '"|x', want: ["address |x"], why: "an open quotation mark" },
];
for (const c of CASES) {
  test(`parseDestinations() ${c.why}: ${c.in}`, () => assert.deepEqual(parseDestinations(c.in).map(shown), c.want));
}

test("parseDestinationLines() leaves out comments and reads each line alone", () => {
  const text = 'one, two\r\n# three, four\n\n  #five\n"open\nsix\n';
  assert.deepEqual(parseDestinationLines(text).map(shown), [
    "address one",
    "address two",
    "address open",
    "address six",
  ]);
});

test("parseDestinations() takes any text, and every piece of it", () => {
  const text = fc.string({ unit: fc.constantFrom(...'ab,"\\<>|/:(@). \n'), maxLength: 40 });
  fc.assert(
    fc.property(text, text, (a, b) => {
      const whole = parseDestinations(`${a},${b}`);
      for (const { kind } of whole) assert.ok(kind.length > 0);
      // Where no quotation, bracket or backslash is open, a comma separates for certain.
      if (!/["<\\(]/.test(a + b)) {
        assert.deepEqual(whole.map(shown), [...parseDestinations(a), ...parseDestinations(b)].map(shown));
      }
    }),
  );
});
