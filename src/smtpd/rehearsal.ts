/** smtpd/rehearsal.ts: a session that is only played through, for `postern explain`: the real commands, restrictions and replies
 *  for a client that is not there. No byte is read from a network, nothing is queued, nobody is counted. Who logged in and
 *  what the TLS handshake gave are taken as told. */
import { NotAsked } from "../access/not-asked.ts";
import type { Cleanup } from "../cleanup/cleanup.ts";
import type { ClientEndpoint, SaslIdentity, ServerEndpoint, TlsSession } from "../mail/client.ts";
import type { MessageAuthenticator } from "../mail/message-authentication.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { Connection } from "../net/connection.ts";
import { scriptedSocket } from "../net/scripted-socket.ts";
import { handle, welcome } from "./dialogue.ts";
import type { Explanation } from "./explanation.ts";
import { recognise } from "./identify.ts";
import type { SmtpdOptions } from "./options.ts";
import { Session } from "./session.ts";
import { readSettings } from "./settings.ts";

/** What is played. */
export interface Script {
  readonly client: ClientEndpoint;
  readonly server: ServerEndpoint;
  readonly tls: TlsSession | undefined;
  readonly login: SaslIdentity | undefined;
  /** Lines of the client behind the greeting. Without CR and LF. */
  readonly lines: readonly string[];
  /** Whether the content follows DATA; else the client leaves behind 354. */
  readonly content: boolean;
  /** Bytes of that content. */
  readonly sizeBytes: number;
}

/** One command and its answer. */
export interface Act {
  /** "CONNECT", else the line; "END-OF-MESSAGE" for the final dot. */
  readonly line: string;
  /** The verdict with its trace; undefined: refused, or answered, without asking a restriction. */
  readonly explanation: Explanation | undefined;
  /** Lines as the client sees them, without CRLF. */
  readonly reply: readonly string[];
}

/** Plays the session; ends early when the server ends it, or refuses a command that the next ones need. */
export async function rehearse(options: SmtpdOptions, script: Script): Promise<readonly Act[]> {
  const stage = new StageOf(options, script);
  return stage.play();
}

class StageOf {
  readonly #script: Script;
  readonly #session: Session;
  readonly #acts: Act[] = [];
  #explanations: Explanation[] = [];
  #sent = "";

  constructor(options: SmtpdOptions, script: Script) {
    this.#script = script;
    const { client, server } = script;
    const scripted = scriptedSocket({ peer: client, local: server }, (text) => {
      // The content of a message comes when it is asked for.
      if (text.startsWith("354 ")) setImmediate(() => scripted.send(script.content ? ".\r\n" : null));
      this.#sent += text;
    });
    const connection = new Connection(scripted.socket, {
      deadlines: options.deadlines,
      lineLimit: options.params.get("line_length_limit"),
      implicitTls: false,
    });
    this.#session = new Session({
      options: {
        ...options,
        counting: undefined,
        cleanup: emptyCleanup(script.sizeBytes),
        filter: undefined,
        authenticator: options.authenticator && withoutContent(options.authenticator),
        nextQueueId: () => "NOQUEUE" as QueueId,
        freeBytes: () => Number.MAX_SAFE_INTEGER,
        explainer: { trace: "always", take: (explanation) => this.#explanations.push(explanation) },
      },
      settings: readSettings(options.params),
      connection,
      log: options.log(options.nextSessionId()),
      tls: script.tls,
    });
    this.#session.client = client;
    this.#session.server = server;
  }

  async play(): Promise<readonly Act[]> {
    const session = this.#session;
    await recognise(session);
    let over = !(await welcome(session));
    this.#take("CONNECT");
    session.user = this.#script.login;
    for (const line of this.#script.lines) {
      if (over || this.#isHopeless(line)) break;
      over = await handle(session, { kind: "line", text: line, validUtf8: true, bareLf: false, truncated: false });
      this.#take(line);
    }
    session.connection.destroy();
    return this.#acts;
  }

  /** A refused EHLO or MAIL leaves nothing to do; a refused recipient leaves the others. */
  #isHopeless(next: string): boolean {
    const last = this.#acts.at(-1);
    if (last === undefined || !isRefused(last)) return false;
    if (!last.line.startsWith("RCPT ")) return true;
    return next === "DATA" && (this.#session.transaction?.recipientCount ?? 0) === 0;
  }

  /** DATA has two answers: behind the command, and behind the final dot. */
  #take(line: string): void {
    this.#session.connection.flush();
    const replies = splitReplies(this.#sent);
    const explanations = this.#explanations;
    this.#sent = "";
    this.#explanations = [];
    const names = line === "DATA" ? ["DATA", "END-OF-MESSAGE"] : [line];
    const count = Math.max(1, replies.length, explanations.length);
    for (const name of names.slice(0, count)) {
      const explanation = explanations.find(({ command }) => line !== "DATA" || command === name);
      this.#acts.push({ line: name, explanation, reply: replies.shift() ?? [] });
    }
  }
}

/** Refused, deferred, or hung up on. */
export function isRefused({ reply }: Act): boolean {
  return reply.length === 0 || /^[45]/.test(reply[0] ?? "");
}

/** Each reply with all its lines (RFC 5321 §4.2). */
function splitReplies(text: string): string[][] {
  const replies: string[][] = [];
  let open: string[] | undefined;
  for (const line of text.split("\r\n").filter(Boolean)) {
    if (open === undefined) {
      open = [];
      replies.push(open);
    }
    open.push(line);
    if (line.charAt(3) !== "-") open = undefined;
  }
  return replies;
}

/** Of content that nobody has seen nothing is known. */
function withoutContent(authenticator: MessageAuthenticator): MessageAuthenticator {
  return {
    begin(sender) {
      const real = authenticator.begin(sender);
      return {
        judged: real.judged,
        spf: () => real.spf(),
        header: (fields) => fields,
        update: () => undefined,
        verdict: () => Promise.reject(new NotAsked()),
        beginSeal: () => undefined,
        resultsField: async () => undefined,
      };
    },
  };
}

/** Takes everything and keeps nothing. */
function emptyCleanup(sizeBytes: number): Cleanup {
  return {
    begin: () => ({
      write: () => undefined,
      sizeBytes,
      finish: async () => ({ kind: "queued" }),
      refused: false,
      abort: async () => undefined,
    }),
  };
}
