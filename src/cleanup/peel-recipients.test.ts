import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import { peelRecipients } from "./map-envelope.ts";

const recipient = (text: string) => ({ address: asAddress(text), original: asAddress(text) });
const mapped = { sender: asAddress("s@x.test"), recipients: [recipient("a@b.test"), recipient("c%d.test@ours.test")] };

test("peelRecipients() changes only what names its way through us, and keeps what the client said", async () => {
  const peel = (address: string) => (address.includes("%") ? Promise.resolve(asAddress("c@d.test")) : undefined);
  assert.deepEqual(await peelRecipients(mapped, peel), {
    sender: "s@x.test",
    recipients: [recipient("a@b.test"), { address: "c@d.test", original: "c%d.test@ours.test" }],
  });
});

test("peelRecipients() is done at once where there is nothing to change", () => {
  assert.equal(
    peelRecipients(mapped, () => undefined),
    mapped,
  );
});
