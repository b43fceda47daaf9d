/** cli/terminal.ts: what a subcommand gets: its words, its streams, its config directory. Exit codes as design §12. */

export const EXIT = {
  done: 0,
  problems: 1,
  usage: 64,
  notRunning: 69,
  tryAgain: 75,
  notPermitted: 77,
  configuration: 78,
} as const;

export interface Terminal {
  /** Directory that holds main.cf and master.cf. */
  readonly configDirectory: string;
  readonly verbose: boolean;
  /** Standard output is a terminal that shows colours. */
  readonly colours: boolean;
  /** Text as UTF-8; bytes as they are. */
  stdout(text: string | Uint8Array): void;
  stderr(text: string): void;
  stdin(): Promise<string>;
  /** Asks for one line; undefined where nobody sits at a terminal. */
  readonly ask?: ((question: string) => Promise<string>) | undefined;
}

export type Command = (args: readonly string[], terminal: Terminal) => Promise<number>;

/** Writes `postern: command: text` and returns the code. */
export function failed(terminal: Terminal, command: string, text: string, code: number): number {
  terminal.stderr(`postern: ${command}: ${text}\n`);
  return code;
}
