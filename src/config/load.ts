/** config/load.ts: main.cf and master.cf of a directory → one immutable snapshot with the bytes of every file they name.
 *  Reads through the given function only. What the values mean is check.ts; a snapshot is not yet a proven one. */
import { posix } from "node:path";
import { computeBuiltins } from "./builtins.ts";
import { checkSnapshot } from "./check.ts";
import { fileErrorText, NOT_THERE } from "./file-error.ts";
import { type FileReference, nestedReferences, referencedFiles } from "./file-references.ts";
import { parseMainCf } from "./main-cf.ts";
import { parseMasterCf } from "./master-cf.ts";
import { Parameters } from "./parameters.ts";
import { SERVICES_FILE } from "./services-file.ts";
import type { ConfigSnapshot, FileImage, Problem } from "./snapshot.ts";

export { scopeOf, serviceRole } from "./scope.ts";

/** Files whose text names further files. */
const NAMES_FILES: ReadonlySet<FileReference["kind"]> = new Set(["pattern", "settings", "signing"]);

export interface LoadOptions {
  /** Absolute. */
  readonly configDirectory: string;
  readonly generation: number;
  readonly hostname: string;
  readonly mailVersion: string;
  /** Rejects with a system error (`code`, `message`) when it cannot. */
  readonly readFile: (path: string) => Promise<Uint8Array>;
  /** Names in a directory; without it a directory holds nothing. Rejects as readFile. */
  readonly listDirectory?: (path: string) => Promise<readonly string[]>;
  /** Modification time in milliseconds; without it images carry 0. */
  readonly modifiedMs?: (path: string) => Promise<number>;
  /** Own addresses with prefix length, for the default of mynetworks; without them only loopback counts. */
  readonly interfaces?: readonly string[];
}

export interface LoadResult {
  /** undefined if a file of the two cannot be read or has a syntax error. */
  readonly snapshot: ConfigSnapshot | undefined;
  /** Syntax problems; those of checkSnapshot() too where there is no snapshot to give it. */
  readonly problems: readonly Problem[];
}

const MAX_FILES = 2000;
const MAX_CONFIG_BYTES = 8 * 1024 * 1024;

/** Never rejects for what an operator wrote or forgot: that is in `problems`. */
export async function loadSnapshot(options: LoadOptions): Promise<LoadResult> {
  const main = await readConfig(options, "main.cf");
  const master = await readConfig(options, "master.cf");
  const unreadable = [main, master].flatMap((file) => (file.problem ? [file.problem] : []));
  if (unreadable.length > 0) return { snapshot: undefined, problems: unreadable };
  const mainCf = parseMainCf(main.bytes, "main.cf");
  const masterCf = parseMasterCf(master.bytes, "master.cf");
  const problems = [...mainCf.problems, ...masterCf.problems];
  const bare: ConfigSnapshot = {
    generation: options.generation,
    configDirectory: options.configDirectory,
    mainCf: mainCf.assignments,
    services: masterCf.services,
    files: new Map(),
    builtins: computeBuiltins(options, mainCf.assignments),
  };
  const snapshot: ConfigSnapshot = { ...bare, files: await readFiles(bare, options) };
  if (problems.every(({ severity }) => severity !== "error")) return { snapshot, problems };
  return { snapshot: undefined, problems: [...problems, ...checkSnapshot(snapshot)] };
}

/** main.cf as far as it can be read, errors passed over: enough to find the server that runs with an earlier version of it.
 *  `unreadable` says why defaults stand for all of it. */
export async function tentativeParameters(
  options: LoadOptions,
): Promise<{ readonly params: Parameters; readonly unreadable: Problem | undefined }> {
  const { bytes, problem } = await readConfig(options, "main.cf");
  const { assignments } = parseMainCf(bytes, "main.cf");
  const params = new Parameters({ assignments, builtins: computeBuiltins(options, assignments) });
  return { params, unreadable: problem };
}

async function readConfig(
  options: LoadOptions,
  name: string,
): Promise<{ readonly bytes: Uint8Array; readonly problem?: Problem }> {
  const path = posix.join(options.configDirectory, name);
  const image = await readImage(path, options);
  if ("error" in image) {
    const text = `open ${path}: ${image.error}`;
    // What is said once of two files is enough.
    const hint = name === "main.cf" && image.error === NOT_THERE ? "name its directory: postern -c DIR" : undefined;
    return { bytes: new Uint8Array(), problem: { severity: "error", at: { file: name, line: 1 }, text, hint } };
  }
  if (image.bytes.length <= MAX_CONFIG_BYTES) return { bytes: image.bytes };
  const text = `${path} is longer than ${MAX_CONFIG_BYTES} bytes`;
  return { bytes: new Uint8Array(), problem: { severity: "error", at: { file: name, line: 1 }, text } };
}

async function readFiles(snapshot: ConfigSnapshot, options: LoadOptions): Promise<ReadonlyMap<string, FileImage>> {
  const files = new Map<string, FileImage>();
  const services = await readImage(SERVICES_FILE, options);
  if ("bytes" in services) files.set(SERVICES_FILE, services); // without it the built-in names stand
  const pending: FileReference[] = [...referencedFiles(snapshot)];
  for (let next = pending.shift(); next; next = pending.shift()) {
    if (files.has(next.path)) continue;
    if (files.size >= MAX_FILES) {
      files.set(next.path, { path: next.path, error: `more than ${MAX_FILES} files are named` });
      break;
    }
    if (next.kind === "directory") {
      pending.unshift(...(await readDirectory(next, options, files)));
      continue;
    }
    const image = await readReferenced(next, options);
    if (next.kind === "authority" && "error" in image) continue; // as OpenSSL passes over it
    files.set(image.path, image);
    if ("bytes" in image && NAMES_FILES.has(next.kind)) {
      const text = new TextDecoder().decode(image.bytes);
      pending.push(...nestedReferences(next, text, snapshot.configDirectory));
    }
  }
  return files;
}

/** The file itself, or what stands in its place. */
async function readReferenced({ path, fallback }: FileReference, options: LoadOptions): Promise<FileImage> {
  const image = await readImage(path, options);
  if (!("error" in image) || fallback === undefined) return image;
  const second = await readImage(fallback, options);
  return "error" in second ? image : second;
}

/** As `openssl rehash` names certificates. */
const HASHED = /^[0-9a-f]{8}\.\d+$/;

/** References to the certificates of a directory. One that cannot be read is kept with the reason, as a file is. */
async function readDirectory(
  reference: FileReference,
  options: LoadOptions,
  files: Map<string, FileImage>,
): Promise<readonly FileReference[]> {
  let failure: unknown;
  for (const directory of [reference.path, reference.fallback]) {
    if (directory === undefined) continue;
    try {
      const names = [...((await options.listDirectory?.(directory)) ?? [])].filter((name) => !name.startsWith("."));
      const hashed = names.filter((name) => HASHED.test(name));
      const chosen = (hashed.length > 0 ? hashed : names).sort();
      const { parameter, at } = reference;
      return chosen.map((name) => ({ path: posix.join(directory, name), parameter, at, kind: "authority" }));
    } catch (error) {
      failure ??= error;
    }
  }
  files.set(reference.path, { path: reference.path, error: fileErrorText(failure) });
  return [];
}

async function readImage(path: string, options: LoadOptions): Promise<FileImage> {
  try {
    // In this order: what is replaced meanwhile has another time than the image.
    const mtimeMs = (await options.modifiedMs?.(path)) ?? 0;
    return { path, bytes: await options.readFile(path), mtimeMs };
  } catch (error) {
    return { path, error: fileErrorText(error) };
  }
}
