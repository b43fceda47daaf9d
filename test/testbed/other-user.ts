/** testbed/other-user.ts: a user who is neither root nor the server's account, to send mail and ask things as. Only root can be
 *  somebody else; for others it is themselves. */
import { readFileSync } from "node:fs";

const [own, ownGroup] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];

/** undefined: who runs the test. */
export const OTHER_UID = own === 0 ? 1 : undefined;

export const OTHER = {
  uid: OTHER_UID ?? own,
  name: nameOf("/etc/passwd", OTHER_UID ?? own),
  group: nameOf("/etc/group", OTHER_UID ?? ownGroup),
};

/** "unknown" for a number that has no name, as in Postfix's messages. */
function nameOf(file: string, id: number): string {
  const line = readFileSync(file, "latin1")
    .split("\n")
    .find((text) => text.split(":")[2] === String(id));
  return line?.split(":")[0] ?? "unknown";
}
