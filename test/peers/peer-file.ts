/** test/peers/peer-file.ts: reads the notation of the bad peers, one or many in a file:
 *
 *    ## what the peer does
 *    why: the rule that decides, RFC 5321 §… or a Postfix manual page
 *    set: smtp_rcpt_timeout = 1s            a parameter; any number of these; $port2 is the port of host 2
 *    apart: 1                               the last host is no part of the next hop
 *    protocol: lmtp                         smtp if not given
 *    features: PIPELINING, SIZE 1000        the EHLO reply of all hosts; none: `features:`
 *    to: a b c                              recipients, @dest.test added; `one` if not given
 *    from: me@example.org                   sender; `<>` is empty
 *    content: Subject: x\r\n\r\nx\r\n       the message; `bytes 100000`: a made-up one of about that size
 *    H1 RCPT 2: 550 5.1.1 nobody            what host 1 does at the second RCPT of any of its sessions …
 *    H1/2 greeting: 421 busy                … or of its second session
 *    = a sent by H1                         "sent 2.0.0 250 2.0.0 Ok: queued as H1"
 *    = b bounced 5.1.1 host H1 said: …      kind, status and text of the outcome; `= *` for all recipients
 *    = b deferred 4.4.…                     … with any further text
 *    tried: H1 H2                           the connections, in order; `none`
 *    said: EHLO, MAIL FROM:<…>              begins of commands that were sent, in this order, others between them
 *    unsaid: BODY=                          text that is in no command
 *    got: x\r\n                             text that is in the content a peer has read, whole content with ^ before it
 *    log: text                              a line of the log, exactly
 *    postfix: = a bounced 5.1.1 host …      what Postfix does instead (test/interop/peers.interop.ts)
 *    then:                                  a further delivery, with to:, from:, content:, =, tried: of its own
 *
 *  Hosts are tried in the order of their numbers; there are as many as the highest number named. H1 stands for
 *  `127.0.0.1[127.0.0.1]` in texts, and its port is shown as 25. The stages and actions are those of peer-server.ts. */

export interface Want {
  /** Recipient as written in `to`, or "*". */
  readonly recipient: string;
  /** "kind dsn text". */
  readonly outcome: string;
}

export interface DeliveryWords {
  to: readonly string[];
  from: string | undefined;
  content: string | undefined;
  smtputf8: boolean;
  readonly wants: Want[];
  tried: string | undefined;
}

export interface Rule {
  readonly host: number;
  /** undefined: each session. */
  readonly session: number | undefined;
  readonly stage: string;
  /** undefined: each time. */
  readonly nth: number | undefined;
  readonly actions: readonly string[];
}

export interface Peer {
  readonly title: string;
  readonly line: number;
  why: string;
  protocol: "smtp" | "lmtp";
  readonly settings: Record<string, string>;
  features: readonly string[];
  readonly rules: Rule[];
  hosts: number;
  /** How many of the last hosts are no part of the next hop. */
  apart: number;
  readonly deliveries: DeliveryWords[];
  readonly said: string[];
  readonly unsaid: string[];
  readonly got: string[];
  readonly log: string[];
  /** Outcomes of Postfix where they are others, and why they are. */
  readonly postfix: Want[];
}

const RULE = /^H(\d)(?:\/(\d+))? ([A-Za-z]+)(?: (\d+))?: (.*)$/;
const FIELD = /^([a-z0-9]+):(?: (.*))?$/;
const WANT = /^= (\S+) (.+)$/;

/** Throws Error naming the line for what is not in the notation. */
export function parsePeers(text: string, file: string): readonly Peer[] {
  const peers: Peer[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "" || /^#(?!#)/.test(line)) continue;
    const title = /^## (.+)$/.exec(line)?.[1];
    if (title !== undefined) {
      peers.push(newPeer(title, i + 1));
      continue;
    }
    const peer = peers.at(-1);
    if (!peer || !readLine(line, peer)) throw new Error(`${file}:${i + 1}: not understood: ${line}`);
  }
  for (const peer of peers) checkPeer(peer, file);
  return peers;
}

function newPeer(title: string, line: number): Peer {
  return {
    title,
    line,
    why: "",
    protocol: "smtp",
    settings: {},
    features: ["PIPELINING", "8BITMIME", "SIZE 0"],
    rules: [],
    hosts: 1,
    apart: 0,
    deliveries: [newDelivery()],
    said: [],
    unsaid: [],
    got: [],
    log: [],
    postfix: [],
  };
}

function newDelivery(): DeliveryWords {
  return { to: ["one"], from: undefined, content: undefined, smtputf8: false, wants: [], tried: undefined };
}

function checkPeer(peer: Peer, file: string): void {
  const fault = (what: string) => new Error(`${file}:${peer.line}: ${what}`);
  if (peer.why === "") throw fault("no why:");
  for (const delivery of peer.deliveries) {
    if (delivery.wants.length === 0) throw fault("no outcome");
    if (delivery.tried === undefined) throw fault("no tried:");
  }
}

function readLine(line: string, peer: Peer): boolean {
  const delivery = peer.deliveries.at(-1) ?? newDelivery();
  const want = WANT.exec(line);
  if (want) {
    delivery.wants.push({ recipient: utf8Of(want[1] ?? ""), outcome: expandSent(want[2] ?? "") });
    return true;
  }
  const [, recipient, outcome = ""] = /^postfix: = (\S+) (.+)$/.exec(line) ?? [];
  if (recipient !== undefined) {
    peer.postfix.push({ recipient, outcome: expandSent(outcome) });
    return true;
  }
  const rule = RULE.exec(line);
  if (rule) {
    addRule(rule, peer);
    return true;
  }
  const field = FIELD.exec(line);
  return field !== null && readField(field[1] ?? "", field[2] ?? "", { peer, delivery });
}

function expandSent(text: string): string {
  return text.replace(/^sent by (H\d)$/, "sent 2.0.0 250 2.0.0 Ok: queued as $1");
}

function addRule([, host, session, stage = "", nth, actions = ""]: RegExpExecArray, peer: Peer): void {
  const number = (digits: string | undefined) => (digits === undefined ? undefined : Number(digits));
  peer.hosts = Math.max(peer.hosts, Number(host));
  peer.rules.push({
    host: Number(host),
    session: number(session),
    stage,
    nth: number(nth),
    actions: actions.split(" ; "),
  });
}

function readField(name: string, value: string, { peer, delivery }: { peer: Peer; delivery: DeliveryWords }): boolean {
  if (name === "why") peer.why = value;
  else if (name === "protocol" && (value === "smtp" || value === "lmtp")) peer.protocol = value;
  else if (name === "set") return readSetting(value, peer.settings);
  else if (name === "features") peer.features = value.split(", ").filter(Boolean);
  else if (name === "apart") peer.apart = Number(value);
  else if (name === "to") delivery.to = utf8Of(value).split(" ");
  else if (name === "from") delivery.from = value === "<>" ? "" : utf8Of(value);
  else if (name === "content") delivery.content = contentOf(value);
  else if (name === "smtputf8") delivery.smtputf8 = true;
  else if (name === "tried") delivery.tried = value;
  else if (name === "said") peer.said.push(...utf8Of(value).split(", "));
  else if (name === "unsaid") peer.unsaid.push(value);
  else if (name === "got") peer.got.push(unescapeText(value));
  else if (name === "log") peer.log.push(value);
  else if (name === "then") peer.deliveries.push(newDelivery());
  else return false;
  return true;
}

function readSetting(text: string, settings: Record<string, string>): boolean {
  const [, name, value] = /^(\w+) = ?(.*)$/.exec(text) ?? [];
  if (name === undefined) return false;
  settings[name] = value ?? "";
  return true;
}

function contentOf(value: string): string {
  const bytes = /^bytes (\d+)$/.exec(value)?.[1];
  if (bytes === undefined) return unescapeText(value);
  return `Subject: large\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(Math.ceil(Number(bytes) / 72))}`;
}

/** Escaped bytes as the text that they are. */
function utf8Of(text: string): string {
  return Buffer.from(unescapeText(text), "latin1").toString("utf8");
}

/** `\r`, `\n`, `\0`, `\xHH` (a byte), `\\`. */
export function unescapeText(text: string): string {
  return text.replace(/\\(?:x([0-9a-f]{2})|([rn0\\]))/gi, (_all, hex: string | undefined, letter: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return { r: "\r", n: "\n", "0": "\0", "\\": "\\" }[letter] ?? letter;
  });
}
