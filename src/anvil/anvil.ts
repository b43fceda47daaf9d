/** anvil/anvil.ts: connection and request counters of clients (anvil(8)), exact over all workers: they live in the master.
 *  Limits are smtpd's business; here things are counted. */

/** What is counted per time unit. */
export type AnvilEvent = "mail" | "rcpt" | "newtls" | "auth";

export interface AnvilConnection {
  /** Simultaneous connections of this client to this service, this one included. */
  readonly count: number;
  /** Connections within anvil_rate_time_unit, this one included. */
  readonly rate: number;
}

/** One client of one service is `${service}:${address}`. Resolves with zeros if the master cannot be asked, as
 *  Postfix goes on without anvil. */
export interface Anvil {
  connect(client: string): Promise<AnvilConnection>;
  disconnect(client: string): void;
  /** Counts one event and resolves with how many there were within the time unit, this one included. */
  count(event: AnvilEvent, client: string): Promise<number>;
  /** TLS sessions negotiated anew so far, without counting one (smtpd looks before it offers STARTTLS). */
  peek(event: AnvilEvent, client: string): Promise<number>;
}
