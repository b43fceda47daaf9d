/** access/not-asked.ts: what name services and policy servers throw that must not be asked, when an evaluation is only played
 *  through (`postern explain`). The restriction then says nothing and its trace says why. No server ever throws it. */
export class NotAsked extends Error {
  override readonly name = "NotAsked";
}
