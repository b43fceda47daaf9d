/** test/postfix/dialogue-file.ts: the notation of dialogues/*.txt. A file is a group. It holds services of master.cf, each
 *  followed by the dialogues that are held with it:
 *
 *    # a comment
 *    service NAME       the lines behind it, indented, are its `-o` settings: name = value
 *    ## title           a dialogue begins
 *    C: text            the client sends a line and waits for one reply;  C*20: text  does so twenty times
 *    P: text            the same, but the line goes out together with the next one (pipelining)
 *    D: text            a line that nobody answers, as in message content; it too goes out with what follows
 *    R: "text"          the same as a JSON string, without an end of line of its own, one character a byte
 *    S:                 the client waits for one more reply
 *    T:                 TLS handshake
 *    K:                 the server has closed the connection
 *    N:                 as the first step: the client does not wait for the greeting
 *
 *  In text, {{3000 x}} is x three thousand times and {{base64 "a\u0000b"}} the base64 of a JSON string. */

export type Step =
  | { readonly kind: "write"; readonly bytes: Buffer }
  | { readonly kind: "reply"; readonly shown: string }
  | { readonly kind: "tls" }
  | { readonly kind: "closed" };

export interface Dialogue {
  readonly title: string;
  readonly line: number;
  readonly greeted: boolean;
  readonly steps: readonly Step[];
}

export interface ServiceBlock {
  readonly name: string;
  /** `name = value` */
  readonly settings: readonly string[];
  readonly dialogues: readonly Dialogue[];
}

interface OpenDialogue {
  readonly title: string;
  readonly line: number;
  greeted: boolean;
  readonly steps: Step[];
  /** Replies to P lines, read behind the line that ends the group. */
  readonly owed: Step[];
}

interface OpenService {
  readonly name: string;
  readonly settings: string[];
  readonly dialogues: OpenDialogue[];
}

/** Throws, naming the line, at what is not in the notation. */
export function parseDialogues(text: string): readonly ServiceBlock[] {
  const services: OpenService[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "" || /^#(?!#)/.test(line)) continue;
    if (!readLine(services, line, index + 1)) throw new Error(`line ${index + 1}: not in the notation: ${line}`);
  }
  return services;
}

function readLine(services: OpenService[], line: string, number: number): boolean {
  const service = services.at(-1);
  const dialogue = service?.dialogues.at(-1);
  const [, name] = /^service ([a-z0-9-]+)$/.exec(line) ?? [];
  const [, title] = /^## (.+)$/.exec(line) ?? [];
  if (name !== undefined) services.push({ name, settings: [], dialogues: [] });
  else if (service === undefined) return false;
  else if (title !== undefined) service.dialogues.push({ title, line: number, greeted: true, steps: [], owed: [] });
  else if (dialogue !== undefined) return readStep(dialogue, line);
  else if (/^\s+\w+ =/.test(line)) service.settings.push(line.trim());
  else return false;
  return true;
}

function readStep(dialogue: OpenDialogue, line: string): boolean {
  if (line === "N:" && dialogue.steps.length === 0) dialogue.greeted = false;
  else {
    const [, kind, times = "1", text = ""] = /^([CPDRSTK])(?:\*(\d+))?:(?: (.*))?$/.exec(line) ?? [];
    if (kind === undefined) return false;
    for (let i = 0; i < Number(times); i++) addStep(dialogue, kind, { text, shown: line });
  }
  return true;
}

function addStep({ steps, owed }: OpenDialogue, kind: string, { text, shown }: { text: string; shown: string }): void {
  const ends = !"PDR".includes(kind);
  if (kind === "R") steps.push({ kind: "write", bytes: Buffer.from(JSON.parse(text) as string, "latin1") });
  if ("CPD".includes(kind)) steps.push({ kind: "write", bytes: Buffer.from(`${expand(text)}\r\n`) });
  if (ends) steps.push(...owed.splice(0));
  if (kind === "P") owed.push({ kind: "reply", shown });
  if (kind === "C" || kind === "S") steps.push({ kind: "reply", shown });
  if (kind === "T") steps.push({ kind: "tls" });
  if (kind === "K") steps.push({ kind: "closed" });
}

function expand(text: string): string {
  return text
    .replace(/\{\{base64 (".*?")\}\}/g, (_, json: string) => Buffer.from(JSON.parse(json)).toString("base64"))
    .replace(/\{\{(\d+) (.+?)\}\}/g, (_, times: string, what: string) => what.repeat(Number(times)));
}
