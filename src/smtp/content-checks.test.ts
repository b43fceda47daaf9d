/** smtp_header_checks and its like, as the next hop sees them; test/interop/checks.interop.ts compares with Postfix. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld } from "./testdata/world.ts";

const TABLE = {
  "A: ignore": "IGNORE",
  "A: strip": "STRIP gone",
  "A: prepend": "PREPEND X: y",
  "A: replace": "REPLACE From: in@here.test",
  "A: warn\n b": "WARN w",
  "A: hold": "HOLD",
  "A: empty": "",
  "Content-Id: x": "IGNORE",
  "Subject: n": "REPLACE Subject: m",
  "a line": "REPLACE .b",
};
const SETTINGS = {
  smtp_header_checks: "texthash:/t",
  smtp_mime_header_checks: "texthash:/t",
  smtp_nested_header_checks: "texthash:/t",
  smtp_body_checks: "texthash:/t",
  smtp_generic_maps: "texthash:/g",
};

interface Case {
  readonly why: string;
  readonly content: string;
  readonly want: string;
  readonly log?: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
}

async function delivered({ content, settings = SETTINGS }: Pick<Case, "content" | "settings">, step: number) {
  const peer = await FakePeer.start({ features: ["PIPELINING"] });
  const world = createWorld({
    nexthop: `[127.0.0.1]:${peer.port}`,
    settings,
    tables: { "texthash:/t": TABLE, "texthash:/g": { "in@here.test": "out@far.test" } },
  });
  try {
    const bytes = Buffer.from(content, "latin1");
    const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, i) =>
      bytes.subarray(i * step, (i + 1) * step),
    );
    const outcomes = await world.deliver({ content: chunks });
    const told = outcomes.map(({ kind, dsn, text }) => `${kind} ${dsn} ${text}`);
    return { told, message: contentOf(peer), lines: world.lines, connections: peer.connections };
  } finally {
    await world.agent.close();
    await peer.stop();
  }
}

/** Dot-stuffing removed. */
function contentOf(peer: FakePeer): string | undefined {
  return peer.messages[0]?.toString("latin1").replace(/^\.\./gm, ".");
}

const cases: readonly Case[] = [
  {
    why: "no rule matches: every byte stays",
    content: "X : y\r\n z\r\n\r\n.\r\nb\xff\r\n",
    want: "X : y\r\n z\r\n\r\n.\r\nb\xff\r\n",
  },
  { why: "no empty line", content: "X: y\r\n", want: "X: y\r\n\r\n" },
  {
    why: "IGNORE and STRIP",
    content: "A: ignore\r\nA: strip\r\n\r\n",
    want: "\r\n",
    log: ["4CAFE: strip: header A: strip: gone"],
  },
  {
    why: "PREPEND",
    content: "A: prepend\r\n\r\n",
    want: "X: y\r\nA: prepend\r\n\r\n",
    log: ["4CAFE: prepend: header A: prepend: X: y"],
  },
  {
    why: "REPLACE, then generic maps",
    content: "A: replace\r\n\r\n",
    want: "From: out@far.test\r\n\r\n",
    log: ["4CAFE: replace: header A: replace: From: in@here.test"],
  },
  {
    why: "WARN",
    content: "A: warn\r\n b\r\n\r\n",
    want: "A: warn\r\n b\r\n\r\n",
    log: ["4CAFE: warning: header A: warn? b: w"],
  },
  {
    why: "what is too late",
    content: "A: hold\r\n\r\n",
    want: "A: hold\r\n\r\n",
    log: ["unsupported command in smtp_header_checks map: HOLD"],
  },
  {
    why: "fields of parts, an enclosed message, and a body line that begins with a dot",
    content: "Content-Type: message/rfc822\r\n\r\nContent-Id: x\r\nSubject: n\r\n\r\na line\r\n",
    want: "Content-Type: message/rfc822\r\n\r\nSubject: m\r\n\r\n.b\r\n",
    log: ["4CAFE: replace: header Subject: n: Subject: m", "4CAFE: replace: body a line: .b"],
  },
  {
    why: "the body alone",
    content: "A: ignore\r\n\r\na line\r\n",
    settings: { smtp_body_checks: "texthash:/t" },
    want: "A: ignore\r\n\r\n.b\r\n",
    log: ["4CAFE: replace: body a line: .b"],
  },
];
for (const c of cases) {
  test(`smtp_header_checks: ${c.why}`, async () => {
    for (const step of [1000, 1]) {
      const { told, message, lines } = await delivered(c, step);
      assert.match(told[0] ?? "", /^sent 2\.0\.0 /);
      assert.equal(message, c.want);
      assert.deepEqual(lines, c.log ?? []);
    }
  });
}

test("a table that fails defers the mail in the middle of it", async () => {
  for (const [content, settings] of [
    ["A: empty\r\n\r\nb\r\n", SETTINGS],
    ["X: y\r\n\r\nb\r\n", { smtp_body_checks: "texthash:/none" }],
  ] as const) {
    const { told, message, connections } = await delivered({ content, settings }, 1000);
    assert.deepEqual(told, ["deferred 4.3.0 local data error while talking to 127.0.0.1[127.0.0.1]"]);
    assert.deepEqual([message, connections], [undefined, 1]);
  }
});

/** A message, then one whose body cannot be checked, over the session of the first if it is kept. */
async function failSecond(script: PeerScript) {
  const peer = await FakePeer.start(script);
  const other = await FakePeer.start();
  const world = createWorld({
    nexthop: `[127.0.0.1]:${peer.port}, [127.0.0.1]:${other.port}`,
    settings: { smtp_body_checks: "texthash:/t" },
    tables: { "texthash:/t": { broken: "" } },
  });
  try {
    const told = [];
    for (const body of ["well", "broken"]) {
      const [outcome] = await world.deliver({ content: `X: y\r\n\r\n${body}\r\n` });
      told.push(`${outcome?.kind} ${outcome?.dsn}`);
    }
    return { told, connections: [peer.connections, other.connections], messages: peer.messages.length };
  } finally {
    await world.agent.close();
    await Promise.all([peer.stop(), other.stop()]);
  }
}

test("a table that fails on a kept session asks for no other session and no other host", async () => {
  const told = ["sent 2.0.0", "deferred 4.3.0"];
  assert.deepEqual(await failSecond({}), { told, connections: [1, 0], messages: 1 });
});

test("a server that says 250 before the end does not make half a message sent", async () => {
  let asked = 0;
  const answer = (command: string) => (command === "DATA" && ++asked === 2 ? "354 go\r\n250 2.0.0 early" : undefined);
  assert.deepEqual((await failSecond({ answer })).told, ["sent 2.0.0", "deferred 4.3.0"]);
});

test("lmtp has rules of its own", async () => {
  const peer = await FakePeer.start({ lmtp: true });
  const world = createWorld({
    nexthop: `inet:127.0.0.1:${peer.port}`,
    settings: { lmtp_body_checks: "texthash:/t", smtp_body_checks: "texthash:/none" },
    tables: { "texthash:/t": TABLE },
    protocol: "lmtp",
  });
  try {
    const [outcome] = await world.deliver({ content: "X: y\r\n\r\na line\r\n" });
    assert.equal(outcome?.kind, "sent");
    assert.match(contentOf(peer) ?? "", /\r\n\r\n\.b\r\n$/);
  } finally {
    await world.agent.close();
    await peer.stop();
  }
});
