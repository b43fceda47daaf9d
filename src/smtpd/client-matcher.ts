/** smtpd/client-matcher.ts: lists of clients that are treated otherwise, as a session asks them. */
import type { ClientEndpoint } from "../mail/client.ts";

/** undefined: it cannot be known now, and the log says why. */
export type ListAnswer = boolean | undefined;

/** Whether a client is in a list. Never rejects for a table that fails. */
export type ClientMatcher = (client: ClientEndpoint) => ListAnswer | Promise<ListAnswer>;
