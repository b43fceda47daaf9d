/** smtpd/soft-bounce.ts: soft_bounce: every 5xx is said, and logged, as 4xx, whatever it answers. */
import type { Reply } from "../mail/reply.ts";

/** The reply as it is sent under soft_bounce. */
export function softened(reply: Reply): Reply {
  if (reply.code < 500) return reply;
  return { ...reply, code: reply.code - 100, dsn: reply.dsn?.replace(/^5/, "4") };
}

/** The same for the text of a reply, `550 5.7.1 …`. */
export function softenedText(text: string): string {
  return text.replace(/^5(\d\d)(?: 5(?=\.\d))?/, (all, rest: string) => (all.length > 3 ? `4${rest} 4` : `4${rest}`));
}
