/** test/crash/tally.ts: sums up the verdicts of many strikes, and tells of each fault when it is found. */
import type { Verdict } from "./ledger.ts";

export class Tally {
  kills = 0;
  /** System calls that failed. */
  faults = 0;
  /** States of the files that a power cut could leave. */
  cuts = 0;
  lost = 0;
  inside = 0;
  outside = 0;
  accepted = 0;
  /** Files that nothing names, queues that do not become empty, servers that do not come back. */
  troubles = 0;

  /** `at` is where the server was struck. */
  add(at: string, verdict: Verdict): void {
    this.lost += verdict.lost;
    this.inside += verdict.inside;
    this.outside += verdict.outside;
    this.accepted += verdict.accepted;
    for (const fault of verdict.faults) say(`FAULT at ${at}: ${fault}`);
  }

  addCut(at: string, judgement: Pick<Verdict, "lost" | "inside" | "outside" | "faults">): void {
    this.cuts++;
    const other = judgement.faults.length - judgement.lost - judgement.outside;
    this.troubles += Math.max(0, other);
    this.add(at, { ...judgement, accepted: 0 });
  }

  trouble(at: string, what: string): void {
    this.troubles++;
    say(`FAULT at ${at}: ${what}`);
  }

  get isGood(): boolean {
    return this.lost === 0 && this.outside === 0 && this.troubles === 0 && this.accepted > 0;
  }

  get summary(): string {
    const troubles = this.troubles === 0 ? "" : `${this.troubles} other faults, `;
    const failed = this.faults === 0 ? "" : `${this.faults} failed calls, `;
    const cut = this.cuts === 0 ? "" : `${this.cuts} power cuts, `;
    return `${troubles}${failed}${cut}${this.kills} kills, ${this.lost} lost, ${this.inside} doubled inside the window, ${this.outside} outside`;
  }
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
