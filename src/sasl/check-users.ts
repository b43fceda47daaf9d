/** sasl/check-users.ts: what `postern check` says about a user file. */
import type { Problem } from "../config/snapshot.ts";
import { parseUsers } from "./user-file.ts";

/** Lines that do not parse, and CRAM-MD5 for some users only. `file` is the name in the findings. */
export function checkUsers(text: string, file = "users"): Problem[] {
  const { users, problems } = parseUsers(text, file);
  const without = [...users.values()].filter((user) => user.cramSecret === undefined);
  const found = [...problems];
  const first = without[0];
  if (first !== undefined && without.length < users.size) {
    found.push({
      severity: "warning",
      at: { file, line: first.line },
      text: `CRAM-MD5 is announced, but ${without.length} of ${users.size} logins have no CRAM-MD5 secret, "${first.login}" among them`,
      hint: 'clients that prefer CRAM-MD5 cannot log in there; give all of them a secret with "postern user passwd LOGIN --cram-md5", or none',
    });
  }
  return found;
}
