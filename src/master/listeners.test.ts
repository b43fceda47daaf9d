/** Tests of listeners.ts: where the services of a configuration listen (inet_interfaces, inet_protocols). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadSnapshot } from "../config/load.ts";
import { listenerSpecs } from "./listeners.ts";

const rows = [
  { main: "", line: "25", want: [":: 25"], why: "everything there is" },
  { main: "inet_protocols = ipv4\n", line: "25", want: ["0.0.0.0 25"], why: "IPv4" },
  { main: "inet_protocols = ipv6\n", line: "25", want: [":: 25 only"], why: "IPv6, through which no IPv4 comes" },
  { main: "", line: "25 ... -o inet_protocols=ipv6", want: [":: 25 only"], why: "the same for one service" },
  {
    main: "inet_interfaces = loopback-only\n",
    line: "127.0.0.2:2525",
    want: ["127.0.0.2 2525"],
    why: "a host of the service",
  },
  {
    main: "inet_interfaces = loopback-only\n",
    line: "submission",
    want: ["127.0.0.1 587", "::1 587"],
    why: "loopback, by the name of a service",
  },
];
for (const { main, line, want, why } of rows) {
  test(`listenerSpecs() ${why}`, async () => {
    const [name = "", options = ""] = line.split(" ... ");
    const files: Readonly<Record<string, string>> = {
      "/c/main.cf": `compatibility_level = 3.10\n${main}`,
      "/c/master.cf": `${name} inet n - n - - smtpd ${options}\n`,
    };
    const { snapshot } = await loadSnapshot({
      ...{ configDirectory: "/c", generation: 0, hostname: "mail.example.org", mailVersion: "0" },
      readFile: async (path) => {
        const text = files[path];
        if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
        return Buffer.from(text);
      },
    });
    assert.ok(snapshot);
    const { specs, problems } = listenerSpecs(snapshot, { servicesText: "", ipv6: true });
    assert.deepEqual(problems, []);
    assert.deepEqual(
      specs.map(({ host, port, ipv6Only }) => `${host} ${port}${ipv6Only ? " only" : ""}`),
      want,
    );
  });
}
