/** access/testdata/stranger.ts: the facts of a RCPT command of a client that is nobody's, for tests to start from. */
import { asAddress } from "../../mail/address.ts";
import type { Facts } from "../access.ts";

export const STRANGER: Facts = {
  client: { address: "198.51.100.7", port: 1, name: "unknown", reverseName: "unknown", nameStatus: "missing" },
  server: { address: "192.0.2.25", port: 25 },
  protocol: "ESMTP",
  command: "RCPT",
  helo: "h.test",
  sender: asAddress("a@b.test"),
  recipient: asAddress("x@far.test"),
  recipientCount: 0,
  sasl: undefined,
  saslEnabled: true,
  tls: undefined,
  sizeBytes: undefined,
  queueId: undefined,
  earlyTalker: false,
};
