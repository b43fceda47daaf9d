/** cleanup/milter-log.ts: the log line for what a Milter has said of a whole message, or of a step that no client has taken. */
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { replyText } from "../mail/reply.ts";
import type { Answer } from "../milter/answer.ts";
import { actingClient, partiesOf, partiesText } from "./log-parties.ts";

export interface MilterScene {
  readonly envelope: Envelope;
  /** The last one. */
  readonly recipient: Address | undefined;
  readonly log: Log;
}

/** `QID: milter-reject: END-OF-MESSAGE from name[address]: 5.7.1 text; from=<s> to=<r> proto=ESMTP helo=<h>`. */
export function logMilterAction(stage: string, answer: Answer, { envelope, recipient, log }: MilterScene): void {
  const said = SAID[answer.kind];
  if (said === undefined) return;
  const text = answer.kind === "refuse" ? replyText(answer.reply).slice("550 ".length) : said.text;
  const line = `${envelope.queueId}: ${said.event}: ${stage} from ${actingClient(envelope)}: ${text};`;
  log.info(printableUtf8(`${line}${partiesText(partiesOf(envelope, recipient))}`), {
    ...{ event: said.event, queue_id: envelope.queueId, stage, reply: text },
  });
}

const SAID: Partial<Record<Answer["kind"], { readonly event: string; readonly text: string }>> = {
  refuse: { event: "milter-reject", text: "" },
  discard: { event: "milter-discard", text: "milter triggers DISCARD action" },
  hold: { event: "milter-hold", text: "milter triggers HOLD action" },
};
