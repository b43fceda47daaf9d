/** config/declare.ts: how a parameter is declared, once: type, default, range, doc text, whether Postfix has it.
 *  `postconf -d`, validation, "did you mean", and docs/postconf.md all come from these declarations (design §7).
 *  A default is text in main.cf syntax and may hold $name and conditionals; compatibility levels are written as Postfix
 *  writes them: `${{$compatibility_level} <level {1} ? {yes} : {no}}`. */

export interface Declaration<T> {
  readonly type: "bool" | "int" | "time" | "word" | "text" | "list" | "file";
  /** Unexpanded default, exactly as `postconf -d` prints it. */
  readonly default: string;
  /** One or more sentences for operators: what it does, unit, what the limits are. */
  readonly doc: string;
  /** "postern" marks our own parameters. */
  readonly origin: "postfix" | "postern";
  /** A change needs stop and start; a reload reports it and keeps the old value. */
  readonly restart?: boolean;
  /** Not expanded when read; the reader expands it later with names of its own (smtpd_reject_footer, default_rbl_reply). */
  readonly raw?: boolean;
  /** Value of the fully expanded text; throws ParameterError. */
  readonly parse: (expanded: string, name: string) => T;
}

/** A value that does not fit its declaration. The message is Postfix's; config/ adds file and line. */
export class ParameterError extends Error {
  override readonly name = "ParameterError";
}

type Extra = { readonly origin?: "postern"; readonly restart?: boolean; readonly raw?: boolean };

function extras(extra: Extra | undefined): Pick<Declaration<unknown>, "origin" | "restart" | "raw"> {
  return { origin: "postfix", ...extra };
}

/** `yes` or `no`, in any case. */
export function bool(defaultText: string, doc: string, extra?: Extra): Declaration<boolean> {
  return {
    type: "bool",
    default: defaultText,
    doc,
    ...extras(extra),
    parse(text, name) {
      if (/^yes$/i.test(text)) return true;
      if (/^no$/i.test(text)) return false;
      throw new ParameterError(`bad boolean configuration: ${name} = ${text}`);
    },
  };
}

/** A whole number within [min, max]. */
export function int(
  defaultText: string,
  range: { readonly min?: number; readonly max?: number },
  doc: string,
  extra?: Extra,
): Declaration<number> {
  return {
    type: "int",
    default: defaultText,
    doc,
    ...extras(extra),
    parse(text, name) {
      if (!/^[+-]?\d+$/.test(text)) throw new ParameterError(`bad numerical configuration: ${name} = ${text}`);
      return within(Number(text), text, name, range);
    },
  };
}

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** A duration, `number[smhdw]`, in milliseconds; a bare number counts in `unit`. */
export function time(
  defaultText: string,
  unit: keyof typeof UNIT_MS,
  range: { readonly min?: number; readonly max?: number },
  doc: string,
  extra?: Extra,
): Declaration<number> {
  return {
    type: "time",
    default: defaultText,
    doc,
    ...extras(extra),
    parse(text, name) {
      const m = /^(\d+)([smhdw]?)$/i.exec(text);
      if (!m) throw new ParameterError(`bad time configuration: ${name} = ${text}`);
      const suffix = (m[2] || unit).toLowerCase() as keyof typeof UNIT_MS;
      return within(Number(m[1]) * UNIT_MS[suffix], text, name, range);
    },
  };
}

/** One of a few words; the value is the word in lower case. */
export function word<const W extends string>(
  defaultText: string,
  words: readonly W[],
  doc: string,
  extra?: Extra,
): Declaration<W> {
  return {
    type: "word",
    default: defaultText,
    doc,
    ...extras(extra),
    parse(text, name) {
      const found = words.find((w) => w.toLowerCase() === text.toLowerCase());
      if (found === undefined) {
        throw new ParameterError(
          `bad configuration: ${name} = ${text}; specify one of: ${words.filter(Boolean).join(", ")}`,
        );
      }
      return found;
    },
  };
}

/** Any of a few words, in any case; the value is the words in lower case. Messages as name_mask(3postfix). */
export function words<const W extends string>(
  defaultText: string,
  known: readonly W[],
  doc: string,
): Declaration<readonly W[]> {
  return {
    type: "list",
    default: defaultText,
    doc,
    ...extras(undefined),
    parse: (text, name) =>
      splitList(text, name).map((item) => {
        const found = known.find((word) => word === item.toLowerCase());
        if (found === undefined) throw new ParameterError(`unknown ${name} value "${item}" in "${text}"`);
        return found;
      }),
  };
}

/** Any text, kept as it is. */
export function text(defaultText: string, doc: string, extra?: Extra): Declaration<string> {
  return { type: "text", default: defaultText, doc, ...extras(extra), parse: (value) => value };
}

/** A file or directory name; relative names are the reader's to resolve. Files named here are read by the master. */
export function file(defaultText: string, doc: string, extra?: Extra): Declaration<string> {
  return { ...text(defaultText, doc, extra), type: "file" };
}

/** Words separated by commas and white space; `{ … }` protects blanks and stays on its item (splitList()). */
export function list(defaultText: string, doc: string, extra?: Extra): Declaration<readonly string[]> {
  return { type: "list", default: defaultText, doc, ...extras(extra), parse: (value, name) => splitList(value, name) };
}

/** Splits a Postfix list at commas and white space, outside braces. Items keep their outer braces. */
export function splitList(value: string, name: string): readonly string[] {
  const items: string[] = [];
  let depth = 0;
  let start = -1;
  for (let i = 0; i <= value.length; i++) {
    const c = value[i];
    const separator = c === undefined || c === "," || c === " " || c === "\t" || c === "\n" || c === "\r";
    if (separator && (depth === 0 || c === undefined)) {
      if (start >= 0) items.push(value.slice(start, i));
      start = -1;
      continue;
    }
    if (start < 0) start = i;
    if (c === "{") depth++;
    if (c === "}") depth--;
    if (depth < 0) throw new ParameterError(`syntax error: "}" without "{" in parameter ${name}: "${value}"`);
  }
  if (depth > 0) throw new ParameterError(`syntax error: missing "}" in parameter ${name}: "${value}"`);
  return items;
}

function within(
  value: number,
  given: string,
  name: string,
  range: { readonly min?: number; readonly max?: number },
): number {
  if (range.min !== undefined && value < range.min) {
    throw new ParameterError(`invalid ${name} parameter value ${given} < ${range.min}`);
  }
  if (range.max !== undefined && value > range.max) {
    throw new ParameterError(`invalid ${name} parameter value ${given} > ${range.max}`);
  }
  return value;
}
