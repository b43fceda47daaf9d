/** admin/policy-fetch.test.ts: a policy from a real HTTPS server on loopback. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { policyFetch } from "./policy-fetch.ts";

function pem(name: string): Buffer {
  return readFileSync(new URL(`../net/testdata/servers/${name}`, import.meta.url));
}

const CASES = [
  { want: { text: "version: STSv1\n" }, why: "a policy" },
  { status: 404, want: { problem: "the web server answers 404" }, why: "none" },
  { status: 301, want: { problem: "the web server answers 301" }, why: "RFC 8461 §3.3: redirects are not followed" },
  { type: "text/html", want: { problem: 'the media type is "text/html", not text/plain' }, why: "a web page" },
  { body: "x".repeat(70_000), want: { problem: "answer larger than 65536 bytes" }, why: "a large file" },
  { certificate: "mx.pem", want: /^its certificate is not accepted: /, why: "a certificate for another name" },
  { certificate: "expired.pem", want: /^its certificate is not accepted: /, why: "a certificate that has ended" },
];
for (const { status = 200, type = "text/plain; charset=utf-8", body = "version: STSv1\n", ...c } of CASES) {
  test(`policyFetch() ${c.why}`, { timeout: 20_000 }, async () => {
    const material = pem(c.certificate ?? "sts.pem");
    const server = createServer({ key: material, cert: material }, (_request, response) => {
      response.writeHead(status, { "content-type": type, location: "/elsewhere" });
      response.end(body);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const fetch = policyFetch({ clock: systemClock, port, authorities: () => [pem("root.pem").toString()] });
    const found = await fetch("mta-sts.sts.test", ["127.0.0.1"]);
    server.close();
    if (c.want instanceof RegExp) assert.match("problem" in found ? found.problem : "", c.want);
    else assert.deepEqual(found, c.want);
  });
}

test("policyFetch() says that there is no web server", async () => {
  const fetch = policyFetch({ clock: systemClock, port: 9, authorities: () => [] });
  assert.match(JSON.stringify(await fetch("mta-sts.sts.test", ["127.0.0.1"])), /ECONNREFUSED/);
});
