/** cli/demo-users.ts: gives a demo user a new password, adding him first if he is not there. */
import { runUser } from "./user.ts";

/** Rejects with what `postern user` said. */
export async function setPassword(file: string, login: string, password: string): Promise<void> {
  let said = "";
  const io = {
    stdin: async () => `${password}\n`,
    stdout: { write: () => undefined },
    stderr: { write: (text: string) => (said += text) },
    userFile: async () => file,
  };
  if ((await runUser(["passwd", login, "--password-stdin"], io)) === 0) return;
  said = "";
  if ((await runUser(["add", login, "--password-stdin"], io)) !== 0) throw new Error(said.trim());
}
