/** cli/postmap-options.ts: the command line of postmap(1) and postalias(1), as getopt reads it. */

export interface PostmapOptions {
  /** "update" is -i: entries from standard input into an existing index. */
  readonly action: "build" | "update" | "query" | "delete" | "list";
  /** Of -q and -d; "-" means standard input. */
  readonly key: string;
  readonly duplicates: "warn" | "keep" | "replace";
  /** -o: the index belongs to who runs this, not to the owner of the text. */
  readonly keepOwner: boolean;
  /** -p: mode 0644 whatever the text has. */
  readonly defaultMode: boolean;
  /** -c: another configuration directory. */
  readonly directory: string | undefined;
  readonly tables: readonly string[];
}

/** Wrong usage; the text is for stderr behind `postmap: fatal: `. */
export class PostmapUsageError extends Error {
  override readonly name = "PostmapUsageError";
}

const USAGE: Readonly<Record<string, string>> = {
  postmap: "usage: postmap [-inNoprsvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
  postalias: "usage: postalias [-inNoprsvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
};

const WITH_VALUE = new Set("cdq");
/** -n and -N choose how keys end in Postfix's files; an index has no such ends. */
const KNOWN = new Set("cdinNopqrsvw");
const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ..."bhmU".split("").map((flag): [string, string] => [flag, "give the lines to -q -"]),
  ["f", "keys are always folded to lower case"],
  ["F", "values are always text"],
  ["u", "keys and values are always UTF-8"],
]);

/** Throws PostmapUsageError. Options end at `--` or at the first table. */
export function parsePostmapOptions(program: "postmap" | "postalias", argv: readonly string[]): PostmapOptions {
  const usage = USAGE[program] ?? program;
  const { flags, values, rest } = scanOptions(argv, usage);
  const actions = [...flags].filter((flag) => "sqd".includes(flag));
  if (actions.length > 1 || (actions.length === 1 && flags.has("i"))) {
    throw new PostmapUsageError("specify only one of -s -q or -d");
  }
  if (rest.length === 0) throw new PostmapUsageError(usage);
  return {
    action: actionOf(flags),
    key: values.get("q") ?? values.get("d") ?? "",
    duplicates: flags.has("r") ? "replace" : flags.has("w") ? "keep" : "warn",
    keepOwner: flags.has("o"),
    defaultMode: flags.has("p"),
    directory: values.get("c"),
    tables: rest,
  };
}

interface Scanned {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
}

function scanOptions(argv: readonly string[], usage: string): Scanned {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  let i = 0;
  for (; i < argv.length; i++) {
    const arg = argv[i] ?? "";
    if (arg === "--") return { flags, values, rest: argv.slice(i + 1) };
    if (!/^-./s.test(arg)) break;
    for (let at = 1; at < arg.length; at++) {
      const flag = arg.charAt(at);
      const instead = UNSUPPORTED.get(flag);
      if (instead !== undefined) throw new PostmapUsageError(`option -${flag} is not supported; ${instead}`);
      if (!KNOWN.has(flag)) throw new PostmapUsageError(`invalid option -- '${flag}'; ${usage}`);
      flags.add(flag);
      if (!WITH_VALUE.has(flag)) continue;
      // An empty key is a key.
      const value = at + 1 < arg.length ? arg.slice(at + 1) : argv[++i];
      if (value === undefined) throw new PostmapUsageError(`option requires an argument -- '${flag}'; ${usage}`);
      values.set(flag, value);
      break;
    }
  }
  return { flags, values, rest: argv.slice(i) };
}

function actionOf(flags: ReadonlySet<string>): PostmapOptions["action"] {
  if (flags.has("q")) return "query";
  if (flags.has("d")) return "delete";
  if (flags.has("s")) return "list";
  return flags.has("i") ? "update" : "build";
}
