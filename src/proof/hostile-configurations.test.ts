/** Property of proof/: whatever stands in the lists, in the parameters that name domains and networks, and in tables, the
 *  proof ends in a moment, asks no server, and throws nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileAccess } from "../access/compile.ts";
import { WORDS } from "../access/words.ts";
import { systemClock } from "../base/clock.ts";
import { ParameterError } from "../config/declare.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createResolver } from "../rewrite/create.ts";
import { createTableOpener } from "../tables/open.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import { TableError } from "../tables/table.ts";
import { proofOf } from "./service.ts";

const TABLES = [
  "fail:x",
  "texthash:/none",
  "static:OK",
  "static:{permit_mynetworks, reject}",
  "inline:{a=OK, b=first}",
  "inline:{a=b, =}",
  "pcre:{{/(/ OK}}",
  "pcre:{{/(?<x>a)\\k<x>/ OK}}",
  "regexp:{{/a/ $$1}}",
  "cidr:{{1.2.3.4/33 OK}, {::/0 OK}}",
  "unionmap:{static:a,inline:{b=c}}",
  "randmap:{OK,REJECT}",
  "environ:",
  "mysql:/x",
  "ldap:x",
  "socketmap:inet:192.0.2.1:1:x",
  "nope:x",
  "proxy:static:OK",
  "{ texthash:/x { search_order = cert_fingerprint } }",
];
const OTHERS = [
  "unix:private/policy",
  "{ inet:192.0.2.1:1, timeout=1s }",
  "rbl.example=127.0.0.[2;4]",
  "5",
  "first",
  "{",
  "#",
  "!",
];
const NETWORKS = ["0.0.0.0/0", "!10.0.0.0/8", "999.1.1.1/3", "[::1]/128", "/none", "a b", ".", "!x", ""];

const rule = fc
  .tuple(fc.constantFrom(...WORDS), fc.constantFrom(...TABLES), fc.constantFrom(...OTHERS), fc.nat(9))
  .map(([{ names, argument }, table, other, odd]) => {
    if (odd === 0) return other;
    return argument === "none" ? names[0] : `${names[0]} ${argument === "table" && odd < 8 ? table : other}`;
  });
const list = fc.array(rule, { maxLength: 5 }).map((rules) => rules.join(", "));
const items = fc
  .array(fc.constantFrom(...TABLES, ...NETWORKS, "example.org"), { maxLength: 3 })
  .map((all) => all.join(", "));

const LISTS = ["client", "helo", "sender", "relay", "recipient"].map((stage) => `smtpd_${stage}_restrictions`);
const NAMES = ["mydestination", "relay_domains", "virtual_alias_domains", "mynetworks", "smtpd_sender_login_maps"];
const settings = fc.record({
  ...Object.fromEntries([...LISTS, "first", "second"].map((name) => [name, list])),
  ...Object.fromEntries([...NAMES, "relay_clientcerts", "smtpd_authorized_xclient_hosts"].map((name) => [name, items])),
  smtpd_tls_security_level: fc.constantFrom("none", "may", "encrypt"),
  smtpd_tls_req_ccert: fc.constantFrom("yes", "no"),
  smtpd_delay_reject: fc.constantFrom("yes", "no"),
  smtpd_restriction_classes: fc.constant("first, second"),
});

test("proofOf() ends well for configurations of any kind", async () => {
  await fc.assert(
    fc.asyncProperty(settings, async (main) => {
      const params = parametersOf(main as Record<string, string>);
      const log = new Log({ sink: () => undefined, now: systemClock.now, tag: "t", id: 1 });
      const files = {
        read: (path: string) => {
          throw new TableError(`no ${path}`);
        },
      };
      const tables = createTableOpener({ files, log, configDirectory: "/c" });
      try {
        const mynetworks = compileAddressList(params.get("mynetworks"), { opener: tables });
        const resolver = createResolver(params, { tables, ownAddresses: [] });
        const access = compileAccess(params, { tables, resolver, log, mynetworks });
        const at = { file: "master.cf", line: 1 };
        const input = { access, mynetworks, placeOf: () => "main.cf:1", caCertificates: 1, name: "smtp", port: 25, at };
        const started = performance.now();
        const { cells } = await proofOf(input);
        assert.equal(cells.length, 20);
        assert.ok(performance.now() - started < 2000, "in a moment");
      } catch (error) {
        if (!(error instanceof ParameterError)) throw error; // check reports it, nothing is proven
      } finally {
        await tables.close?.();
      }
    }),
    { numRuns: 150 },
  );
});
