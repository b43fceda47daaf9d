/** anvil/anvil.ts: connection and request counters of clients (anvil(8)), exact over all workers: they live in the master,
 *  or in the worker if it is the only one. Limits are smtpd's business; here things are counted. */

/** What is counted per time unit. */
export type AnvilEvent = "mail" | "rcpt" | "newtls" | "auth";

export interface AnvilConnection {
  /** Simultaneous connections of this client to this service, this one included. */
  readonly count: number;
  /** Connections within anvil_rate_time_unit, this one included. */
  readonly rate: number;
}

/** One client of one service is `${service}:${address}` (client-key.ts). Nothing rejects: it resolves with zeros if the
 *  master cannot be asked, as Postfix goes on without anvil. */
export interface Anvil {
  connect(client: string): Promise<AnvilConnection>;
  /** Once for each connect(), also for one that resolved with zeros. Resolves when the place is free for the next. */
  disconnect(client: string): Promise<void>;
  /** Counts one event and resolves with how many there were within the time unit, this one included. */
  count(event: AnvilEvent, client: string): Promise<number>;
  /** TLS sessions negotiated anew so far, without counting one (smtpd looks before it offers STARTTLS). */
  peek(event: "newtls", client: string): Promise<number>;
}

/** One request in a batch of a worker to the master: what, and of which client. */
export type AnvilRequest = readonly [operation: "connect" | "disconnect" | "peek" | AnvilEvent, client: string];

/** [count, rate] for connect, [] for disconnect, [rate] for the others; "peek" is of newtls. */
export type AnvilAnswer = readonly number[];

/** Requests of one batch at most. */
export const MAX_BATCH = 500;
