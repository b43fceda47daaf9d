import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { Log } from "../log/log.ts";
import { openLdap } from "./ldap.ts";
import { TableError } from "./table.ts";
import { type Attributes, ber, entry, message, type Request, requests, result } from "./testdata/ber.ts";
import { type RawConnection, type RawPeerOptions, startRawPeer } from "./testdata/raw-peer.ts";

type Directory = (request: Request) => readonly (readonly [string, Attributes])[] | number | Buffer;

/** A directory as a function: entries, a result code, or bytes as they are. */
function serve(directory: Directory, seen: Request[]): NonNullable<RawPeerOptions["onBytes"]> {
  return (text, connection) => {
    for (const request of requests(Buffer.from(text, "latin1"))) {
      seen.push(request);
      answer(request, directory, connection);
    }
    return true;
  };
}

function answer(request: Request, directory: Directory, connection: RawConnection): void {
  const { id, kind } = request;
  if (kind === "other") return;
  const done = kind === "bind" ? 0x61 : kind === "extended" ? 0x78 : 0x65;
  const found = kind === "search" ? directory(request) : kind === "bind" && request.password === "wrong" ? 49 : 0;
  if (Buffer.isBuffer(found)) {
    connection.send(found);
    return;
  }
  const entries =
    typeof found === "number" ? [] : found.map(([name, attributes]) => message(id, entry(name, attributes)));
  const code = typeof found === "number" ? found : 0;
  connection.send(Buffer.concat([...entries, message(id, result(done, code, code === 0 ? "" : "says the server"))]));
}

async function open(t: TestContext, directory: Directory, setup: RawPeerOptions & { cf?: string } = {}) {
  const seen: Request[] = [];
  const peer = await startRawPeer(t, { onBytes: serve(directory, seen), ...setup });
  const host = setup.unix ? `ldapi://${encodeURIComponent(peer.address)}` : `ldap://${peer.address}`;
  const own = setup.cf ?? "";
  const cf = `${/^server_host/m.test(own) ? "" : `server_host = ${host}\n`}search_base = dc=x\nquery_filter = (mail=%s)\n${own}\n`;
  const { table, log } = openCf(cf.replaceAll("PEER", peer.address));
  t.after(() => table.close?.());
  const searches = () => seen.filter(({ kind }) => kind === "search");
  return { peer, table, log, seen, searches };
}

function openCf(cf: string) {
  const log: string[] = [];
  // The last of two settings counts; the file's warning about it is not the matter here.
  const sink = (record: { text: string }) => void (/overriding/.test(record.text) || log.push(record.text));
  const table = openLdap("ldap:/l.cf", "/l.cf", {
    files: { read: (path) => (path === "/l.cf" ? Buffer.from(cf) : readFileSync(path)) },
    configDirectory: "/",
    log: new Log({ sink, now: () => 0, tag: "t", id: 1 }),
    tables: { open: () => assert.fail("no other table is named") },
  });
  return { table, log };
}

const failure = (message: RegExp) => (error: unknown) => error instanceof TableError && message.test(error.message);
const one =
  (attributes: Attributes): Directory =>
  () => [["cn=a,dc=x", attributes]];

const RESULTS: { cf?: string; directory: Directory; want: string | undefined | RegExp; why: string }[] = [
  { directory: one({ maildrop: ["a@b"] }), want: "a@b", why: "found" },
  { directory: () => [], want: undefined, why: "no entry" },
  { directory: one({}), want: undefined, why: "an entry without the attribute" },
  { directory: one({ maildrop: ["a", "b"] }), want: "a,b", why: "several values" },
  {
    directory: () => [
      ["cn=a", { maildrop: ["a"] }],
      ["cn=b", { maildrop: ["b"] }],
    ],
    want: "a,b",
    why: "several entries",
  },
  { directory: one({ mailDROP: ["a"] }), want: "a", why: "names are case-insensitive" },
  {
    cf: "result_attribute = cn mail",
    directory: one({ mail: ["m"], cn: ["zwölf"] }),
    want: "m,zwölf",
    why: "several attributes, in the server's order",
  },
  { cf: "result_attribute = cn", directory: one({ "cn;lang-de": ["a"] }), want: "a", why: "options" },
  {
    cf: "result_format = %u at %d (%S)",
    directory: one({ maildrop: ["a@b", "c"] }),
    want: "a at b (key@x)",
    why: "result_format drops what has no domain",
  },
  {
    cf: "result_filter = <%s>",
    directory: one({ maildrop: ["a"] }),
    want: "<a>",
    why: "the old name of result_format",
  },
  { cf: "expansion_limit = 2", directory: one({ maildrop: ["a", "b"] }), want: "a,b", why: "at expansion_limit" },
  {
    cf: "expansion_limit = 1",
    directory: one({ maildrop: ["a", "b"] }),
    want: /expansion limit exceeded/,
    why: "over expansion_limit",
  },
  {
    cf: "size_limit = 1",
    directory: () => [
      ["a", { maildrop: ["a"] }],
      ["b", { maildrop: ["b"] }],
    ],
    want: /Query size limit \(1\) exceeded/,
    why: "over size_limit, and the server does not mind",
  },
  { cf: "size_limit = 5", directory: () => 4, want: /Query size limit/, why: "the server cut the answer" },
  { directory: () => 4, want: /search error 4: says the server/, why: "the server's own limit" },
  { directory: () => 50, want: /search error 50/, why: "access denied" },
  { directory: () => 51, want: /search error 51/, why: "busy" },
  {
    directory: () => 32,
    want: /Search base 'dc=x' not found: 32: No such object/,
    why: "a fixed base that is not there",
  },
  {
    cf: "search_base = ou=%d,dc=x",
    directory: () => 32,
    want: undefined,
    why: "a base made of the key that is not there",
  },
  { directory: one({ maildrop: ["a\nb"] }), want: /line end/, why: "a value with a line end" },
  { directory: one({ maildrop: [Buffer.of(0x61, 0)] }), want: /NUL/, why: "a value with a NUL" },
  { directory: one({ maildrop: [""] }), want: undefined, why: "an empty value is none" },
  { directory: one({ maildrop: ["x".repeat(1024 * 1024)] }), want: "x".repeat(1024 * 1024), why: "1 MB" },
  {
    directory: one({ maildrop: ["x".repeat(9 * 1024 * 1024)] }),
    want: /longer than 8388608 bytes|malformed/,
    why: "9 MB",
  },
  {
    directory: ({ id }) => Buffer.concat(Array.from({ length: 60_000 }, () => message(id, entry("", {})))),
    want: /more than 50000 entries/,
    why: "entries without end",
  },
  { directory: () => Buffer.from("\x00\xffgarbage"), want: /malformed LDAP message/, why: "garbage" },
  {
    directory: ({ id }) =>
      message(id, ber(0x64, ber(0x04, "x"), ber(0x04, Buffer.of(0x30, 0x84, 0x7f, 0xff, 0xff, 0xff)))),
    want: /malformed LDAP message/,
    why: "a length that would keep the driver busy for ever",
  },
];
for (const { cf, directory, want, why } of RESULTS) {
  const short = !/MB|without end/.test(why);
  for (const chunked of short ? [false, true] : [false]) {
    test(`ldap: ${why}${chunked ? ", a byte at a time, over ldapi" : ""}`, async (t) => {
      const { table } = await open(t, directory, { chunked, unix: chunked, ...(cf !== undefined && { cf }) });
      const asked = Promise.resolve(table.get("Key@X"));
      if (want instanceof RegExp) await assert.rejects(asked, failure(want));
      else assert.equal(await asked, want);
    });
  }
}

test("ldap: what is asked is what the settings say", async (t) => {
  const { seen, table } = await open(t, () => [], {
    cf: `search_base = ou=%d,%3,dc=x
query_filter = (& (objectClass=mailUser) (|(mail=%s)(uid=%u)) (!(cn=%U)))
result_attribute = a, b
special_result_attribute = s
leaf_result_attribute = l
terminal_result_attribute = t
scope = one
size_limit = 7
bind_dn = cn=me
bind_pw = $ecret%`,
  });
  assert.equal(await table.get("Jörg@Mail.Example.Org"), undefined);
  const [bind, search, ...more] = seen;
  assert.deepEqual([bind?.kind, bind?.name, bind?.password], ["bind", "cn=me", "$ecret%"]);
  assert.equal(search?.name, "ou=mail.example.org,mail,dc=x");
  assert.equal(
    search?.filter,
    '(&(objectClass="mailUser")(|(mail="jörg@mail.example.org")(uid="jörg"))(!(cn="jörg")))',
  );
  assert.deepEqual([search?.scope, search?.sizeLimit, search?.attributes], [1, 7, ["t", "l", "a", "b", "s"]]);
  assert.deepEqual(more, []);
});

test("ldap: every key is one value in the filter and in the search base", async (t) => {
  const { searches, table } = await open(t, () => [], { cf: "search_base = cn=%s,dc=x" });
  const keys = [
    "*",
    "a*)(uid=*",
    "a)(|(mail=*",
    "\\2a",
    "a\\",
    "a\r\nb",
    '"x" y',
    "a,dc=y",
    "+a=b",
    "#a;<>=",
    "%s%u",
    "a)(&",
    "ü*",
  ];
  for (const key of keys) assert.equal(await table.get(key), undefined);
  assert.deepEqual(
    searches().map(({ filter }) => filter),
    keys.map((key) => `(mail=${JSON.stringify(key)})`),
  );
  for (const { name } of searches()) assert.match(name, /^cn=(?:[^,+"\\<>;=#\x00-\x20]|\\[0-9a-f]{2})*,dc=x$/);
});

test("ldap: any key at all is one value", async (t) => {
  const { searches, table } = await open(t, () => []);
  const unit = fc.oneof(
    fc.constantFrom(..."*()\\&|!=%\r\n"),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit, minLength: 1 }).filter((key) => !key.includes("\0")),
      async (key) => {
        assert.equal(await table.get(key), undefined);
        assert.equal(searches().at(-1)?.filter, `(mail=${JSON.stringify(key.toLowerCase())})`);
      },
    ),
    { numRuns: 200 },
  );
});

test("ldap: keys that no domain setting lists, or that lack a part, are not asked", async (t) => {
  const { searches, table } = await open(t, one({ maildrop: ["x"] }), {
    cf: "domain = a.example\nquery_filter = (uid=%u)",
  });
  for (const key of [
    "u",
    "a.example",
    "@a.example",
    "u@b.example",
    "u@sub.a.example",
    "",
    "\ud800@a.example",
    "u\0@a.example",
  ]) {
    assert.equal(await table.get(key), undefined, key);
  }
  assert.equal(await table.get("u@A.example"), "x");
  assert.equal(searches().length, 1);
});

const GROUP: Readonly<Record<string, Attributes>> = {
  "cn=all": {
    member: ["cn=a", "cn=sub", "cn=gone", "ldap:///dc=x?mail?sub?(team=red)"],
    mail: ["all@x"],
    owner: ["o@x"],
  },
  "cn=sub": { member: ["cn=b"], mail: ["sub@x"] },
  "cn=a": { mail: ["a@x"], owner: ["oa@x"] },
  "cn=b": { mail: ["b@x"], final: ["final-b@x"] },
  "cn=loop": { member: ["cn=loop"] },
  "cn=badurl": { member: ["ldap:///%zz"] },
};
const groups: Directory = ({ name, filter }) => {
  if (filter === '(team="red")') return [["cn=r", { mail: ["red@x"] }]];
  const start = /^\(mail="(.*)@x"\)$/.exec(filter)?.[1];
  const key = start === undefined ? name : `cn=${start}`;
  const found = GROUP[key];
  return found ? [[key, found]] : 32;
};
const SPECIAL: { key: string; cf: string; want: string | RegExp; why: string }[] = [
  {
    key: "all@x",
    cf: "special_result_attribute = member\nresult_attribute = mail",
    want: "a@x,b@x,sub@x,red@x,all@x",
    why: "names and URLs are followed",
  },
  {
    key: "all@x",
    cf: "special_result_attribute = member\nresult_attribute =\nleaf_result_attribute = mail",
    want: "a@x,b@x,red@x",
    why: "leaf attributes count only at the ends",
  },
  {
    key: "all@x",
    cf: "special_result_attribute = member\nresult_attribute = mail\nterminal_result_attribute = final",
    want: "a@x,final-b@x,sub@x,red@x,all@x",
    why: "a terminal attribute hides the others",
  },
  {
    key: "loop@x",
    cf: "special_result_attribute = member\nrecursion_limit = 20",
    want: /Recursion limit exceeded for special attribute member=cn=loop/,
    why: "groups in a circle",
  },
  {
    key: "all@x",
    cf: "special_result_attribute = member\nrecursion_limit = 1",
    want: /Recursion limit exceeded/,
    why: "no recursion allowed",
  },
  { key: "badurl@x", cf: "special_result_attribute = member", want: /malformed URL ldap:\/\/\/%zz/, why: "bad URL" },
];
for (const { key, cf, want, why } of SPECIAL) {
  test(`ldap: ${why}`, async (t) => {
    const { table, log } = await open(t, groups, { cf });
    if (want instanceof RegExp) await assert.rejects(async () => table.get(key), failure(want));
    else {
      assert.equal(await table.get(key), want);
      assert.deepEqual(log, ["ldap:/l.cf: DN cn=gone not found, skipping"]);
    }
  });
}

test("ldap: one connection and one bind for questions in turn, few for many at once", async (t) => {
  const { peer, seen, table } = await open(t, ({ filter }) => [["x", { maildrop: [filter] }]]);
  assert.equal(peer.connections, 0, "nothing before the first question");
  for (const key of ["a", "b"]) assert.equal(await table.get(key), `(mail="${key}")`);
  assert.deepEqual([peer.connections, seen.filter(({ kind }) => kind === "bind").length], [1, 1]);
  const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
  assert.deepEqual(
    await Promise.all(keys.map((key) => table.get(key))),
    keys.map((key) => `(mail="${key}")`),
  );
  assert.ok(peer.connections <= 4, `${peer.connections}`);
  await table.close?.();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(peer.open, 0);
  await assert.rejects(async () => table.get("a"), failure(/closed/));
});

test("ldap: a server that went away is an error, and is found again by itself", async (t) => {
  const { peer, table } = await open(t, one({ maildrop: ["x"] }));
  assert.equal(await table.get("a"), "x");
  await peer.stop();
  await assert.rejects(async () => table.get("a"), failure(/ldap:\/\/127\.0\.0\.1:\d+: Connection refused/));
  await peer.start();
  assert.equal(await table.get("a"), "x");
});

test("ldap: the end of an old connection, with a notice or without, costs no question", async (t) => {
  for (const notice of [Buffer.alloc(0), message(0, result(0x78, 52))]) {
    const { peer, table } = await open(
      t,
      () => (peer.connections === 1 && count++ > 0 ? notice : [["x", { maildrop: ["x"] }]]),
      {
        onBytes(text, connection) {
          serve(
            ({ filter }) => (filter === '(mail="b")' && peer.connections === 1 ? notice : [["x", { maildrop: ["x"] }]]),
            [],
          )?.(text, connection);
          if (text.includes("mail\x04\x01b") && peer.connections === 1) connection.end();
          return true;
        },
      },
    );
    let count = 0;
    assert.equal(await table.get("a"), "x");
    assert.equal(await table.get("b"), "x");
    assert.equal(peer.connections, 2);
  }
});

test("ldap: an end in the middle of an answer is an error", async (t) => {
  const { table } = await open(t, () => [], {
    onBytes(text, connection) {
      const [request] = requests(Buffer.from(text, "latin1"));
      if (request?.kind !== "search") return serve(() => [], [])?.(text, connection);
      connection.send(message(request.id, entry("x", { maildrop: ["x"] })));
      connection.end();
      return true;
    },
  });
  await assert.rejects(async () => table.get("a"), failure(/connection closed/));
});

test("ldap: silence at any step is an error within the timeout", async (t) => {
  for (const silent of ["bind", "search"]) {
    const { table, peer } = await open(t, () => [], {
      cf: "timeout = 1",
      onBytes: (text, connection) =>
        requests(Buffer.from(text, "latin1")).every(({ kind }) => kind === silent) ||
        serve(() => [], [])?.(text, connection),
    });
    await assert.rejects(async () => table.get("a"), failure(new RegExp(`${silent}.*: no answer within 1 seconds`)));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(peer.open, 0);
  }
});

test("ldap: the next server is asked where the first one does not work", async (t) => {
  const { table } = await open(t, one({ maildrop: ["x"] }), {
    cf: "server_host = 127.0.0.1:1, ldapi://%2Fnonexistent ldap://PEER",
  });
  assert.equal(await table.get("a"), "x");
});

test("ldap: a refused bind is an error with the server's reason and without the password", async (t) => {
  const { table } = await open(t, () => [], { cf: "bind_dn = cn=me\nbind_pw = wrong" });
  await assert.rejects(
    async () => table.get("a"),
    (error: unknown) =>
      failure(/bind with dn cn=me error 49: says the server/)(error) &&
      !String((error as Error).message).includes("wrong"),
  );
});

test("ldap: bind = no does not bind", async (t) => {
  const { seen, table } = await open(t, one({ maildrop: ["x"] }), { cf: "bind = no" });
  assert.equal(await table.get("a"), "x");
  assert.deepEqual(
    seen.map(({ kind }) => kind),
    ["search"],
  );
});

const BAD: { cf: string; want: RegExp }[] = [
  { cf: "bind = sasl", want: /\/l\.cf, line 1: bind = sasl is not supported: specify yes/ },
  { cf: "bind = maybe", want: /specify yes or no/ },
  { cf: "server_host = http://x", want: /bad server "http:\/\/x"/ },
  { cf: "scope = all", want: /scope = all: specify sub, one or base/ },
  { cf: "version = 4", want: /specify 3/ },
  { cf: "chase_referrals = yes", want: /not supported/ },
  { cf: "start_tls = yes\nserver_host = ldaps://x", want: /cannot be used with ldaps/ },
  {
    cf: "start_tls = yes\ntls_require_cert = yes\ntls_ca_cert_dir = /x",
    want: /put the certificates into tls_ca_cert_file/,
  },
  { cf: "query_filter = (a=%z)", want: /query_filter/ },
  { cf: "query_filter = (a=\\x)", want: /two hexadecimal digits/ },
  { cf: "dereference = 4", want: /invalid dereference/ },
  { cf: "timeout = 0", want: /invalid timeout/ },
];
for (const { cf, want } of BAD)
  test(`ldap: ${cf.replaceAll("\n", "; ")}`, () => assert.throws(() => openCf(cf), failure(want)));

test("ldap: a filter without a key, and mistyped names, are warned about", () => {
  assert.deepEqual(openCf("query_filter = (a=b)\nsearch_bse = x").log, [
    '/l.cf, line 2: unknown setting "search_bse" is ignored',
    "/l.cf: Fixed query_filter (a=b) is probably useless",
  ]);
});

test("ldap: a filter that the driver cannot read is an error, not an answer", async (t) => {
  const { table } = await open(t, one({ maildrop: ["x"] }), { cf: "query_filter = (a=%s" });
  await assert.rejects(async () => table.get("a"), failure(/search error: /));
});
