/** net/dialogue.ts: speaks a fixed SMTP dialogue as a client and returns what was said, for `postern demo`.
 *  STARTTLS is followed by a handshake that does not verify the certificate: it is our own self-signed one. */
import net from "node:net";
import tls from "node:tls";

const TIMEOUT_MS = 10_000;

/** Lines as in RFC examples: `C: …` and `S: …`. Stops at the first refusal unless the step is `data`. */
export async function speak(port: number, commands: readonly string[]): Promise<readonly string[]> {
  const transcript: string[] = [];
  let socket: net.Socket = net.connect(port, "127.0.0.1");
  try {
    transcript.push(...(await readReply(socket)));
    for (const command of commands) {
      socket.write(`${command}\r\n`);
      transcript.push(...command.split("\r\n").map((line) => `C: ${line}`));
      const lines = await readReply(socket);
      transcript.push(...lines);
      if (command === "STARTTLS" && lines.at(-1)?.startsWith("S: 220")) {
        socket = await upgrade(socket);
        transcript.push(`   (TLS: ${(socket as tls.TLSSocket).getProtocol()})`);
      }
    }
    return transcript;
  } finally {
    socket.destroy();
  }
}

function upgrade(socket: net.Socket): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure = tls.connect({ socket, rejectUnauthorized: false }, () => resolve(secure));
    secure.once("error", reject);
  });
}

/** One whole reply; the server's greeting counts as one. */
function readReply(socket: net.Socket): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    let text = "";
    const finish = (run: () => void) => {
      socket.off("data", onData).off("error", onError).off("close", onClose).setTimeout(0);
      run();
    };
    const onData = (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const lines = text.split("\r\n").slice(0, -1);
      if (/^\d{3}(?: |$)/.test(lines.at(-1) ?? "")) finish(() => resolve(lines.map((line) => `S: ${line}`)));
    };
    const onError = (error: Error) => finish(() => reject(error));
    const onClose = () => finish(() => reject(new Error("The server closed the connection")));
    socket.on("data", onData).on("error", onError).on("close", onClose);
    socket.setTimeout(TIMEOUT_MS, () => finish(() => reject(new Error("The server did not answer"))));
  });
}
