import assert from "node:assert/strict";
import { test } from "node:test";
import { ParameterError } from "../config/declare.ts";
import { parametersOf } from "../config/parameters.ts";
import { parseMilters } from "./settings.ts";

const GOOD = [
  {
    word: "inet:127.0.0.1:8891",
    expected: { target: { kind: "tcp", host: "127.0.0.1", port: 8891 }, commandMs: 30_000, defaultAction: "tempfail" },
    why: "the parameters count",
  },
  { word: "inet:[::1]:8891", expected: { target: { kind: "tcp", host: "::1", port: 8891 } }, why: "IPv6" },
  { word: "unix:/run/m.sock", expected: { target: { kind: "unix", path: "/run/m.sock" } }, why: "a socket" },
  { word: "local:m.sock", expected: { target: { kind: "unix", path: "/q/m.sock" } }, why: "below queue_directory" },
  {
    word: "{ inet:h:1, default_action=accept, { command_timeout = 5s }, connect_timeout=1s, content_timeout=2m }",
    expected: { connectMs: 1000, commandMs: 5000, contentMs: 120_000, defaultAction: "accept" },
    why: "settings of its own, in both notations",
  },
  {
    word: "{ inet:h:1, { protocol = no_header_reply 2 } }",
    expected: { version: 2, noHeaderReply: true },
    why: "an old protocol",
  },
];

for (const { word, expected, why } of GOOD) {
  test(`parseMilters(${word}): ${why}`, () => {
    const [settings] = parseMilters([word], parametersOf({ queue_directory: "/q" }));
    assert.partialDeepStrictEqual(settings, expected);
  });
}

const BAD = [
  { word: "127.0.0.1:8891", text: /want inet:host:port or unix:path/, why: "no type" },
  { word: "inet:localhost", text: /no host:port|want/, why: "no port" },
  { word: "{ inet:h:1, protocol=5 }", text: /bad milter_protocol: want 2, 3, 4 or 6/, why: "a version that is none" },
  { word: "{ inet:h:1, { protocol = 6 2 } }", text: /bad milter_protocol/, why: "two versions" },
  { word: "{ inet:h:1, timeout=3 }", text: /unknown attribute "timeout/, why: "an unknown attribute" },
  { word: "{ inet:h:1, default_action=maybe }", text: /bad configuration/, why: "an unknown action" },
  { word: "{ inet:h:1 }x", text: /text behind/, why: "text behind the brace" },
];

for (const { word, text, why } of BAD) {
  test(`parseMilters(${word}) is refused: ${why}`, () => {
    assert.throws(
      () => parseMilters([word], parametersOf({ queue_directory: "/q" })),
      (error) => {
        assert.ok(error instanceof ParameterError);
        assert.match(error.message, text);
        return true;
      },
    );
  });
}
