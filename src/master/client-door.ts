/** master/client-door.ts: what every user of the machine may ask of the server: look into the maildrop directory, list the queue,
 *  flush it. Node cannot tell who is at the other end of a unix socket. Where it matters (authorized_mailq_users,
 *  authorized_flush_users), who asks proves it by a file: the server gives a secret word, the client writes it into a file of
 *  that name in the maildrop directory, and whose the file is who it is. The word is a ticket from then on.
 *
 *  A file that was moved or linked there proves nothing, since the word is new; nobody else knows the word or can list the
 *  directory; and a file that others might have written to does not count. */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { parseQueueId } from "../mail/queue-id.ts";
import { type ControlRequest, DeniedError } from "../net/control-socket.ts";
import { formatUser, type LocalUser, PROOF_MODE } from "../pickup/user-list.ts";
import type { ShapeQuery } from "../queue/store.ts";
import type { QueueArgs } from "./protocol.ts";

/** A user right, by the parameter that lists who has it. */
export type UserRight = "authorized_mailq_users" | "authorized_flush_users";

export interface ClientDoorDeps {
  readonly maildrop: string;
  readonly clock: Clock;
  /** The list is "everybody". */
  readonly isOpen: (right: UserRight) => boolean;
  readonly userWith: (uid: number) => LocalUser;
  /** Uids that are always allowed: root, mail_owner. */
  readonly trusted: ReadonlySet<number>;
  /** Rejects if the list cannot be asked. */
  readonly allows: (right: UserRight, user: LocalUser) => Promise<boolean>;
  readonly queue: (args: QueueArgs) => Promise<unknown>;
  /** Never rejects. */
  readonly pickup: () => Promise<void>;
}

/** Answer to a request that needs a proof. */
export interface ProofWanted {
  readonly prove: string;
}

interface Ticket {
  readonly untilMs: number;
  user?: LocalUser;
}

const TICKET_MS = 600_000;
const MAX_TICKETS = 256;
const QUEUES: ReadonlySet<unknown> = new Set(["incoming", "active", "deferred", "hold"]);
/** Messages of a page. */
const MAX_PAGE = 200;

export class ClientDoor {
  readonly #deps: ClientDoorDeps;
  readonly #tickets = new Map<string, Ticket>();
  #looking = false;
  #lookAgain = false;

  constructor(deps: ClientDoorDeps) {
    this.#deps = deps;
  }

  /** Rejects with a sentence for the user; DeniedError if he may not. */
  async answer({ op, args }: ControlRequest): Promise<unknown> {
    switch (op) {
      case "pickup":
        // Nobody waits for it: should a worker not hear, it looks by itself.
        void this.#lookIntoMaildrop();
        return undefined;
      case "list": {
        const { after, limit } = args;
        const page = { ...queueIdOf(after), limit: typeof limit === "number" ? Math.min(limit, MAX_PAGE) : MAX_PAGE };
        return this.#ifAllowed("authorized_mailq_users", args.proof, { op: "list", ids: "ALL", ...page });
      }
      case "shape":
        return this.#ifAllowed("authorized_mailq_users", args.proof, {
          ...{ op: "shape", ids: "ALL", shape: shapeQueryOf(args.shape) },
        });
      case "flush": {
        const { after: id } = queueIdOf(args.id);
        const ids = id === undefined ? ("ALL" as const) : [id];
        return this.#ifAllowed("authorized_flush_users", args.proof, { op: "flush", ids });
      }
      case "flush-site": {
        const { site } = args;
        if (typeof site !== "string" || !/^[a-z0-9._:-]{1,255}$/.test(site)) throw new Error("Bad domain name");
        return this.#ifAllowed("authorized_flush_users", args.proof, { op: "flush-site", ids: "ALL", site });
      }
      default:
        throw new DeniedError(`"${op}" is not for every user`);
    }
  }

  /** One look at a time, and one more for all who ask meanwhile. */
  async #lookIntoMaildrop(): Promise<void> {
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#lookAgain) {
      this.#lookAgain = false;
      await this.#deps.pickup();
    }
    this.#looking = false;
  }

  async #ifAllowed(right: UserRight, proof: unknown, args: QueueArgs): Promise<unknown> {
    if (!this.#deps.isOpen(right)) {
      const user = this.#userOf(proof);
      if (user === undefined) return { prove: this.#newTicket() } satisfies ProofWanted;
      if (!this.#deps.trusted.has(user.uid) && !(await this.#deps.allows(right, user))) {
        const what = right === "authorized_mailq_users" ? "view" : "flush";
        throw new DeniedError(`User ${formatUser(user)} is not allowed to ${what} the mail queue`);
      }
    }
    return this.#deps.queue(args);
  }

  #newTicket(): string {
    const nowMs = this.#deps.clock.monotonic();
    for (const [word, { untilMs }] of this.#tickets) {
      if (untilMs > nowMs && this.#tickets.size < MAX_TICKETS) break;
      this.#tickets.delete(word);
    }
    const word = randomBytes(16).toString("hex");
    this.#tickets.set(word, { untilMs: nowMs + TICKET_MS });
    return word;
  }

  /** undefined: no ticket of ours, or too old. */
  #userOf(word: unknown): LocalUser | undefined {
    const ticket = typeof word === "string" ? this.#tickets.get(word) : undefined;
    if (typeof word !== "string" || !ticket || ticket.untilMs <= this.#deps.clock.monotonic()) return undefined;
    if (ticket.user) return ticket.user;
    this.#tickets.delete(word); // a word is tried once
    const uid = ownerOfProof(join(this.#deps.maildrop, word), word);
    if (uid === undefined) throw new DeniedError("The proof of who asks is not good");
    ticket.user = this.#deps.userWith(uid);
    this.#tickets.set(word, ticket);
    return ticket.user;
  }
}

/** Whose the file is, if it holds the word and nobody else can have written it; it is removed. */
function ownerOfProof(path: string, word: string): number | undefined {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  let fd: number | undefined;
  try {
    fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const stats = fstatSync(fd);
    const bytes = Buffer.alloc(word.length + 1);
    const sound = stats.isFile() && stats.nlink === 1 && (stats.mode & 0o7777) === PROOF_MODE;
    if (!sound || bytes.toString("latin1", 0, readSync(fd, bytes)) !== word) return undefined;
    rmSync(path, { force: true });
    return stats.uid;
  } catch {
    return undefined; // not there, not readable: no proof
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function shapeQueryOf(value: unknown): ShapeQuery {
  const { nowMs, by, queues } = (value ?? {}) as Partial<ShapeQuery>;
  const known = Array.isArray(queues) && queues.every((queue) => QUEUES.has(queue));
  if (typeof nowMs !== "number" || (by !== "sender" && by !== "recipient") || !known) throw new Error("Bad shape");
  return { nowMs, by, queues };
}

function queueIdOf(value: unknown): { readonly after?: string } {
  if (value === undefined) return {};
  if (typeof value !== "string" || !parseQueueId(value)) throw new Error("Bad queue id");
  return { after: value };
}
