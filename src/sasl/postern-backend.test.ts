import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, type TestContext, test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { type HashOutcome, HashPool } from "./hash-pool.ts";
import type { HashRequest } from "./hash-thread.ts";
import { createPosternBackend } from "./postern-backend.ts";
import { imageOf, secretsOf } from "./testdata/accounts.ts";
import { keptLog, ManualClock } from "./testdata/manual-clock.ts";
import { CONTEXT, scramProof, talk } from "./testdata/memory-passwords.ts";

const DENIED = "535 authentication failure";
const alice = secretsOf("pencil");
const aliceNew = secretsOf("pen");
const cram = secretsOf("tanstaaf", { cram: true });

/** Counts the hashes that were asked for. */
class CountingPool extends HashPool {
  readonly costs: HashRequest["cost"][] = [];

  constructor(options: { queueLimit: number }) {
    super({ threads: 1, ...options });
  }

  override scrypt(request: HashRequest): Promise<HashOutcome> {
    this.costs.push(request.cost);
    return super.scrypt(request);
  }
}

/** One thread for all tests, since a thread takes longer to start than a cheap hash. */
const shared = new CountingPool({ queueLimit: 8 });
after(() => shared.close());

function setUp(t: TestContext, image: Uint8Array | Error, settings: Record<string, string> = {}) {
  const hashes = settings.queue === undefined ? shared : new CountingPool({ queueLimit: Number(settings.queue) });
  hashes.costs.length = 0;
  if (hashes !== shared) t.after(() => hashes.close());
  const clock = new ManualClock();
  const { log, lines } = keptLog();
  const state = { image };
  const users = () => {
    if (state.image instanceof Error) throw state.image;
    return state.image;
  };
  const params = parametersOf({ postern_user_file: "/etc/postern/users", ...settings });
  const backend = createPosternBackend({ users, params, clock, log, hashes });
  const login = async (mechanism: string, responses: readonly (string | undefined)[]) => {
    const exchange = backend.start(mechanism, CONTEXT);
    return exchange ? (await talk(exchange, responses)).at(-1) : "504";
  };
  return { backend, state, clock, hashes, lines, login };
}

const names = (backend: ReturnType<typeof createPosternBackend>) => backend.mechanisms().map((m) => m.name);

test("the backend offers CRAM-MD5 only while the file holds such a secret (SASL-72)", (t) => {
  const { backend, state } = setUp(t, imageOf({ alice }));
  assert.deepEqual(names(backend), ["SCRAM-SHA-256", "PLAIN", "LOGIN"]);
  assert.equal(backend.start("CRAM-MD5", CONTEXT), undefined);
  state.image = imageOf({ alice, tim: cram });
  assert.deepEqual(names(backend), ["SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"]);
});

test("each mechanism logs the right user in and the wrong one not", async (t) => {
  const { backend, login } = setUp(t, imageOf({ alice, tim: cram }));
  assert.equal(await login("PLAIN", ["\0alice\0pencil"]), "235 PLAIN alice");
  assert.equal(await login("plain", ["\0alice\0pencils"]), `${DENIED} [alice]`);
  assert.equal(await login("LOGIN", ["alice", "pencil"]), "235 LOGIN alice");
  assert.equal(await login("LOGIN", ["ghost", "pencil"]), `${DENIED} [ghost]`);
  assert.equal(await login("XYZ", ["x"]), "504");

  const exchange = backend.start("CRAM-MD5", CONTEXT);
  assert.ok(exchange);
  const [challenge = ""] = await talk(exchange, [undefined]);
  assert.match(challenge, /^334 <[0-9a-f]{24}\.1700000000@mail\.example\.org>$/);
  const digest = createHmac("md5", "tanstaaf").update(challenge.slice(4)).digest("hex");
  assert.deepEqual(await talk(exchange, [`tim ${digest}`]), ["235 CRAM-MD5 tim"]);
  assert.equal(await login("CRAM-MD5", [undefined, `alice ${digest}`]), `${DENIED} [alice]`);

  for (const [password, want] of [
    ["pencil", "235 SCRAM-SHA-256 alice"],
    ["pen", `${DENIED} [alice]`],
  ] as const) {
    const scram = backend.start("SCRAM-SHA-256", CONTEXT);
    assert.ok(scram);
    const [first = ""] = await talk(scram, ["n,,n=alice,r=abc"]);
    assert.equal((await talk(scram, [scramProof(password, "n=alice,r=abc", first.slice(4)), ""])).at(-1), want);
  }
});

test("an unknown user costs one hash of the common cost, as a known one does (AUTH-14)", async (t) => {
  const { login, hashes } = setUp(t, imageOf({ alice, bob: secretsOf("x") }));
  await login("PLAIN", ["\0alice\0wrong"]);
  await login("PLAIN", ["\0ghost\0wrong"]);
  assert.deepEqual(hashes.costs, [
    { logN: 4, r: 1, p: 1 },
    { logN: 4, r: 1, p: 1 },
  ]);
});

test("an unknown user's SCRAM salt is always the same and looks like others (SASL-37)", async (t) => {
  const image = imageOf({ alice });
  const first = setUp(t, image);
  const second = setUp(t, imageOf({ alice, tim: cram }));
  const saltOf = (challenge: string | undefined) => /^334 r=[^,]+,s=(.{24}),i=4096$/.exec(challenge ?? "")?.[1];
  const salts = [
    saltOf(await first.login("SCRAM-SHA-256", ["n,,n=ghost,r=abc"])),
    saltOf(await first.login("SCRAM-SHA-256", ["n,,n=ghost,r=def"])),
    saltOf(await second.login("SCRAM-SHA-256", ["n,,n=ghost,r=abc"])),
  ];
  assert.ok(salts[0]);
  assert.equal(new Set(salts).size, 1);
  assert.notEqual(saltOf(await first.login("SCRAM-SHA-256", ["n,,n=ghoul,r=abc"])), salts[0]);
});

test("a right password is remembered for a while, a wrong one never", async (t) => {
  const { login, hashes, clock } = setUp(t, imageOf({ alice }), { postern_auth_cache_time: "10s" });
  for (const mechanism of ["PLAIN", "PLAIN"]) await login(mechanism, ["\0alice\0pencil"]);
  assert.equal(await login("LOGIN", ["alice", "pencil"]), "235 LOGIN alice");
  assert.equal(hashes.costs.length, 1);
  await login("PLAIN", ["\0alice\0wrong"]);
  await login("PLAIN", ["\0alice\0wrong"]);
  assert.equal(hashes.costs.length, 3);
  clock.advance(10_000);
  await login("PLAIN", ["\0alice\0pencil"]);
  assert.equal(hashes.costs.length, 4);
});

test("a change of the file counts at once, with or without word of it", async (t) => {
  const { login, state, backend } = setUp(t, imageOf({ alice }));
  assert.equal(await login("PLAIN", ["\0alice\0pencil"]), "235 PLAIN alice");
  state.image = imageOf({ alice: aliceNew });
  assert.equal(await login("PLAIN", ["\0alice\0pencil"]), `${DENIED} [alice]`);
  assert.equal(await login("PLAIN", ["\0alice\0pen"]), "235 PLAIN alice");
  state.image = imageOf({});
  backend.usersChanged();
  assert.equal(await login("PLAIN", ["\0alice\0pen"]), `${DENIED} [alice]`);
});

test("a password that was verified while the file changed is not remembered", async (t) => {
  const { login, state, hashes, backend } = setUp(t, imageOf({ alice }));
  const running = login("PLAIN", ["\0alice\0pencil"]);
  state.image = imageOf({ alice });
  assert.equal(backend.mechanisms().length, 3, "read anew while the hash runs");
  assert.equal(await running, "235 PLAIN alice");
  await login("PLAIN", ["\0alice\0pencil"]);
  assert.equal(hashes.costs.length, 2);
});

test("an unreadable or senseless file is a temporary failure, logged once (AUTH-15)", async (t) => {
  const { login, state, lines, backend } = setUp(t, new Error("Permission denied"));
  const want = "454 user database is unavailable";
  assert.deepEqual(names(backend), ["SCRAM-SHA-256", "PLAIN", "LOGIN"]);
  assert.equal(await login("PLAIN", ["\0alice\0pencil"]), `${want} [alice]`);
  assert.equal(await login("LOGIN", ["alice", "pencil"]), `${want} [alice]`);
  assert.equal(await login("SCRAM-SHA-256", ["n,,n=alice,r=abc"]), `${want} [alice]`);
  assert.deepEqual(lines, ["warning: SASL: user file /etc/postern/users: Permission denied"]);
  state.image = Buffer.from("\x7fELF nonsense");
  assert.equal(await login("PLAIN", ["\0alice\0pencil"]), `${want} [alice]`);
  state.image = imageOf({ alice });
  assert.equal(await login("PLAIN", ["\0alice\0pencil"]), "235 PLAIN alice");
});

test("one bad line costs its user only, and is logged with its number", async (t) => {
  const { login, lines } = setUp(t, Buffer.concat([imageOf({ alice }), Buffer.from("bob:x\n")]));
  assert.equal(await login("PLAIN", ["\0alice\0pencil"]), "235 PLAIN alice");
  assert.equal(await login("PLAIN", ["\0bob\0x"]), `${DENIED} [bob]`);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /line 3: login "bob"/);
});

test("a full hash queue is a temporary failure", async (t) => {
  const { login } = setUp(t, imageOf({ alice }), { queue: "0" });
  const answers = await Promise.all([1, 2].map(() => login("PLAIN", ["\0alice\0pencil"])));
  assert.deepEqual(answers, ["235 PLAIN alice", "454 too many logins at once [alice]"]);
});

test("smtpd_sasl_local_domain completes a bare login; the identity is the full one (SASL-05)", async (t) => {
  const image = imageOf({ "alice@example.org": alice, bob: cram, "bob@example.org": alice });
  const { login } = setUp(t, image, { smtpd_sasl_local_domain: "example.org" });
  assert.equal(await login("PLAIN", ["\0alice\0pencil"]), "235 PLAIN alice@example.org");
  assert.equal(await login("PLAIN", ["\0bob\0pencil"]), `${DENIED} [bob]`, "an exact login comes first");
  assert.equal(await login("PLAIN", ["\0alice@example.com\0pencil"]), `${DENIED} [alice@example.com]`);
});

test("an exchange answers nothing but failures after its end", async (t) => {
  const { backend } = setUp(t, imageOf({ alice }));
  const exchange = backend.start("PLAIN", CONTEXT);
  assert.ok(exchange);
  assert.deepEqual(await talk(exchange, ["\0alice\0pencil"]), ["235 PLAIN alice"]);
  assert.deepEqual(await talk(exchange, ["\0alice\0pencil"]), [DENIED]);
  const aborted = backend.start("LOGIN", CONTEXT);
  assert.ok(aborted);
  await talk(aborted, ["alice"]);
  aborted.close();
  assert.deepEqual(await talk(aborted, ["pencil"]), [DENIED]);
});

test("no mechanism succeeds on arbitrary dialogues", async (t) => {
  const { backend } = setUp(t, imageOf({ alice, tim: cram }));
  const response = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined });
  const dialogue = fc.array(response, { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"),
      dialogue,
      async (name, responses) => {
        const exchange = backend.start(name, CONTEXT);
        assert.ok(exchange);
        for (const step of await talk(exchange, responses)) assert.match(step, /^(334|535) /);
      },
    ),
  );
});
