/** test/postfix/differences.ts: where Postern answers or logs otherwise than the Postfix it is compared with, each with its
 *  reason. The run fails on a difference that is not here, and on an entry that covers nothing any more. Operators read the
 *  same list in docs/coming-from-postfix.md. */

export interface Allowed {
  /** Short, for the report. */
  readonly id: string;
  readonly kind: "reply" | "log";
  /** Of `group.txt:line service: title`; unset: anywhere. */
  readonly where?: RegExp;
  /** Both texts whole; a log line has no date and tag. `(nothing)`: this side has no such line. */
  readonly covers: (postfix: string, postern: string) => boolean;
  /** Of a reply: the log of the dialogue differs with it, in counts and in lines about this command. */
  readonly logFollows?: true;
  readonly reason: string;
}

const BAD_ADDRESS = /^501 5\.1\.[37] Bad (?:sender|recipient) address syntax$/;

export const DIFFERENCES: readonly Allowed[] = [
  {
    id: "address-grammar",
    kind: "reply",
    where: /^(?:syntax|verbs)\.txt/,
    covers: (postfix, postern) => !BAD_ADDRESS.test(postfix) && BAD_ADDRESS.test(postern),
    logFollows: true,
    reason:
      "Postern reads RFC 5321 paths, with blanks, missing brackets and dots forgiven. Postfix parses a mail header's syntax: comments, several brackets, blanks within, controls.",
  },
  {
    id: "address-literal",
    kind: "reply",
    where: /^syntax\.txt/,
    covers: (postfix, postern) => BAD_ADDRESS.test(postfix) && /^(?:250 2\.1\.[05] Ok|5\d\d .*)$/.test(postern),
    logFollows: true,
    reason: "Postern does not look into the brackets of an address literal, nor at a hyphen in front.",
  },
  {
    id: "unknown-502",
    kind: "reply",
    covers: (postfix, postern) =>
      postfix === "500 5.5.2 Error: command not recognized" && postern === "502 5.5.1 Error: command not implemented",
    reason: "EXPN, TURN, ATRN, SEND, SOML and SAML are known and not implemented: 502 (RFC 5321 section 4.2.4).",
  },
  {
    id: "help",
    kind: "reply",
    covers: (postfix, postern) =>
      postfix === "500 5.5.2 Error: command not recognized" && /^214 2\.0\.0 Commands: [A-Z ]+$/.test(postern),
    logFollows: true,
    reason: "HELP is answered as by Postfix 3.9 and later; this one is older.",
  },
  {
    id: "dsn",
    kind: "reply",
    covers: (postfix, postern) => postfix.replace("250-DSN\r\n", "") === postern && postfix !== postern,
    reason: "Postern does not offer DSN.",
  },
  {
    id: "chunking",
    kind: "reply",
    covers: (postfix, postern) => postfix === `${postern.replace(/250 (\S+)$/, "250-$1")}\r\n250 CHUNKING`,
    reason: "Postern does not offer CHUNKING.",
  },
  {
    id: "size-twice",
    kind: "reply",
    covers: (postfix, postern) => postfix === "250 2.1.0 Ok" && postern === "501 5.5.4 Bad message size syntax",
    logFollows: true,
    reason: "SIZE given twice is an error (RFC 1870); Postfix takes the last.",
  },
  {
    id: "utf8-reply",
    kind: "reply",
    covers: (postfix, postern) => /^5\d\d /.test(postfix) && asciiOnly(postfix) === postern && postfix !== postern,
    logFollows: true,
    reason:
      "Replies are ASCII (RFC 6531 section 3.7.4): ? for each other character. Postfix repeats the address in UTF-8.",
  },
  {
    id: "controls-in-line",
    kind: "reply",
    where: /NUL and CR within a line/,
    covers: (_, postern) => /^500 5\.5\.2 Error: (?:bad syntax|command not recognized)$/.test(postern),
    logFollows: true,
    reason:
      "A command with NUL or with CR in its middle is refused; Postfix takes what stands before NUL, and CR as a blank.",
  },
  {
    id: "last-dot",
    kind: "log",
    where: /: dots$/,
    covers: (postfix, postern) => postfix.replace("from=<a@b.example.>", "from=<a@b.example>") === postern,
    reason: "The dot behind a domain is taken off when the address is read; Postfix takes it off when it rewrites.",
  },
  {
    id: "lost-connection-id",
    kind: "log",
    covers: (postfix, postern) =>
      /^(?:lost connection|timeout|too many errors) after /.test(postfix) &&
      postern.replace(/^[\w-]+: /, "") === postfix,
    reason: "The line begins with the queue id or NOQUEUE, as in Postfix 3.10.",
  },
];

/** One `?` for each character beyond ASCII; the text is one character a byte. */
function asciiOnly(latin1: string): string {
  return Buffer.from(latin1, "latin1")
    .toString("utf8")
    .replace(/[^\x00-\x7f]/gu, "?");
}
