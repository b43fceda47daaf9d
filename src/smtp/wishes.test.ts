/** smtp/wishes.test.ts: a time and a priority at the next hop, as a function and as a peer sees them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DeliverBy } from "../mail/envelope.ts";
import type { Protocol } from "./settings.ts";
import { FakePeer } from "./testdata/fake-peer.ts";
import { createWorld } from "./testdata/world.ts";
import { wishesFor } from "./wishes.ts";

const NOW = 1_800_000_000_000;

interface Row {
  /** `120;RT` of now; undefined: no time. */
  readonly by?: string;
  readonly priority?: number;
  /** What the server offers. */
  readonly offers?: Readonly<Record<string, string>>;
  readonly protocol?: Protocol;
  readonly want: string;
  readonly why: string;
}

function deliverBy(text: string | undefined): DeliverBy | undefined {
  const [, seconds, mode, trace] = /^(-?[\d.]+);([NR])(T?)$/.exec(text ?? "") ?? [];
  if (seconds === undefined) return undefined;
  return { untilMs: NOW + Number(seconds) * 1000, mode: mode as "N" | "R", trace: trace === "T" };
}

const BY = { DELIVERBY: "" };
const rows: readonly Row[] = [
  { want: "", why: "nothing asked" },
  { by: "120;R", offers: BY, want: " BY=120;R", why: "BY-04 the time that is left" },
  { by: "119.9;RT", offers: BY, want: " BY=119;RT report", why: "BY-05 traced: each step is reported" },
  { by: "120;N", offers: BY, want: " BY=120;N delay", why: "BY-04 told of a delay: NOTIFY has DELAY" },
  { by: "-30;N", offers: BY, want: " BY=-30;N delay", why: "BY-04 late already" },
  { by: "-2000000000;N", offers: BY, want: " BY=-999999999;N delay", why: "BY-04 nine digits" },
  { by: "60;R", offers: { DELIVERBY: "60" }, want: " BY=60;R", why: "BY-04 the least that it takes" },
  {
    by: "59;R",
    offers: { DELIVERBY: "60" },
    want: "5.4.7 host mx takes at least 60 seconds, and only 59 are left",
    why: "BY-04 less",
  },
  { by: "59;N", offers: { DELIVERBY: "60" }, want: " BY=59;N delay", why: "BY-04 the least is for R" },
  { by: "59;R", offers: { DELIVERBY: "soon" }, want: " BY=59;R", why: "a minimum that is none" },
  { by: "120;R", want: "5.4.7 DELIVERBY is required, but was not offered by host mx", why: "BY-04 R needs it" },
  { by: "120;N", want: " report", why: "BY-04 N goes on, and its sender is told" },
  { by: "0.5;R", offers: BY, want: "5.4.7 delivery time expired", why: "BY-04 R with nothing left" },
  { by: "120;R", protocol: "lmtp", want: "", why: "LMTP is the end of the way" },
  { by: "120;NT", protocol: "lmtp", want: "", why: "LMTP: delivered, not relayed" },
  { by: "0;R", protocol: "lmtp", want: "5.4.7 delivery time expired", why: "LMTP too late" },
  { priority: 5, offers: { "MT-PRIORITY": "" }, want: " MT-PRIORITY=5", why: "PRI-04 passed on" },
  { priority: -9, offers: { "MT-PRIORITY": "NSEP" }, want: " MT-PRIORITY=-9", why: "PRI-04 whatever its profile" },
  { priority: 0, offers: { "MT-PRIORITY": "" }, want: " MT-PRIORITY=0", why: "PRI-04 zero was asked" },
  { priority: 5, want: "", why: "PRI-04 dropped where it is not known" },
  { by: "9;N", priority: 1, offers: { ...BY, "MT-PRIORITY": "" }, want: " BY=9;N MT-PRIORITY=1 delay", why: "both" },
  {
    by: "9;N",
    priority: 1,
    protocol: "lmtp",
    offers: { "MT-PRIORITY": "" },
    want: " MT-PRIORITY=1",
    why: "LMTP with a priority",
  },
];
for (const { by, priority, offers = {}, protocol = "smtp", want, why } of rows) {
  test(`wishesFor() ${why}: ${by ?? ""} ${priority ?? ""}`, () => {
    const at = { features: new Map(Object.entries(offers)), host: "mx", protocol, nowMs: NOW };
    const { unfit, parameters, reportRelay, notifyDelay } = wishesFor({ deliverBy: deliverBy(by), priority }, at);
    const shown = `${parameters}${notifyDelay ? " delay" : ""}${reportRelay ? " report" : ""}`;
    assert.equal(unfit ? `${unfit.dsn} ${unfit.text}` : shown, want);
    assert.equal(unfit?.unfit, unfit && unfit.text !== "delivery time expired" ? true : undefined);
  });
}

test("wishesFor() BY-04: a time of mode R is never passed on as none", () => {
  const seconds = fc.double({ min: -2e9, max: 2e9, noNaN: true });
  fc.assert(
    fc.property(seconds, fc.constantFrom("", "60"), (s, minimum) => {
      const at = { features: new Map([["DELIVERBY", minimum]]), host: "mx", protocol: "smtp", nowMs: NOW } as const;
      const wishes = wishesFor({ deliverBy: { untilMs: NOW + s * 1000, mode: "R", trace: false } }, at);
      return wishes.unfit !== undefined || /^ BY=[1-9]\d{0,8};R$/.test(wishes.parameters);
    }),
  );
});

const inAnHour = (mode: "N" | "R"): DeliverBy => ({ untilMs: Date.now() + 3_600_000, mode, trace: false });

test("BY-04, PRI-04: a hop that knows them gets both, pipelined or not, and the wish to hear of a delay", async () => {
  for (const features of [
    ["DELIVERBY", "MT-PRIORITY", "DSN"],
    ["DELIVERBY", "MT-PRIORITY", "DSN", "PIPELINING"],
  ]) {
    const peer = await FakePeer.start({ features });
    const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}` });
    try {
      const wishes = { deliverBy: inAnHour("N"), priority: 3 };
      const [outcome] = await world.deliver({ recipients: ["a@far.test"], wishes });
      assert.deepEqual([outcome?.kind, outcome?.reportRelay], ["sent", undefined]);
      assert.match(peer.commands().join("\n"), /^MAIL FROM:<sender@example\.org> BY=3[56]\d\d;N MT-PRIORITY=3$/m);
      assert.match(peer.commands().join("\n"), /^RCPT TO:<a@far\.test> ORCPT=\S+ NOTIFY=FAILURE,DELAY$/m);
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  }
});

test("BY-04: a hop without DELIVERBY never hears of a message that must be in time; of another it does", async () => {
  const peer = await FakePeer.start({ features: ["DSN"] });
  const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}` });
  try {
    const [refused] = await world.deliver({ recipients: ["a@far.test"], wishes: { deliverBy: inAnHour("R") } });
    assert.deepEqual([refused?.kind, refused?.dsn], ["bounced", "5.4.7"]);
    assert.ok(!peer.commands().some((command) => command.startsWith("MAIL")));
    const [relayed] = await world.deliver({ recipients: ["a@far.test"], wishes: { deliverBy: inAnHour("N") } });
    assert.deepEqual([relayed?.kind, relayed?.reportRelay], ["sent", true]);
    assert.ok(!peer.commands().some((command) => command.includes("BY=")));
  } finally {
    await world.agent.close();
    await peer.stop();
  }
});

test("BY-04: where one host does not offer DELIVERBY the next one is asked", async () => {
  const deaf = await FakePeer.start({ features: [] });
  const good = await FakePeer.start({ features: ["DELIVERBY"] });
  const world = createWorld({ nexthop: `[127.0.0.1]:${deaf.port}, [127.0.0.1]:${good.port}` });
  try {
    const [outcome] = await world.deliver({ recipients: ["a@far.test"], wishes: { deliverBy: inAnHour("R") } });
    assert.equal(outcome?.kind, "sent");
    assert.deepEqual([deaf.messages.length, good.messages.length], [0, 1]);
  } finally {
    await world.agent.close();
    await deaf.stop();
    await good.stop();
  }
});

test("PRI-04: postern_priority_tunnel puts the priority in front of the header, only where MT-PRIORITY is not known", async () => {
  for (const [features, settings, want] of [
    [[], { postern_priority_tunnel: "yes" }, "MT-Priority: -3\r\nSubject: hi\r\n\r\nhello\r\n"],
    [["MT-PRIORITY"], { postern_priority_tunnel: "yes" }, "Subject: hi\r\n\r\nhello\r\n"],
    [[], {}, "Subject: hi\r\n\r\nhello\r\n"],
  ] as const) {
    const peer = await FakePeer.start({ features });
    const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}`, settings });
    try {
      await world.deliver({ recipients: ["a@far.test"], wishes: { priority: -3 } });
      assert.equal(peer.messages[0]?.toString(), want);
      assert.ok(peer.commands().every((command) => !command.includes("PRIORITY=") || features.length > 0));
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  }
});
