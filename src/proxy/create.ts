/** proxy/create.ts: makes the before-queue filter of one service. */
import type { Deadlines } from "../base/deadlines.ts";
import type { Parameters } from "../config/parameters.ts";
import { openConversation } from "./conversation.ts";
import { DelayedMail } from "./delayed-mail.ts";
import type { BeforeQueueFilter } from "./filter.ts";
import { filterSettings } from "./settings.ts";

export interface FilterOptions {
  readonly deadlines: Deadlines;
  /** Where temporary files may be made, for speed_adjust. */
  readonly directory: string;
}

/** undefined: smtpd_proxy_filter is empty. Throws ParameterError. */
export function createBeforeQueueFilter(params: Parameters, options: FilterOptions): BeforeQueueFilter | undefined {
  const settings = filterSettings(params);
  if (settings === undefined) return undefined;
  const conversation = { settings, deadlines: options.deadlines };
  return {
    open: async (start) =>
      settings.afterwards
        ? { mail: new DelayedMail(start, { ...conversation, directory: options.directory }) }
        : openConversation(start, conversation),
  };
}
