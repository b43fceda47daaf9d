/** testbed/postfix-queue.ts: a directory like Postfix's queue, and a program that stands for its postcat(1), for machines without
 *  Postfix: it prints what was laid down for each file. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class FakePostfixQueue {
  readonly directory = mkdtempSync(join(tmpdir(), "postern-import-"));
  readonly queue = join(this.directory, "queue");
  readonly postcat = join(this.directory, "postcat");

  constructor() {
    const printed = join(this.directory, "printed");
    for (const name of ["incoming", "active", "deferred/A", "hold", "maildrop", "pid"]) {
      mkdirSync(join(this.queue, name), { recursive: true });
    }
    mkdirSync(printed);
    writeFileSync(this.postcat, `#!/bin/sh\n[ "$TZ" = UTC ] && exec cat "${printed}/$(basename "$2")$1"\n`);
    chmodSync(this.postcat, 0o755);
  }

  /** One message; `records` are those behind the sender. */
  add(id: string, options: { queue?: string; records?: readonly string[]; content?: string | Uint8Array } = {}): void {
    const { queue = "deferred/A", records = ["recipient: bob@x.test"], content = `Subject: ${id}\n\nbody\n` } = options;
    const lines = [
      `*** ENVELOPE RECORDS ${id} ***`,
      "message_size:             320             702               1               2             320               0",
      ...["message_arrival_time: Tue Nov 24 12:00:00 2026", "sender: al@x.test"],
      ...records,
      ...[`*** MESSAGE CONTENTS ${id} ***`, `*** HEADER EXTRACTED ${id} ***`, `*** MESSAGE FILE END ${id} ***`, ""],
    ];
    writeFileSync(join(this.directory, "printed", `${id}-e`), lines.join("\n"));
    writeFileSync(join(this.directory, "printed", `${id}-bh`), content);
    const path = join(this.queue, queue, id);
    writeFileSync(path, "");
    chmodSync(path, 0o700);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
