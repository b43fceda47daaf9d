/** config/file-error.ts: why a file could not be read, in the words of the C library, as Postfix logs them. */

/** What fileErrorText() says of a file that does not exist. */
export const NOT_THERE = "No such file or directory";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: NOT_THERE,
  EACCES: "Permission denied",
  EISDIR: "Is a directory",
  ENOTDIR: "Not a directory",
  ELOOP: "Too many levels of symbolic links",
};

export function fileErrorText(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}
