/** test/postfix/session-log.ts: what an smtpd wrote about each session of a service, in the order of the connections. A
 *  service is known by its syslog_name, a session by the number in brackets. */

export interface SessionLines {
  /** Without date, host and tag. */
  readonly lines: readonly string[];
  /** Its disconnect has been logged. */
  readonly ended: boolean;
}

/** The sessions of a whole maillog, by service name. */
export function readSessions(log: string): ReadonlyMap<string, readonly SessionLines[]> {
  const services = new Map<string, { lines: string[]; ended: boolean }[]>();
  const open = new Map<string, { lines: string[]; ended: boolean }>();
  for (const line of log.split("\n")) {
    const [, name, pid, text] = /^\S+ +\S+ \S+ \S+ (?:svc)\/([a-z0-9-]+)\/smtpd\[(\d+)\]: (.*)$/.exec(line) ?? [];
    if (name === undefined || pid === undefined || text === undefined) continue;
    const key = `${name}/${pid}`;
    if (text.startsWith("connect from ")) {
      const session = { lines: [], ended: false };
      open.set(key, session);
      services.set(name, [...(services.get(name) ?? []), session]);
    }
    const session = open.get(key);
    session?.lines.push(text);
    if (session && text.startsWith("disconnect from ")) session.ended = true;
  }
  return services;
}

/** Queue ids and the number of a Postern session are not the same twice; nothing else is replaced. */
export function withoutIds(text: string): string {
  return text
    .replace(/\bqueued as [0-9A-Za-z]+/g, "queued as QUEUE-ID")
    .replace(/^((?:warning: )?)[0-9A-F]{8,}(?=: )/, "$1QUEUE-ID");
}
