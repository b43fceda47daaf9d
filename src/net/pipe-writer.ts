/** net/pipe-writer.ts: writes to an inherited pipe without ever blocking the event loop. */
import net from "node:net";

export interface PipeWriter {
  write(text: string): void;
  /** Bytes accepted but not yet taken by the reader. */
  waitingBytes(): number;
}

/** `fd` must be a pipe or socket that the parent opened. A vanished reader is ignored: the parent's death is seen elsewhere. */
export function pipeWriter(fd: number): PipeWriter {
  const socket = new net.Socket({ fd, readable: false, writable: true });
  socket.on("error", () => socket.destroy());
  socket.unref();
  return {
    write: (lines) => {
      if (!socket.destroyed) socket.write(lines);
    },
    waitingBytes: () => socket.writableLength,
  };
}
