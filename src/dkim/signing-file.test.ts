import assert from "node:assert/strict";
import { test } from "node:test";
import { linesFor, parseSigningFile } from "./signing-file.ts";

const TEXT = `# keys
example.org   2026a     keys/a.pem
Example.org.  old       keys/o.pem   retired
example.org   2027a     keys/n.pem   publish   # next year
.example.org  2026a-ed  keys/e.pem
.mail.example.org m     keys/m.pem
bücher.example b        keys/b.pem
`;

const CASES = [
  {
    domain: "example.org",
    selectors: ["2026a", "2026a-ed"],
    why: "all lines that name it, but those that do not sign",
  },
  { domain: "news.example.org", selectors: ["2026a-ed"], why: "a subdomain: only lines with a dot in front" },
  { domain: "a.mail.example.org", selectors: ["m"], why: "the nearest parent" },
  { domain: "mail.example.org", selectors: ["m"], why: "a line with a dot is also for the domain itself" },
  { domain: "xn--bcher-kva.example", selectors: ["b"], why: "A-labels" },
  { domain: "badexample.org", selectors: [], why: "no subdomain" },
  { domain: "org", selectors: [], why: "no parent of ours" },
];

for (const { domain, selectors, why } of CASES) {
  test(`linesFor(${domain}): ${why}`, () => {
    const { lines, problems } = parseSigningFile(TEXT);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      linesFor(domain, lines).map(({ selector }) => selector),
      selectors,
    );
  });
}

const WRONG = [
  { line: "example.org s", text: /want: domain selector key-file/, why: "no key" },
  { line: "example.org s k.pem sign more", text: /want: domain/, why: "too many words" },
  { line: "org s k.pem", text: /"org" is no domain name/, why: "a top-level domain" },
  { line: "ex_ample.org s k.pem", text: /is no domain name/, why: "an underscore" },
  { line: "example.org s;t k.pem", text: /is no selector/, why: "would end the tag in the signature" },
  { line: "example.org s k.pem on", text: /"on": want publish, sign or retired/, why: "an unknown state" },
];

for (const { line, text, why } of WRONG) {
  test(`parseSigningFile() tells the line, and keeps the others: ${why}`, () => {
    const { lines, problems } = parseSigningFile(`\n${line}\nexample.net s k.pem\n`);
    assert.deepEqual([problems.length, problems[0]?.line, lines.length], [1, 2, 1]);
    assert.match(problems[0]?.text ?? "", text);
  });
}
