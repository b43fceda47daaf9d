/** local/maildir-name.ts: names of files in maildirs (maildir(5)), unique over processes and machines. */
import type { Clock } from "../base/clock.ts";

export interface MaildirNameParts {
  readonly clock: Pick<Clock, "nowMicros">;
  readonly hostname: string;
  /** Unique among the processes that deliver here. */
  readonly pid: number;
}

/** One for each process: seconds.M<microseconds>P<pid>Q<delivery>.host, with the two characters that mean something in maildirs
 *  escaped. */
export function maildirNames({ clock, hostname, pid }: MaildirNameParts): () => string {
  const host = hostname.replace(/[^A-Za-z0-9._-]/g, "_");
  let delivery = 0;
  return () => {
    const micros = clock.nowMicros();
    return `${Math.floor(micros / 1e6)}.M${micros % 1e6}P${pid}Q${++delivery}.${host}`;
  };
}
