/** master/preview.ts: what would change if the configuration in another directory took the place of this one, for
 *  `postern diff`. The other is read as if it stood here already: what it does not bring along is taken from here. */
import { posix } from "node:path";
import { formatProblem } from "../config/check.ts";
import { compareParameters, type ParameterChange } from "../config/compare-parameters.ts";
import { compareServices, type ServiceComparison } from "../config/compare-services.ts";
import { allReferences, type FileReference } from "../config/file-references.ts";
import { loadSnapshot } from "../config/load.ts";
import { SERVICES_FILE, servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, FileImage, Problem, ServiceEntry } from "../config/snapshot.ts";
import { ownNetworks } from "../net/interfaces.ts";
import { compareProofs, loudestFirst, type RelayChange } from "../proof/compare.ts";
import type { ServiceProof } from "../proof/service.ts";
import { compareTexts, type TextComparison, type TextForm } from "../tables/compare-text.ts";
import { type CheckOptions, checkLoaded, inOrder } from "./check.ts";
import { listenerSpecs } from "./listeners.ts";
import { proveSnapshot } from "./prove.ts";

/** A configuration with all that check says about it. */
export interface Candidate {
  /** undefined: nothing can be read. */
  readonly snapshot: ConfigSnapshot | undefined;
  readonly problems: readonly Problem[];
  /** Files that are not in the other directory and were taken from here. */
  readonly borrowed: readonly string[];
}

export interface FileChange {
  readonly path: string;
  readonly parameter: string;
  /** "unread": one of the two could not be read, so that nothing can be compared. */
  readonly kind: "changed" | "added" | "removed" | "unread";
  /** undefined where entries are nobody's business here: keys, certificates, passwords, settings of databases. */
  readonly entries: TextComparison | undefined;
}

export interface Preview {
  readonly services: ServiceComparison;
  readonly parameters: readonly ParameterChange[];
  readonly files: readonly FileChange[];
  /** Who can relay where, only where that changes; the loudest first. */
  readonly relays: readonly RelayChange[];
  /** Sockets that a reload opens and closes: "0.0.0.0:465". */
  readonly opens: readonly string[];
  readonly closes: readonly string[];
  /** Problems of the new configuration that the old one does not have, and the reverse. */
  readonly problems: { readonly added: readonly Problem[]; readonly removed: readonly Problem[] };
}

/** The configuration of `options.configDirectory`, or the one of `from` as if it stood there. */
export async function loadCandidate(options: CheckOptions, from?: string): Promise<Candidate> {
  const borrowed: string[] = [];
  const readers = from === undefined ? options : readAsIfMoved(options, from, borrowed);
  const { snapshot, problems } = await loadSnapshot({ ...readers, generation: 0, interfaces: ownNetworks() });
  return { snapshot, problems: inOrder([...problems, ...(snapshot ? await checkLoaded(snapshot) : [])]), borrowed };
}

function readAsIfMoved(options: CheckOptions, from: string, borrowed: string[]): CheckOptions {
  const { configDirectory, readFile, listDirectory, modifiedMs } = options;
  const readFrom = new Map<string, string>();
  const moved = (path: string) => {
    const below = posix.relative(configDirectory, path);
    return below.startsWith("..") || posix.isAbsolute(below) ? undefined : posix.join(from, below);
  };
  return {
    ...options,
    async readFile(path) {
      const there = moved(path);
      if (there === undefined) return readFile(path);
      try {
        const bytes = await readFile(there);
        readFrom.set(path, there);
        return bytes;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT" || isConfig(path, configDirectory)) throw error;
        // An index of the text that is here says nothing about a text that came along.
        if (readFrom.has(path.replace(INDEX, ""))) throw error;
        const bytes = await readFile(path);
        borrowed.push(path);
        return bytes;
      }
    },
    ...(modifiedMs && { modifiedMs: (path: string) => modifiedMs(readFrom.get(path) ?? path) }),
    ...(listDirectory && {
      listDirectory: (path: string) => {
        const there = moved(path);
        return there === undefined ? listDirectory(path) : listDirectory(there).catch(() => listDirectory(path));
      },
    }),
  };
}

const INDEX = /\.(?:postern-index|cdb)$/;

/** What the other directory must have of its own. */
function isConfig(path: string, configDirectory: string): boolean {
  return path === posix.join(configDirectory, "main.cf") || path === posix.join(configDirectory, "master.cf");
}

/** Everything that differs in meaning. */
export async function comparePreview(before: Candidate, after: Candidate): Promise<Preview> {
  const [old, now] = [before.snapshot, after.snapshot];
  if (!old || !now) throw new Error("There is nothing to compare with a configuration that cannot be read");
  const services = compareServices(old, now);
  const [oldSockets, newSockets] = [socketsOf(old), socketsOf(now)];
  return {
    services,
    parameters: compareParameters(old, now, services.pairs),
    files: compareFiles(old, now),
    relays: await compareRelays(old, now, services),
    opens: newSockets.filter((socket) => !oldSockets.includes(socket)),
    closes: oldSockets.filter((socket) => !newSockets.includes(socket)),
    problems: compareProblems(before.problems, after.problems),
  };
}

async function compareRelays(
  before: ConfigSnapshot,
  after: ConfigSnapshot,
  { added, removed, pairs }: ServiceComparison,
): Promise<readonly RelayChange[]> {
  const [old, now] = [await proveSnapshot(before), await proveSnapshot(after)];
  const find = (proofs: readonly ServiceProof[], at: ServiceEntry | undefined) =>
    proofs.find((proof) => at !== undefined && proof.name === at.name && proof.at.line === at.at.line);
  const both = [
    ...pairs,
    ...added.map((service) => ({ before: undefined, after: service })),
    ...removed.map((service) => ({ before: service, after: undefined })),
  ];
  return loudestFirst(both.flatMap((pair) => compareProofs(find(old, pair.before), find(now, pair.after))));
}

function socketsOf(snapshot: ConfigSnapshot): readonly string[] {
  const { specs } = listenerSpecs(snapshot, { servicesText: servicesText(snapshot), ipv6: true });
  return [...new Set(specs.map(({ host, port }) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)))];
}

/** A problem that has only moved to another line is the same. */
function compareProblems(before: readonly Problem[], after: readonly Problem[]): Preview["problems"] {
  const key = (problem: Problem) => formatProblem({ ...problem, at: problem.at && { file: problem.at.file, line: 0 } });
  const without = (problems: readonly Problem[], others: readonly Problem[]) => {
    const known = new Set(others.map(key));
    return problems.filter((problem) => !known.has(key(problem)));
  };
  return { added: without(after, before), removed: without(before, after) };
}

const FORMS: Partial<Readonly<Record<FileReference["kind"], TextForm>>> = {
  table: "table",
  rules: "rules",
  pattern: "words",
};

const SECRET = /_password_maps$|_password_file$|^postern_user_file$/;

function compareFiles(before: ConfigSnapshot, after: ConfigSnapshot): readonly FileChange[] {
  const [old, now] = [allReferences(before), allReferences(after)];
  const paths = [...new Set([...old.keys(), ...now.keys()])].filter((path) => path !== SERVICES_FILE).sort();
  return paths.flatMap((path) => {
    const reference = now.get(path) ?? old.get(path);
    if (reference === undefined || reference.kind === "index") return [];
    const [was, is] = [old.get(path) && before.files.get(path), now.get(path) && after.files.get(path)];
    const change = compareImages(was, is, reference);
    return change ? [{ path, parameter: reference.parameter, ...change }] : [];
  });
}

function compareImages(
  was: FileImage | undefined,
  is: FileImage | undefined,
  { kind, parameter }: FileReference,
): Pick<FileChange, "kind" | "entries"> | undefined {
  const unread = [was, is].filter((image) => image !== undefined && "error" in image).length;
  if (unread === 2 || (unread === 1 && (was === undefined || is === undefined))) return undefined;
  if (unread === 1) return { kind: "unread", entries: undefined };
  const [old, now] = [bytesOf(was), bytesOf(is)];
  if (was && is && Buffer.compare(old, now) === 0) return undefined;
  const form = SECRET.test(parameter) ? undefined : FORMS[kind];
  const entries = form && compareTexts(old, now, form);
  if (was && is && entries && !differs(entries)) return undefined;
  return { kind: was === undefined ? "added" : is === undefined ? "removed" : "changed", entries };
}

function bytesOf(image: FileImage | undefined): Uint8Array {
  return image && "bytes" in image ? image.bytes : new Uint8Array();
}

function differs({ added, removed, changed, reordered }: TextComparison): boolean {
  return added.length + removed.length + changed.length > 0 || reordered;
}
