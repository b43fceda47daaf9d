/** Tests of listener.ts: which clients a wildcard address takes. */
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { acceptOn, bindSocket, hasIpv6 } from "./listener.ts";

/** "taken", or why not. */
function connect(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, host, () => {
      socket.destroy();
      resolve("taken");
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

const rows = hasIpv6()
  ? [
      { host: "::", ipv6Only: false, four: "taken", six: "taken", why: "both families" },
      { host: "::", ipv6Only: true, four: "ECONNREFUSED", six: "taken", why: "IPv6 alone" },
      { host: "0.0.0.0", ipv6Only: false, four: "taken", six: "ECONNREFUSED", why: "IPv4 alone" },
    ]
  : [{ host: "0.0.0.0", ipv6Only: false, four: "taken", six: undefined, why: "IPv4, there is nothing else" }];
for (const { host, ipv6Only, four, six, why } of rows) {
  test(`bindSocket() of ${host} takes ${why}`, async () => {
    const bound = bindSocket(host, 0, { ipv6Only });
    const acceptor = await acceptOn(
      bound.raw,
      (socket) => socket.destroy(),
      (error) => assert.fail(error),
    );
    try {
      assert.equal(await connect("127.0.0.1", bound.port), four);
      if (six !== undefined) assert.equal(await connect("::1", bound.port), six);
    } finally {
      await acceptor.close();
      bound.close();
    }
  });
}
