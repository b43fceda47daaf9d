/** test/bench/modes.ts: what `npm run bench` can measure, with the options of each; and what its command line asks for. */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { hasPostfix } from "../testbed/postfix.ts";

/** An option as parseArgs() takes it, with what the usage says and what a value must look like. */
interface BenchOption {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly default?: string | boolean;
  readonly what: string;
  readonly pattern?: RegExp;
}

const COUNT = /^[1-9]\d{0,9}$/;
const count = <T extends string>(fallback: T, what: string) =>
  ({ type: "string", default: fallback, what, pattern: COUNT }) as const;

const workers = count("2", "worker processes");
const loads = {
  messages: count("4000", "messages of a round"),
  sessions: {
    type: "string",
    default: "20,100",
    what: "sessions at once, each measured",
    pattern: /^[1-9]\d*(?:,[1-9]\d*)*$/,
  },
} as const;

/** For parseArgs() in the file of each mode. */
export const BENCH_OPTIONS = {
  compare: { ...loads, write: { type: "boolean", default: false, what: "writes docs/benchmark.md" } },
  cpu: loads,
  queue: {
    messages: count("1000000", "messages in the queue"),
    body: count("2048", "bytes of each body"),
    workers,
    rounds: count("5", "measured rounds"),
    spread: count("4000", "seconds over which retries are due, as Postfix's maximal_backoff_time"),
  },
  fairness: {
    recipients: count("100000", "recipients of the mailing"),
    each: count("1000", "recipients of one message of it; 1: a mailing of single messages"),
    delay: {
      type: "string",
      default: "500",
      what: "milliseconds that the next hop takes for a delivery",
      pattern: /^\d+$/,
    },
    workers,
  },
  soak: {
    minutes: { type: "string", default: "10", what: "how long", pattern: /^\d+(?:\.\d+)?$/ },
    workers,
    rate: { type: "string", what: "messages a second; else half of what a first round reaches", pattern: COUNT },
  },
  memory: {
    idle: count("10000", "idle sessions in clear"),
    tls: count("2000", "idle sessions with TLS"),
    only: { type: "string", what: "large | milters | idle | tls", pattern: /^(?:large|milters|idle|tls)$/ },
  },
  signing: {
    messages: count("4000", "messages of a round"),
    sessions: count("20", "sessions at once"),
    rounds: count("3", "measured rounds"),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, BenchOption>>>>;

const HELP = { type: "boolean", short: "h", what: "this" } as const;

export type BenchMode = keyof typeof BENCH_OPTIONS;

interface About {
  readonly what: string;
  /** Programs that must be here; why it cannot run, or undefined. */
  readonly lacks?: () => string | undefined;
}

const PEERS = "scripts/install-peers.sh installs them";
const lacksPostfix = () => (hasPostfix() ? undefined : `it needs root, Postfix and Dovecot; ${PEERS}`);
const lacksSigner = () =>
  hasPostfix() && existsSync("/usr/sbin/opendkim") ? undefined : `it needs root, Postfix and OpenDKIM; ${PEERS}`;

const ABOUT: Readonly<Record<BenchMode, About>> = {
  compare: {
    what: "Postern beside Postfix: messages a second (root, Postfix, Dovecot); what runs without a MODE",
    lacks: lacksPostfix,
  },
  cpu: { what: "processor time of a message, thread by thread (root, Postfix, Dovecot)", lacks: lacksPostfix },
  queue: { what: "what a long queue costs (6 GB of disk)" },
  fairness: { what: "how long single messages take beside a mailing to the same next hop" },
  soak: { what: "minutes of load with a next hop that defers and refuses: nothing lost, no memory kept" },
  memory: { what: "memory under large messages and under idle sessions" },
  signing: { what: "the cost of DKIM signatures and Milters (root, Postfix, OpenDKIM)", lacks: lacksSigner },
};

export type BenchCommand =
  | { readonly kind: "usage"; readonly text: string }
  | { readonly kind: "problem"; readonly text: string }
  | { readonly kind: "run"; readonly mode: BenchMode };

/** What the words after `npm run bench --` ask for. */
export function parseBench(args: readonly string[]): BenchCommand {
  const [first] = args;
  const isNamed = first !== undefined && !first.startsWith("-");
  if (isNamed && !Object.hasOwn(BENCH_OPTIONS, first)) return problem(`no mode "${first}"`);
  const mode = isNamed ? (first as BenchMode) : "compare";
  const options: Readonly<Record<string, BenchOption>> = { ...BENCH_OPTIONS[mode], help: HELP };
  try {
    const { values } = parseArgs({ args: args.slice(isNamed ? 1 : 0), options });
    const { help } = values;
    if (help === true) return { kind: "usage", text: usage(isNamed ? [mode] : undefined) };
    for (const [name, { pattern }] of Object.entries(options)) {
      const value = values[name];
      if (typeof value === "string" && pattern?.test(value) === false) return problem(`--${name}: not "${value}"`);
    }
  } catch (error) {
    return problem((error as Error).message.split(". ")[0] ?? "");
  }
  return { kind: "run", mode };
}

/** Why a mode cannot run on this machine, or undefined. */
export function lackOf(mode: BenchMode): string | undefined {
  return ABOUT[mode].lacks?.();
}

function problem(text: string): BenchCommand {
  return { kind: "problem", text: `${text}; see: npm run bench -- --help` };
}

function usage(modes: readonly BenchMode[] = Object.keys(BENCH_OPTIONS) as BenchMode[]): string {
  const about = modes.map((mode) => {
    const options = Object.entries(BENCH_OPTIONS[mode] as Readonly<Record<string, BenchOption>>).map(optionLine);
    return `\n${mode}: ${ABOUT[mode].what}\n${options.join("")}`;
  });
  return `Usage: npm run bench -- [MODE] [OPTIONS]\n${about.join("")}`;
}

function optionLine([name, option]: readonly [string, BenchOption]): string {
  const shown = `--${name}${option.type === "boolean" ? "" : " …"}`;
  const fallback = typeof option.default === "string" ? ` (${option.default})` : "";
  return `  ${shown.padEnd(16)}${option.what}${fallback}\n`;
}
