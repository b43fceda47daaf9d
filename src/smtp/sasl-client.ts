/** smtp/sasl-client.ts: what a SASL mechanism is to a client: a conversation that yields responses and gets challenges. */

/** Yields the next response; the first one is the initial response, undefined where the server speaks first. When it returns,
 *  there is nothing more to say. Throws SaslRefusal. */
export type ClientConversation = AsyncGenerator<Buffer | undefined, void, Buffer>;

/** The server said something that the mechanism does not allow. */
export class SaslRefusal extends Error {
  override readonly name = "SaslRefusal";
}
