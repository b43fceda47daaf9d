/** cleanup/completion.ts: which fields a message loses (message_drop_headers) and which it gets (missing-fields.ts) on one
 *  service. */
import type { Parameters } from "../config/parameters.ts";
import type { Address } from "../mail/address.ts";
import type { MessageOptions } from "./cleanup.ts";
import type { HeaderField } from "./header-block.ts";
import type { Ledger } from "./ledger.ts";
import { type CompletionFacts, missingFields } from "./missing-fields.ts";

export class Completion {
  readonly #params: Parameters;
  readonly #options: MessageOptions;

  constructor(params: Parameters, options: MessageOptions) {
    this.#params = params;
    this.#options = options;
  }

  /** What is missing is added. */
  get completes(): boolean {
    const rewritten = this.#options.role === "submission" || this.#params.get("remote_header_rewrite_domain") !== "";
    return rewritten || this.#params.get("always_add_missing_headers");
  }

  get facts(): Omit<CompletionFacts, "sender"> {
    const params = this.#params;
    const { queueId, arrivalMs } = this.#options.envelope;
    return {
      ...{ queueId, arrivalMs, myhostname: params.get("myhostname") },
      fullName: this.#options.fullName,
      fromFormat: { format: params.get("header_from_format"), charset: params.get("full_name_encoding_charset") },
      undisclosedRecipients: params.get("undisclosed_recipients_header"),
    };
  }

  complete(fields: readonly HeaderField[], sender: Address, ledger: Ledger): readonly HeaderField[] {
    const drop = new Set(this.#params.get("message_drop_headers").map((name) => name.toLowerCase()));
    const kept = fields.some(({ name }) => drop.has(name)) ? fields.filter(({ name }) => !drop.has(name)) : fields;
    ledger.compare(fields, kept, { why: "never sent", rule: "message_drop_headers" });
    if (!this.completes) return kept;
    const added = missingFields(fields, { ...this.facts, sender });
    if (added.length === 0) return kept;
    const completed = [...kept, ...added];
    ledger.compare(kept, completed, { why: "missing", rule: this.#rule });
    return completed;
  }

  /** What makes the service complete messages. */
  get #rule(): string {
    if (this.#options.role === "submission") return "submission";
    return this.#params.get("always_add_missing_headers")
      ? "always_add_missing_headers"
      : "remote_header_rewrite_domain";
  }
}
