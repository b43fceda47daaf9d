/** admin/live-listener.test.ts: what is said of services that are not what documents say, over real sockets. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { makeSelfSigned, type SelfSigned } from "../net/self-signed.ts";
import type { AccountServer } from "./account.ts";
import { askListener, shownCertificate } from "./live-listener.ts";
import { CLEAR, closeTlsServers, lastTlsServer, type Script, startTlsServer } from "./testdata/tls-server.ts";

let good: SelfSigned;
let other: SelfSigned;
before(() => {
  good = makeSelfSigned(["mail.example.org"], Date.now());
  other = makeSelfSigned(["other.example.org"], Date.now());
});
after(closeTlsServers);

const CASES: readonly (Script & {
  readonly security: AccountServer["security"];
  readonly foreign?: boolean;
  readonly want: RegExp | undefined;
  readonly why: string;
})[] = [
  { security: "tls", want: undefined, why: "all as it should be" },
  { security: "starttls", clear: CLEAR, want: undefined, why: "the same behind STARTTLS" },
  { security: "starttls", clear: "250 x\r\n", want: /^does not offer STARTTLS$/, why: "TLS is not offered" },
  {
    security: "starttls",
    clear: CLEAR,
    startTls: "454 no\r\n",
    want: /^refuses STARTTLS: 454 no$/,
    why: "and refused",
  },
  { security: "tls", foreign: true, want: /not for mail\.example\.org but for DNS:other/, why: "another name" },
  { security: "starttls", clear: CLEAR, foreign: true, want: /not for mail/, why: "another name behind STARTTLS" },
  { security: "tls", secure: "250 x\r\n", want: /^does not offer AUTH over TLS$/, why: "no AUTH" },
  {
    security: "tls",
    secure: "250-x\r\n250 AUTH LOGIN\r\n",
    want: /offers AUTH LOGIN, not PLAIN/,
    why: "other mechanisms",
  },
  { security: "tls", greeting: "554 busy\r\n", want: /^greets with 554 busy$/, why: "nobody is welcome" },
  { security: "tls", greeting: "220 \x1b[31m\r\n", want: undefined, why: "an odd greeting is no harm" },
];
for (const c of CASES) {
  test(`askListener() ${c.why}`, { timeout: 20_000 }, async () => {
    const port = await startTlsServer(c, c.foreign ? other : good, c.security === "tls");
    const server: AccountServer = {
      ...{ protocol: "smtp", host: "mail.example.org", port, security: c.security },
      mechanisms: ["PLAIN"],
    };
    const deadlines = new Deadlines(systemClock);
    const findings = await askListener({ server, address: "127.0.0.1", deadlines, clock: systemClock });
    const errors = findings.filter(({ severity }) => severity === "error").map(({ text }) => text);
    if (c.want === undefined) assert.deepEqual(errors, []);
    else assert.match(errors.join("\n"), c.want);
  });
}

test("askListener() says that nobody listens, and that the certificate is self-signed", async () => {
  const port = await startTlsServer({}, good, true);
  const server: AccountServer = {
    ...{ protocol: "smtp", host: "mail.example.org", port, security: "tls" },
    mechanisms: [],
  };
  const ask = () =>
    askListener({ server, address: "127.0.0.1", deadlines: new Deadlines(systemClock), clock: systemClock });
  assert.match((await ask()).map(({ severity, text }) => `${severity} ${text}`).join(), /^warning has a self-signed/);
  const listening = lastTlsServer();
  await new Promise((resolve) => listening?.close(resolve));
  assert.match((await ask())[0]?.text ?? "", /^does not answer: Connection refused$/);
});

test("askListener() knows a certificate that ends soon, and one that has ended", async () => {
  const YEARS_MS = 3650 * 86_400_000;
  const port = await startTlsServer({}, good, true);
  const server: AccountServer = {
    ...{ protocol: "smtp", host: "mail.example.org", port, security: "tls" },
    mechanisms: [],
  };
  const at = (ms: number) => ({ ...systemClock, now: () => systemClock.now() + ms });
  const ask = (ms: number) =>
    askListener({ server, address: "127.0.0.1", deadlines: new Deadlines(systemClock), clock: at(ms) });
  assert.match((await ask(YEARS_MS - 86_400_000)).map(({ text }) => text).join(), /certificate that ends on/);
  assert.match((await ask(YEARS_MS + 86_400_000)).map(({ text }) => text).join(), /certificate that ended on/);
});

test("shownCertificate() is that of the handshake; none where there is no TLS and where nobody listens", async () => {
  const deadlines = new Deadlines(systemClock);
  const ask = async (port: number) =>
    shownCertificate({ address: "127.0.0.1", port, host: "mail.example.org" }, deadlines);
  const chain = await ask(await startTlsServer({ clear: CLEAR }, good, false));
  assert.equal(chain?.length, 1);
  assert.match(chain?.[0]?.subjectAltName ?? "", /DNS:mail\.example\.org/);
  const port = await startTlsServer({ clear: CLEAR, startTls: "454 no\r\n" }, good, false);
  assert.equal(await ask(port), undefined);
  await new Promise((resolve) => lastTlsServer()?.close(resolve));
  assert.equal(await ask(port), undefined);
});
