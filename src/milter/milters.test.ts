/** A scripted Milter that says everything there is to say, at every step, cut at every byte; and that fails in every state. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { eventually } from "../../test/testbed/eventually.ts";
import { type MilterScript, numbered, type ScriptedMilter, startMilter } from "../../test/testbed/scripted-milter.ts";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createTableOpener } from "../tables/open.ts";
import type { Answer } from "./answer.ts";
import { MessageEdits, type MilterField } from "./edits.ts";
import { createMilters, type MilterSession } from "./milters.ts";

const deadlines = new Deadlines(systemClock);
const logged: string[] = [];
const log = new Log({ sink: ({ text }) => logged.push(text), now: () => 0, tag: "postfix/smtpd", id: 1 });
const tables = createTableOpener({ files: { read: () => Buffer.alloc(0) }, log, configDirectory: "/" });
const running: ScriptedMilter[] = [];
after(async () => {
  for (const milter of running) await milter.close();
});

async function milterWith(script: MilterScript): Promise<ScriptedMilter> {
  const milter = await startMilter(script);
  running.push(milter);
  return milter;
}

interface Setup {
  readonly settings?: Readonly<Record<string, string>>;
  readonly client?: string;
}

async function sessionWith(milters: string, { settings = {}, client = "192.0.2.1" }: Setup = {}) {
  const params = parametersOf({ queue_directory: "/q", smtpd_milters: milters, ...settings });
  return createMilters(params, { deadlines, tables })?.newSession(
    (name) => (name === "i" ? "ID" : undefined),
    log,
    client,
  );
}

const FIELDS: readonly MilterField[] = [
  { name: "received", text: "Received: ours" },
  { name: "subject", text: "Subject: s" },
  { name: "x-a", text: "X-A: 1" },
  { name: "x-a", text: "X-A: 2" },
];

/** A body in memory. */
function bodyOf(text: string) {
  let current: readonly Buffer[] = [Buffer.from(text)];
  let next: readonly Buffer[] | undefined;
  return {
    chunks: () => current,
    async replace(chunk: Uint8Array) {
      next = [...(next ?? []), Buffer.from(chunk)];
    },
    async settled() {
      current = next ?? current;
      next = undefined;
    },
    async dropNew() {
      next = undefined;
    },
    text: () => Buffer.concat(current).toString("latin1"),
  };
}

type Step = "C" | "H" | "M" | "R" | "T" | "E";

/** All steps of a session with one message, until one does not continue. */
async function converse(session: MilterSession, body = bodyOf("body\r\n")) {
  const edits = new MessageEdits(FIELDS, FIELDS[0]);
  const steps: readonly (readonly [Step, () => Promise<Answer>])[] = [
    ["C", () => session.connect({ name: "c.test", address: "192.0.2.1", port: 1 })],
    ["H", () => session.helo("h.test")],
    ["M", () => session.mail(["<a@x.test>"])],
    ["R", () => session.rcpt(["<b@x.test>"])],
    ["T", () => session.data()],
    ["E", () => session.message(edits, body)],
  ];
  const answers: Answer[] = [];
  for (const [, run] of steps) {
    answers.push(await run());
    if (answers.at(-1)?.kind !== "continue") break;
  }
  return { edits, body, answer: answers.at(-1), at: steps[answers.length - 1]?.[0] };
}

async function outcome(script: MilterScript, setup: Setup = {}, own = "") {
  const milter = await milterWith(script);
  const session = await sessionWith(`{ inet:127.0.0.1:${milter.port}, ${own} }`, setup);
  assert.ok(session);
  const result = await converse(session);
  session.quit();
  return { ...result, milter };
}

const answering = (letter: string, ...said: readonly (string | Buffer)[]): MilterScript => ({
  answer: (command) => (command === letter ? said : undefined),
});

const ENDS = ["C", "H", "M", "R", "T", "L", "N", "B", "E"] as const;
/** At which of our steps an answer to that command shows. */
const stepOf = (letter: (typeof ENDS)[number]) => ("LNBE".includes(letter) ? "E" : letter);

const REPLIES: readonly { said: string; kind: Answer["kind"]; code?: number; why: string }[] = [
  { said: "c", kind: "continue", why: "continue" },
  { said: "r", kind: "refuse", code: 550, why: "reject" },
  { said: "t", kind: "refuse", code: 451, why: "tempfail" },
  { said: "4", kind: "refuse", code: 421, why: "shutdown" },
  { said: "y554 5.7.9 no\0", kind: "refuse", code: 554, why: "a reply of its own" },
];

for (const letter of ENDS) {
  for (const { said, kind, code, why } of REPLIES) {
    test(`${letter}: ${why}`, async () => {
      const { answer, at } = await outcome(answering(letter, said));
      assert.equal(answer?.kind, kind);
      if (kind === "continue") return;
      assert.equal(at, stepOf(letter));
      assert.equal(answer.kind === "refuse" && answer.reply.code, code);
    });
  }
}

const PERCENT = [
  { said: "100%% %sure%\0", text: "100% sure", why: "doubled, as libmilter wants it, or alone" },
  { said: "%%%%d\0", text: "%%d", why: "two" },
  { said: "no\0", text: "no", why: "none" },
];

for (const { said, text, why } of PERCENT) {
  test(`percent signs in a reply of its own: ${why}`, async () => {
    const { answer } = await outcome(answering("R", `y550 5.7.1 ${said}`));
    assert.deepEqual(answer?.kind === "refuse" && answer.reply.lines, [text]);
  });
}

test("shutdown at a step holds for all that follow, and nothing more is told", async () => {
  const milter = await milterWith({ ...answering("R", "4"), steps: 0x800 });
  const session = (await sessionWith(`inet:127.0.0.1:${milter.port}`)) as MilterSession;
  await session.connect({ name: "c.test", address: "192.0.2.1", port: 1 });
  await session.mail(["<a@x.test>"]);
  await session.refusedRcpt(["<b@x.test>"]);
  const answers = [await session.rcpt(["<c@x.test>"]), await session.data(), await session.mail(["<a@x.test>"])];
  for (const answer of answers) assert.equal(answer.kind === "refuse" && answer.reply.code, 421);
  assert.deepEqual(
    milter.events.filter((line) => /^[MRT]/.test(line)),
    ["M <a@x.test>", "R <b@x.test>"],
  );
});

/** The letters of what it heard. */
const letters = ({ events }: ScriptedMilter) => events.map((line) => line.replace(/^(D .|.).*/s, "$1"));

const MACROS = [
  { steps: 0, want: "D C,C,D H,H,D M,M,D R,R,D T,T,D L,L,D L,L,D L,L,D N,N,D B,B,D E,E", why: "all steps" },
  { steps: 0x37f, want: "D C,D H,D M,D R,D T,D E,E", why: "steps that it does without, but for the content" },
  { steps: 0x808, want: "D C,C,D H,H,D M,M,D R,D T,T,D L,L,D L,L,D L,L,D N,N,D B,B,D E,E", why: "no recipients" },
];

for (const { steps, want, why } of MACROS) {
  test(`macros stand in front of each step, as Postfix sends them: ${why}`, async () => {
    const { milter } = await outcome({ steps });
    await eventually(async () => assert.equal(letters(milter).join(), `${want},Q`));
  });
}

test("a recipient that is refused is for those only that have asked for such", async () => {
  for (const [steps, want] of [
    [0, ""],
    [0x800, "D R,R"],
    [0x808, "D R"],
  ] as const) {
    const milter = await milterWith({ ...answering("R", "d"), steps });
    const session = (await sessionWith(`inet:127.0.0.1:${milter.port}`)) as MilterSession;
    await session.connect({ name: "c.test", address: "192.0.2.1", port: 1 });
    await session.refusedRcpt(["<b@x.test>"]);
    session.quit();
    await eventually(async () => assert.equal(letters(milter).slice(2).join(), want === "" ? "Q" : `${want},Q`));
  }
});

test("abort is told each time; to a Milter that has gone it is not", async () => {
  const milter = await milterWith({ answer: (command) => (command === "H" ? "" : undefined) });
  const session = (await sessionWith(`inet:127.0.0.1:${milter.port}`)) as MilterSession;
  await session.connect({ name: "c.test", address: "192.0.2.1", port: 1 });
  session.abort();
  session.abort();
  await session.helo("h.test");
  const before = logged.length;
  session.abort();
  session.quit();
  assert.equal(letters(milter).join(), "D C,C,A,A,D H,H");
  assert.equal(logged.length, before);
});

const CHANGES: readonly { said: readonly (string | Buffer)[]; why: string }[] = [
  { said: ["hX-New\0value\0"], why: "a field at the end" },
  { said: [numbered("i", 1, "X-First", "v")], why: "a field inserted" },
  { said: [numbered("m", 2, "x-a", "changed")], why: "a field changed" },
  { said: [numbered("m", 1, "X-A", "")], why: "a field removed" },
  { said: ["+<c@x.test>\0"], why: "a recipient more" },
  { said: ["2<d@x.test>\0NOTIFY=NEVER\0"], why: "one with parameters" },
  { said: ["-<b@x.test>\0"], why: "a recipient less" },
  { said: ["e<e@x.test>\0"], why: "another sender" },
  { said: ["e<>\0"], why: "the null sender" },
  { said: ["bnew\r\n", "bbody\r\n"], why: "another body" },
  { said: ["qwhy\0"], why: "quarantine" },
  { said: ["p", "p"], why: "progress" },
];

/** What is left of a message after it, as one text. */
function shown({ edits, body, answer }: Awaited<ReturnType<typeof converse>>): string {
  const { fields, recipients, sender, quarantine } = edits;
  return JSON.stringify([fields.map(({ text }) => text), recipients, sender, quarantine, body.text(), answer]);
}

test("each change arrives whole, wherever the bytes of the Milter are cut", async () => {
  let said: readonly (string | Buffer)[] = [];
  let cut: number | undefined;
  let ended = false;
  const milter = await milterWith({
    answer: (command) => {
      ended = command === "E";
      return ended ? [...said, "c"] : undefined;
    },
    splitAt: () => (ended ? cut : undefined),
  });
  const unchanged = shown(await converse((await sessionWith(`inet:127.0.0.1:${milter.port}`)) as MilterSession));
  for (const change of CHANGES) {
    said = change.said;
    cut = undefined;
    const session = (await sessionWith(`inet:127.0.0.1:${milter.port}`)) as MilterSession;
    const whole = shown(await converse(session));
    assert.equal(whole === unchanged, change.why === "progress", change.why);
    const bytes = [...said, "c"].reduce((sum, one) => sum + 4 + Buffer.byteLength(one), 0);
    for (cut = 1; cut < bytes; cut++) {
      session.abort();
      assert.equal(shown(await converse(session)), whole, `${change.why}, cut at ${cut}`);
    }
    session.quit();
  }
});

test("what it says at each step arrives whole, too, the offer included", async () => {
  for (let cut = 1; cut < 17; cut++) {
    const { answer } = await outcome({ ...answering("R", "y550 5.1.1 no\0"), splitAt: () => cut });
    assert.equal(answer?.kind === "refuse" && answer.reply.lines[0], "no", `cut at ${cut}`);
  }
});

const DEFAULTS = [
  { action: "tempfail", kind: "refuse", code: 451 },
  { action: "reject", kind: "refuse", code: 550 },
  { action: "shutdown", kind: "refuse", code: 421 },
  { action: "accept", kind: "continue", code: false },
  { action: "quarantine", kind: "hold", code: false },
] as const;

for (const { action, kind, code } of DEFAULTS) {
  test(`a Milter that dies in any state is its default action: ${action}`, async () => {
    for (const letter of ENDS) {
      const { answer } = await outcome(answering(letter, ""), {}, `default_action=${action}`);
      assert.equal(answer?.kind, kind, letter);
      assert.equal(answer.kind === "refuse" && answer.reply.code, code, letter);
      const why = /^milter inet:127\.0\.0\.1:\d+: can't read SMFIC_[A-Z]+ reply packet header: Application error$/;
      assert.match(logged.at(-1) ?? "", why, letter);
    }
    const { answer } = await outcome({ negotiation: [] }, {}, `default_action=${action}`);
    assert.equal(answer?.kind, kind, "before the session");
    assert.match(logged.at(-1) ?? "", /^connect to Milter service inet:127\.0\.0\.1:\d+: connection closed$/);
  });
}

test("what a Milter has changed before it died counts for nothing; what another has said, does", async () => {
  const good = await milterWith(answering("E", "hX-Good\x001\0", "c"));
  const dying = [
    "hX-Bad\x001\0",
    numbered("m", 1, "Subject", ""),
    "bhalf",
    "+<c@x.test>\0",
    "e<c@x.test>\0",
    "qno\0",
    "",
  ];
  const bad = await milterWith(answering("E", ...dying));
  const list = `inet:127.0.0.1:${good.port}, { inet:127.0.0.1:${bad.port}, default_action=accept }`;
  const { edits, body, answer } = await converse((await sessionWith(list)) as MilterSession);
  assert.deepEqual(answer, { kind: "continue" });
  assert.deepEqual(
    edits.fields.map(({ text }) => text),
    [...FIELDS.map(({ text }) => text), "X-Good: 1"],
  );
  assert.deepEqual(
    [edits.recipients, edits.sender, edits.quarantine, body.text()],
    [[], undefined, undefined, "body\r\n"],
  );
});

const NONSENSE: readonly { script: MilterScript; text: RegExp; why: string }[] = [
  { script: answering("M", "c", "c"), text: /answered what it was not asked/, why: "an answer too many" },
  { script: answering("T", "c", "r"), text: /answered what it was not asked/, why: "and it is a refusal" },
  {
    script: answering("M", "hX\x001\0"),
    text: /unexpected filter response SMFIR_ADDHEADER after event SMFIC_MAIL/,
    why: "a change before the end",
  },
  {
    script: answering("M", "O"),
    text: /unexpected filter response \(unknown filter reply\) after event SMFIC_MAIL/,
    why: "an offer in the middle",
  },
  {
    script: answering("H", "y250 2.0.0 Ok\0"),
    text: /malformed reply: 250 2\.0\.0 Ok/,
    why: "a reply that refuses nothing",
  },
  { script: answering("E", "h X\x001\0"), text: /bad header name " X"/, why: "a name with a blank" },
  { script: answering("E", "h\x001\0"), text: /bad header name ""/, why: "no name" },
  { script: answering("E", "i\0\0"), text: /a header change without its position/, why: "a change that is too short" },
  { script: answering("E", "+<a b@x.test>\0"), text: /bad address "<a b@x\.test>"/, why: "an address that is none" },
  {
    script: answering("B", Buffer.alloc(1024 * 1024 + 1, "c")),
    text: /what it says is no Milter protocol/,
    why: "a packet of more than a megabyte",
  },
  { script: { version: 7 }, text: /protocol version 7/, why: "a version of the future" },
  { script: { version: 1 }, text: /protocol version 1/, why: "one of the past" },
  { script: { actions: 0x8000_0200 }, text: /unknown actions 0x80000200/, why: "actions that were not offered" },
  { script: { steps: 0x8000_0000 }, text: /unknown protocol steps 0x80000000/, why: "steps that were not offered" },
  { script: { negotiation: ["O123"] }, text: /no option negotiation/, why: "half an offer" },
  { script: { negotiation: ["c"] }, text: /no option negotiation/, why: "something else" },
];

for (const { script, text, why } of NONSENSE) {
  test(`a Milter that does not follow the protocol is its default action: ${why}`, async () => {
    const { answer } = await outcome(script);
    assert.equal(answer?.kind === "refuse" && answer.reply.code, 451);
    assert.match(logged.at(-1) ?? "", text);
  });
}

test("skip ends the body, not the message; progress is no answer", async () => {
  const milter = await milterWith({
    answer: (command) => (command === "B" ? "s" : command === "E" ? ["p", "p", "hX\x001\0", "p", "c"] : undefined),
  });
  const session = (await sessionWith(`inet:127.0.0.1:${milter.port}`)) as MilterSession;
  const { edits } = await converse(session, bodyOf("x".repeat(200_000)));
  assert.equal(milter.events.filter((line) => line.startsWith("B")).length, 1);
  assert.equal(edits.fields.at(-1)?.text, "X: 1");
});

test("a field keeps the bytes that a Milter gives it, and its own white space where it asked for that", async () => {
  const said = [Buffer.from("hX-Latin\0Gr\xfc\xdfe\0", "latin1"), "hX-Two\0 two\0", "c"];
  const plain = await outcome(answering("E", ...said));
  assert.deepEqual(
    plain.edits.fields.slice(-2).map(({ text }) => text),
    ["X-Latin: Gr\xfc\xdfe", "X-Two:  two"],
  );
  const exact = await outcome({ ...answering("E", ...said), steps: 0x100000 });
  assert.deepEqual(
    exact.edits.fields.slice(-2).map(({ text }) => text),
    ["X-Latin:Gr\xfc\xdfe", "X-Two: two"],
  );
  assert.ok(exact.milter.events.includes("L Subject  s"));
});

test("a Milter that does not answer the body gets it no faster than it reads", async () => {
  // More than may wait for a Milter that does not read.
  const milter = await milterWith({ steps: 0x80000, answer: (command) => (command === "B" ? "-" : undefined) });
  const session = (await sessionWith(`inet:127.0.0.1:${milter.port}`)) as MilterSession;
  const piece = Buffer.alloc(60_000, "x");
  let sent = 0;
  const chunks = function* () {
    for (; sent < 32 * 1024 * 1024; sent += piece.length) yield piece;
  };
  const { answer } = await converse(session, { ...bodyOf(""), chunks: () => chunks() as never });
  assert.equal(answer?.kind, "continue");
  assert.equal(milter.events.filter((line) => line.startsWith("B")).length, Math.ceil((32 * 1024 * 1024) / 60_000));
});

const VERSIONS = [
  { protocol: "6", offer: /^6 1ff 1fffff$/, events: "CHMRTLNBE", why: "the newest" },
  { protocol: "4", offer: /^4 3f 37f$/, events: "CHMRTLNBE", why: "with DATA" },
  { protocol: "3", offer: /^3 3f 17f$/, events: "CHMRLNBE", why: "without DATA" },
  { protocol: "2", offer: /^2 3f 7f$/, events: "CHMRLNBE", why: "the oldest" },
  { protocol: "2, no_header_reply", offer: /^2 3f ff$/, events: "CHMRLNBE", why: "an addition" },
];

for (const { protocol, offer, events, why } of VERSIONS) {
  test(`milter_protocol = ${protocol}: ${why}`, async () => {
    const version = Number(protocol[0]);
    const script = protocol.includes("no") ? { ...answering("L", "-"), steps: 0x80 } : {};
    const settings = { milter_protocol: protocol };
    const { milter, answer } = await outcome({ version, actions: 0x3f, ...script }, { settings });
    assert.match(milter.offers[0] ?? "", offer);
    assert.equal(answer?.kind, "continue");
    assert.equal(
      [...new Set(milter.events.map((line) => line[0]))].filter((one) => !"DAQ".includes(one ?? "")).join(""),
      events,
    );
  });
}

test("a Milter of an older version than ours is not told what it does not know", async () => {
  const milter = await milterWith({ version: 2, actions: 0x3f });
  const session = (await sessionWith(`inet:127.0.0.1:${milter.port}`)) as MilterSession;
  await converse(session);
  await session.unknown("FOO");
  session.quit();
  assert.ok(!milter.events.some((line) => /^[TU]/.test(line)), milter.events.join("\n"));
});

test("smtpd_milter_maps: other Milters for a client, none, or those of all", async () => {
  const [usual, special] = [await milterWith({}), await milterWith({})];
  const rows = `192.0.2.1 DISABLE, 192.0.2.2 inet:127.0.0.1:${special.port}, 192.0.2.3 disable, 192.0.2.4 nonsense`;
  const settings = { smtpd_milter_maps: `inline:{ ${rows.replace(/(\S+) (\S+)(,|$)/g, "{$1=$2}$3")} }` };
  const open = (client: string) => sessionWith(`inet:127.0.0.1:${usual.port}`, { settings, client });
  assert.equal(await open("192.0.2.1"), undefined);
  assert.equal(await open("192.0.2.3"), undefined);
  await converse((await open("192.0.2.2")) as MilterSession);
  assert.deepEqual([usual.offers.length, special.offers.length], [0, 1]);
  await converse((await open("192.0.2.9")) as MilterSession);
  assert.deepEqual([usual.offers.length, special.offers.length], [1, 1]);
  const { answer, at } = await converse((await open("192.0.2.4")) as MilterSession);
  assert.equal(answer?.kind === "refuse" && answer.reply.code, 451);
  assert.equal(at, "C");
  assert.match(logged.at(-1) ?? "", /^smtpd_milter_maps: nonsense: want inet:host:port or unix:path$/);
});

test("smtpd_milter_maps: who cannot be looked up is refused for now, also where no Milter is usual", async () => {
  const session = await sessionWith("", { settings: { smtpd_milter_maps: "fail:down" } });
  const { answer } = await converse(session as MilterSession);
  assert.equal(answer?.kind === "refuse" && answer.reply.code, 451);
});
