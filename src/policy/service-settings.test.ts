/** Tests of policy/service-settings.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ParameterError, parametersOf } from "../config/parameters.ts";
import { parseServiceSettings } from "./service-settings.ts";

const params = parametersOf({ queue_directory: "/var/spool/postern", smtpd_policy_service_timeout: "7s" });
const parse = (argument: string) => parseServiceSettings(argument, params);

for (const c of [
  { in: "inet:127.0.0.1:10023", want: { kind: "tcp", host: "127.0.0.1", port: 10023 }, why: "host and port" },
  { in: "inet:[::1]:10023", want: { kind: "tcp", host: "::1", port: 10023 }, why: "IPv6" },
  { in: "inet:10023", want: { kind: "tcp", host: "localhost", port: 10023 }, why: "port alone is this machine" },
  {
    in: "unix:private/policy",
    want: { kind: "unix", path: "/var/spool/postern/private/policy" },
    why: "relative path",
  },
  { in: "unix:/run/p", want: { kind: "unix", path: "/run/p" }, why: "absolute path" },
  { in: "{ inet:h:1, timeout=1s }", want: { kind: "tcp", host: "h", port: 1 }, why: "in braces" },
]) {
  test(`parseServiceSettings() ${c.why}: ${c.in}`, () => assert.deepEqual(parse(c.in).target, c.want));
}

test("parseServiceSettings() takes what the restriction says before the parameters", () => {
  const settings = parse(
    "{ inet:127.0.0.1:9998, timeout=10s default_action=DUNNO, { policy_context = the submission door } max_idle=2m,max_ttl=1h, request_limit=5, retry_delay=3, try_limit=1 }",
  );
  assert.deepEqual(
    { ...settings, target: undefined },
    {
      name: "inet:127.0.0.1:9998",
      endpoint: "127.0.0.1:9998",
      target: undefined,
      timeoutMs: 10_000,
      maxIdleMs: 120_000,
      maxTtlMs: 3_600_000,
      requestLimit: 5,
      tryLimit: 1,
      retryDelayMs: 3000,
      connectionLimit: 32,
      lineLimitBytes: 2048,
      utf8: settings.utf8,
      defaultAction: "DUNNO",
      policyContext: "the submission door",
    },
  );
  const plain = parse("inet:127.0.0.1:9998");
  assert.deepEqual(
    [plain.timeoutMs, plain.maxIdleMs, plain.maxTtlMs, plain.requestLimit, plain.retryDelayMs, plain.tryLimit],
    [7000, 300_000, 1_000_000, 0, 1000, 2],
  );
  assert.equal(plain.defaultAction, "451 4.3.5 Server configuration problem");
  assert.equal(parse("{ unix:/p, { default_action = 451 4.3.0 Try later } }").defaultAction, "451 4.3.0 Try later");
});

for (const c of [
  { in: "postgrey", want: /need service transport:endpoint/, why: "no type" },
  { in: "hash:/etc/x", want: /invalid transport name: hash/, why: "a table" },
  { in: "inet:127.0.0.1", want: /bad policy service address/, why: "no port" },
  { in: "inet:127.0.0.1:0", want: /bad policy service address/, why: "port 0" },
  { in: "{ }", want: /empty policy service/, why: "nothing" },
  { in: "{ inet:h:1, timeout=1s", want: /text behind|missing/, why: "brace left open" },
  { in: "{ inet:h:1, time=1s }", want: /unknown attribute "time"/, why: "unknown name" },
  { in: "{ inet:h:1, timeout=1s, timeout=2s }", want: /twice/, why: "same name twice" },
  { in: "{ inet:h:1, timeout = 1s }", want: /missing "=" in attribute "timeout"/, why: "blanks without braces" },
  { in: "{ inet:h:1, timeout=x }", want: /bad time configuration/, why: "no time" },
  { in: "{ inet:h:1, try_limit=0 }", want: /< 1/, why: "out of range" },
]) {
  test(`parseServiceSettings() refuses ${c.why}: ${c.in}`, () => {
    assert.throws(
      () => parse(c.in),
      (error) => error instanceof ParameterError && c.want.test(error.message),
    );
  });
}
