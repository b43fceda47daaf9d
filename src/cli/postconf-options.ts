/** cli/postconf-options.ts: the command line of postconf(1), as getopt reads it. */
import { splitNameValue } from "../config/main-cf.ts";

export interface PostconfOptions {
  readonly mode: "parameters" | "services" | "overrides" | "tables" | "templates" | "expandedTemplates";
  /** -c: another configuration directory. */
  readonly directory: string | undefined;
  /** -d defaults, -n what is set; neither: what applies. */
  readonly values: "defaults" | "set" | "actual";
  /** -h, -H. */
  readonly show: "both" | "values" | "names";
  /** -x: `$name` replaced. */
  readonly expand: boolean;
  /** -f: long lines folded. */
  readonly fold: boolean;
  /** -q: no warnings. */
  readonly quiet: boolean;
  /** -o name=value, in order. */
  readonly overrides: readonly { readonly name: string; readonly value: string }[];
  readonly names: readonly string[];
}

/** Wrong usage; the text is for stderr behind `postconf: fatal: `. */
export class PostconfUsageError extends Error {
  override readonly name = "PostconfUsageError";
}

const USAGE =
  "usage: postconf [-dfhHnopqvx] [-c config_dir] [-o name=value] [name ...] | postconf -M|-P [-fhHqvx] [-c config_dir] [service ...] | postconf -m | postconf -b|-t [-c config_dir] [template_file]";

const WITH_VALUE = new Set(["c", "o"]);
const KNOWN = new Set("bcdfhHmMnopPqtvx");
/** Options of Postfix that change files or list what does not exist here. */
const UNSUPPORTED = new Set("aACeEFlTX#");

/** Throws PostconfUsageError. Options end at `--` or at the first name. */
export function parsePostconfOptions(argv: readonly string[]): PostconfOptions {
  const flags = new Set<string>();
  const overrides: { name: string; value: string }[] = [];
  let directory: string | undefined;
  let i = 0;
  for (; i < argv.length; i++) {
    const arg = argv[i] ?? "";
    if (arg === "--") {
      i++;
      break;
    }
    if (!/^-./s.test(arg)) break;
    for (let at = 1; at < arg.length; at++) {
      const flag = arg.charAt(at);
      checkFlag(flag);
      flags.add(flag);
      if (!WITH_VALUE.has(flag)) continue;
      const value = arg.slice(at + 1) || argv[++i];
      if (value === undefined) throw new PostconfUsageError(`option requires an argument -- ${flag}`);
      if (flag === "c") directory = value;
      else overrides.push(parseOverride(value));
      break;
    }
  }
  refuseBoth(flags, "d", "n");
  refuseBoth(flags, "h", "H");
  refuseBoth(flags, "M", "P");
  refuseBoth(flags, "b", "t");
  return {
    mode: modeOf(flags),
    directory,
    values: flags.has("d") ? "defaults" : flags.has("n") ? "set" : "actual",
    show: flags.has("h") ? "values" : flags.has("H") ? "names" : "both",
    expand: flags.has("x"),
    fold: flags.has("f"),
    quiet: flags.has("q"),
    overrides,
    names: argv.slice(i),
  };
}

function checkFlag(flag: string): void {
  if (KNOWN.has(flag)) return;
  if (UNSUPPORTED.has(flag))
    throw new PostconfUsageError(`option -${flag} is not supported; edit main.cf or master.cf`);
  throw new PostconfUsageError(USAGE);
}

function refuseBoth(flags: ReadonlySet<string>, a: string, b: string): void {
  if (flags.has(a) && flags.has(b)) throw new PostconfUsageError(`specify one of -${a} and -${b}`);
}

function modeOf(flags: ReadonlySet<string>): PostconfOptions["mode"] {
  if (flags.has("m")) return "tables";
  if (flags.has("b")) return "expandedTemplates";
  if (flags.has("t")) return "templates";
  if (flags.has("M")) return "services";
  return flags.has("P") ? "overrides" : "parameters";
}

function parseOverride(text: string): { name: string; value: string } {
  const result = splitNameValue(text);
  if ("error" in result) throw new PostconfUsageError(`invalid parameter override: ${text}: ${result.error}`);
  return result;
}
