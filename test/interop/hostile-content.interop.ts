/** One line of 1 GB through a real server: the memory of the process that takes it does not grow with it, whether the line is left
 *  alone or shortened. A small one is in src/cleanup/hostile.test.ts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { freePort, TestServer } from "../testbed/server.ts";

const PIECE = Buffer.alloc(1 << 18, "x");
/** 1 GB, or 128 MB for CI. */
const PIECES = process.env["POSTERN_TEST_SHORT"] ? 512 : 4096;
/** Peak minus before; the bytes of one line would be 16 times that, or twice. */
const MOST_MIB = 64;

describe("a line of 1 GB or, for CI, 128 MB", { concurrency: false, timeout: 540_000 }, () => {
  let server: TestServer;
  let ports: { fix: number; off: number };
  before(async () => {
    ports = { fix: await freePort(), off: await freePort() };
    server = new TestServer({
      mainCf: `mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
local_header_rewrite_clients = permit_mynetworks
message_size_limit = 0
default_transport = discard
postern_workers = 1
smtpd_timeout = 300s`,
      masterCf:
        `${ports.fix} inet n - n - - smtpd\n` +
        `${ports.off} inet n - n - - smtpd -o postern_submission_checks=long_body:off\n`,
    });
    await server.start();
    // What every process needs at its first message.
    for (const port of Object.values(ports)) await send(port, 16);
  });
  after(() => server?.[Symbol.asyncDispose]());

  const peakMib = (pid: number) =>
    Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) / 1024;
  const workerPid = () => Number(/cleanup\[(\d+)\]: [0-9A-F]+: message-id/.exec(server.log())?.[1]);

  for (const service of ["off", "fix"] as const) {
    test(`long_body:${service} costs bounded memory (LIM-12, DAT-08)`, async (t) => {
      const pid = workerPid();
      const beforeMib = peakMib(pid);
      const started = performance.now();
      const reply = await send(ports[service], PIECES);
      assert.match(reply, /^250 2\.0\.0 Ok: queued as /);
      const grown = peakMib(pid) - beforeMib;
      t.diagnostic(`${grown.toFixed(1)} MiB more at the peak, ${((performance.now() - started) / 1000).toFixed(1)} s`);
      assert.ok(grown < MOST_MIB, `${grown} MiB`);
      const id = reply.split(" ").at(-1);
      if (service === "fix") await server.logged(new RegExp(`${id}: changes: .*body encoded`));
      else assert.ok(!server.log().includes(`${id}: changes: body`));
    });
  }
});

/** Resolves to the reply to the end of data. */
async function send(port: number, pieces: number): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  const until = async (code: string) => {
    while (!text.includes(`\r\n${code}`) && !text.startsWith(code)) await once(socket, "data");
    text = "";
  };
  await until("220 ");
  for (const line of ["EHLO c", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>"]) {
    socket.write(`${line}\r\n`);
    await until("250 ");
  }
  socket.write("DATA\r\n");
  await until("354 ");
  socket.write("Subject: long\r\n\r\n");
  for (let i = 0; i < pieces; i++) if (!socket.write(PIECE)) await once(socket, "drain");
  socket.write("\r\n.\r\n");
  while (!/^\d{3} .*\r\n/m.test(text)) await once(socket, "data");
  socket.destroy();
  return text.trim();
}
