/** log/rotate-suffix.ts: maillog_file_rotate_suffix, a strftime(3) format, in local time. */

const two = (n: number) => String(n).padStart(2, "0");
const CONVERSIONS: Readonly<Record<string, (d: Date) => string>> = {
  Y: (d) => String(d.getFullYear()),
  y: (d) => two(d.getFullYear() % 100),
  m: (d) => two(d.getMonth() + 1),
  d: (d) => two(d.getDate()),
  H: (d) => two(d.getHours()),
  M: (d) => two(d.getMinutes()),
  S: (d) => two(d.getSeconds()),
  F: (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`,
  T: (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`,
  s: (d) => String(Math.floor(d.getTime() / 1000)),
  "%": () => "%",
};

/** The suffix, or one sentence on what is wrong with the format. A suffix is never empty and holds no `/`. */
export function formatRotateSuffix(
  format: string,
  at: Date,
): { readonly suffix: string } | { readonly problem: string } {
  const unknown = /%([^YymdHMSFTs%]|$)/.exec(format.replaceAll("%%", ""));
  if (unknown)
    return { problem: `maillog_file_rotate_suffix: "${unknown[0]}" is none of %Y %y %m %d %H %M %S %F %T %s %%` };
  const suffix = format.replace(/%(.)/g, (whole, letter: string) => CONVERSIONS[letter]?.(at) ?? whole);
  if (suffix === "" || suffix.includes("/"))
    return { problem: `maillog_file_rotate_suffix: "${suffix}" cannot end a file name` };
  return { suffix };
}
