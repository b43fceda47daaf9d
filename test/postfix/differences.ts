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
  /** Of a reply: the lines of either log that differ with it, beside the counts in the last one; `/^$/`: none. */
  readonly logFollows?: RegExp;
  readonly reason: string;
}

const BAD_ADDRESS = /^501 5\.1\.[37] Bad (?:sender|recipient) address syntax$/;

export const DIFFERENCES: readonly Allowed[] = [
  {
    id: "address-grammar",
    kind: "reply",
    where: /^(?:syntax|verbs)\.txt/,
    covers: (postfix, postern) => !BAD_ADDRESS.test(postfix) && BAD_ADDRESS.test(postern),
    logFollows: /^warning: Illegal address syntax |^(?:NOQUEUE|QUEUE-ID): (?:reject: RCPT|client=)/,
    reason:
      "Postern reads RFC 5321 paths, with blanks, missing brackets and dots forgiven. Postfix parses a mail header's syntax: comments, several brackets, blanks within, controls.",
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
    logFollows: /^$/,
    reason: "HELP is answered as by Postfix 3.9 and later; this one is older.",
  },
  {
    id: "keywords-announced",
    kind: "reply",
    covers: (postfix, postern) => {
      const keywords = (reply: string) => reply.split(/\r?\n/).map((line) => line.replace(/^250[- ]/, ""));
      const known = keywords(postern).filter((line) => !/^(?:LIMITS |BINARYMIME$|REQUIRETLS$)/.test(line));
      return known.length < keywords(postern).length && known.join() === keywords(postfix).join();
    },
    logFollows: /^$/,
    reason:
      "EHLO announces BINARYMIME (RFC 3030), LIMITS (RFC 9422) and, behind TLS, REQUIRETLS (RFC 8689); Postfix 3.7 has none of them.",
  },
  {
    id: "dsn-syntax",
    kind: "reply",
    covers: (postfix, postern) =>
      /^250 2\.1\.[05] Ok$/.test(postfix) &&
      /^501 5\.5\.4 (?:Bad ENVID|Error: Bad (?:NOTIFY|ORCPT)) parameter syntax$/.test(postern),
    logFollows: /^$/,
    reason: "xtext and the list of NOTIFY are read as strictly as RFC 3461 writes them, ORCPT must hold an address.",
  },
  {
    id: "size-twice",
    kind: "reply",
    covers: (postfix, postern) => postfix === "250 2.1.0 Ok" && postern === "501 5.5.4 Bad message size syntax",
    logFollows: /^$/,
    reason: "SIZE given twice is an error (RFC 1870); Postfix takes the last.",
  },
  {
    id: "utf8-reply",
    kind: "reply",
    covers: (postfix, postern) => /^5\d\d /.test(postfix) && asciiOnly(postfix) === postern && postfix !== postern,
    logFollows: /^NOQUEUE: reject: RCPT from .*[^ -~]/,
    reason:
      "Replies are ASCII (RFC 6531 section 3.7.4): ? for each other character. Postfix repeats the address in UTF-8.",
  },
  {
    id: "controls-in-line",
    kind: "reply",
    where: /NUL and CR within a line/,
    covers: (_, postern) => /^500 5\.5\.2 Error: (?:bad syntax|command not recognized)$/.test(postern),
    logFollows: /^$/,
    reason:
      "A command with NUL or with CR in its middle is refused; Postfix takes what stands before NUL, and CR as a blank.",
  },
  {
    id: "transaction-after-end",
    kind: "reply",
    where: /at the end of data: REJECT/,
    covers: (postfix, postern) => postfix === "503 5.5.1 Error: nested MAIL command" && postern === "250 2.1.0 Ok",
    logFollows: /^$/,
    reason: "A message refused at its end is over (RFC 5321 section 4.1.1.4); Postfix waits for RSET.",
  },
  {
    id: "mechanism-order",
    kind: "reply",
    covers: (postfix, postern) => postfix !== postern && sortedMechanisms(postfix) === sortedMechanisms(postern),
    reason: "AUTH lists strong mechanisms first, since many clients take the first; Postfix has Dovecot's order.",
  },
  {
    id: "auth-base64",
    kind: "reply",
    covers: (postfix, postern) =>
      /^535 5\.7\.8 .*: Invalid base64 data in /.test(postfix) && postern === postfix.replace("535 5.7.8", "501 5.5.2"),
    reason: "Bad base64 is 501 (RFC 4954 section 4).",
  },
  {
    id: "auth-mechanism",
    kind: "reply",
    covers: (postfix, postern) =>
      postfix === "535 5.7.8 Error: authentication failed: Invalid authentication mechanism" &&
      /^504 5\.5\.4 Error: authentication failed: Invalid authentication mechanism: '\w+'$/.test(postern),
    reason: "An unknown mechanism is 504 (RFC 4954 section 4), and is named as by Postfix 3.10.",
  },
  {
    id: "starttls-early",
    kind: "reply",
    where: /: STARTTLS with a command behind it$/,
    covers: (postfix, postern) =>
      (postfix.startsWith("220 2.0.0 Ready") && postern === "554 5.5.0 Error: SMTP protocol synchronization") ||
      (/^\((?:silence|open)\)$/.test(postfix) && postern === "(closed)"),
    logFollows: /^SSL_accept error from |^(?:lost connection|improper command pipelining) after STARTTLS /,
    reason:
      "What stands behind STARTTLS in clear is refused with it, as by Postfix 3.9; Postfix 3.7 drops it and waits.",
  },
  {
    id: "auth-mechanism-log",
    kind: "log",
    covers: (postfix, postern) => postern.replace(/(Invalid authentication mechanism): '\w+'/, "$1") === postfix,
    reason: "The unknown mechanism is named, as by Postfix 3.10.",
  },
  {
    id: "mail-auth-xtext",
    kind: "reply",
    covers: (postfix, postern) => postfix === "250 2.1.0 Ok" && postern === "501 5.5.4 Bad AUTH parameter syntax",
    logFollows: /^$/,
    reason: "AUTH= must be xtext (RFC 4954 section 5); Postfix takes what it cannot decode as it stands.",
  },
  {
    id: "login-in-refusal",
    kind: "log",
    covers: (postfix, postern) =>
      postern.startsWith(`${postfix} sasl_method=`) && / sasl_method=\S+ sasl_username=\S+$/.test(postern),
    reason: "A refusal names the login, as in Postfix 3.10.",
  },
  {
    id: "policy-connection",
    kind: "log",
    where: /^more\.txt:\d+ policy-unreachable:/,
    covers: (postfix, postern) =>
      /^warning: (?:connect to|problem talking to server) 127\.0\.0\.1:1: Connection refused$/.test(postfix) &&
      postern === "(nothing)",
    reason: "The connection to a policy server belongs to all sessions: its troubles are not logged under one of them.",
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

function sortedMechanisms(text: string): string {
  return text.replace(/^250-AUTH[ =](.*?)\r?$/gm, (_, names: string) => names.split(" ").sort().join(" "));
}
