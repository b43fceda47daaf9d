/** cli/dkim.ts: `postern dkim`: makes signing keys, keeps the signing file, says what to publish and whether DNS has it. Keys go
 *  through three states: publish → sign → retired (dkim/signing-file.ts). A running server takes the file as it changes; new
 *  key files need `postern reload`. */
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { domainToASCII } from "node:url";
import {
  type DkimKeyFile,
  keyName,
  keysOf,
  lookUpKey,
  readSigningFile,
  type SigningFileOnDisk,
  type TxtAnswer,
} from "../admin/dkim-keys.ts";
import { systemClock } from "../base/clock.ts";
import { writeFileDurably } from "../base/durable.ts";
import { type Algorithm, generateKey, parseKey, publicRecord, zoneLine } from "../dkim/key.ts";
import type { Published } from "../dkim/published.ts";
import { addLines, changeStates } from "../dkim/signing-file.ts";
import { createDns } from "../dns/create.ts";
import { type DkimOptions, parseDkimOptions, USAGE } from "./dkim-options.ts";
import { parametersOf } from "./server-commands.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

const ALGORITHMS: readonly { readonly algorithm: Algorithm; readonly letter: string }[] = [
  { algorithm: "rsa-sha256", letter: "r" },
  { algorithm: "ed25519-sha256", letter: "e" },
];
const KEY_MODE = 0o600;
const FILE_MODE = 0o644;
const HEAD = "# domain  selector  key-file  [publish | sign | retired]; made by `postern dkim`\n";

export const dkim: Command = async (args, terminal) => {
  const given = parseDkimOptions(args);
  if ("problem" in given) return failed(terminal, "dkim", `${given.problem}\n${USAGE.trimEnd()}`, EXIT.usage);
  if (given.verb === "help") {
    terminal.stdout(USAGE);
    return EXIT.done;
  }
  const params = await parametersOf(terminal);
  const servers = given.servers.length > 0 ? given.servers : params.get("postern_dns_servers");
  const options = { ...given, servers };
  const configured = params.get("postern_dkim_signing_file");
  const path = resolve(terminal.configDirectory, configured || "dkim/keys");
  const file = readSigningFile(path);
  if ("problem" in file) return failed(terminal, "dkim", file.problem, EXIT.configuration);
  switch (options.verb) {
    case "generate":
      return generate(options, file, { terminal, configured: configured !== "" });
    case "rotate":
      return rotate(options, file, terminal);
    case "check":
      return check(options, file, terminal);
    case "dns":
      return printRecords(options, file, terminal);
    default:
      return list(options, file, terminal);
  }
};

async function generate(
  { domain, selector }: DkimOptions,
  file: SigningFileOnDisk,
  { terminal, configured }: { readonly terminal: Terminal; readonly configured: boolean },
): Promise<number> {
  const ascii = domainToASCII(domain.replace(/^\./, "")).toLowerCase();
  const base = selector ?? freeSelector(ascii, file);
  const names = ALGORITHMS.map(({ algorithm, letter }) => ({ algorithm, name: `${base}${letter}` }));
  for (const { name } of names) {
    const taken = takenBy(name, ascii, file);
    if (taken !== undefined) return failed(terminal, "dkim", `${taken}; give another --selector`, EXIT.problems);
  }
  const made: string[] = [];
  const records: string[] = [];
  mkdirSync(join(dirname(file.path), ascii), { recursive: true, mode: 0o700 });
  for (const { algorithm, name } of names) {
    const relative = keyPath(name, ascii);
    const pem = generateKey(algorithm);
    await writeFileDurably(join(dirname(file.path), relative), Buffer.from(pem), { mode: KEY_MODE });
    made.push(`${domain.startsWith(".") ? "." : ""}${ascii} ${name} ${relative} publish`);
    const key = parseKey(Buffer.from(pem));
    if (!("problem" in key)) records.push(zoneLine(`${name}._domainkey.${ascii}`, publicRecord(key)));
  }
  await writeFileDurably(file.path, Buffer.from(addLines(file.text ?? HEAD, made)), { mode: FILE_MODE });
  terminal.stdout(`Publish these records:\n\n${records.join("\n")}\n\n`);
  if (!configured) terminal.stdout(`Set in main.cf: postern_dkim_signing_file = ${file.path}\n`);
  terminal.stdout(`When DNS has them: postern dkim rotate ${ascii}\n`);
  return EXIT.done;
}

/** Why a new key must not have this selector: its record would take the place of another, or its file. */
function takenBy(name: string, domain: string, file: SigningFileOnDisk): string | undefined {
  if (file.lines.some((line) => line.domain === domain && line.selector === name)) {
    return `${domain} has a selector "${name}" already`;
  }
  const path = join(dirname(file.path), keyPath(name, domain));
  return existsSync(path) ? `${path} is there already` : undefined;
}

/** As the signing file names it. */
function keyPath(selector: string, domain: string): string {
  return join(domain, `${selector}.pem`);
}

/** Year and month; a letter behind it for the second in a month. */
function freeSelector(domain: string, file: SigningFileOnDisk): string {
  const month = new Date(systemClock.now()).toISOString().slice(0, 7).replace("-", "");
  const free = (base: string) =>
    ALGORITHMS.every(({ letter }) => takenBy(`${base}${letter}`, domain, file) === undefined);
  return ["", ..."bcdfghijklmnopqstuvwxyz"].map((suffix) => `${month}${suffix}`).find(free) ?? `${month}z`;
}

/** The published keys sign from now on, the others retire. */
async function rotate(options: DkimOptions, file: SigningFileOnDisk, terminal: Terminal): Promise<number> {
  const own = keysOf(file, options.domain);
  const coming = own.filter(({ line }) => line.state === "publish");
  if (coming.length === 0) {
    const text = `${options.domain} has no key in state "publish"; first: postern dkim generate ${options.domain}`;
    return failed(terminal, "dkim", text, EXIT.problems);
  }
  const results = options.force ? [] : await lookUp(coming, options.servers);
  const bad = results.filter(({ published }) => published.kind !== "right");
  for (const { key, published } of bad) terminal.stdout(describe(key, published));
  if (bad.length > 0) {
    return failed(terminal, "dkim", "DNS is not ready, nothing was changed; wait, or use --force", EXIT.tryAgain);
  }
  const changed = new Map<number, "sign" | "retired">();
  for (const { line } of own)
    if (line.state !== "retired") changed.set(line.line, line.state === "publish" ? "sign" : "retired");
  await writeFileDurably(file.path, Buffer.from(changeStates(file.text ?? "", changed)), { mode: FILE_MODE });
  for (const { line } of own) {
    const state = changed.get(line.line);
    if (state)
      terminal.stdout(`${line.selector}._domainkey.${line.domain}: ${state === "sign" ? "signs" : "retired"}\n`);
  }
  terminal.stdout(
    "Now: postern reload. Retired keys stay in DNS for a week: mail that they signed is still under way.\n",
  );
  return EXIT.done;
}

async function check(options: DkimOptions, file: SigningFileOnDisk, terminal: Terminal): Promise<number> {
  const keys = keysOf(file, options.domain);
  if (keys.length === 0) return noKey(options, file, terminal);
  const results = await lookUp(keys, options.servers);
  if (options.json) {
    for (const { key, published } of results) {
      const { domain, selector, state } = key.line;
      terminal.stdout(
        `${JSON.stringify({ domain, selector, state, dns: published.kind, ...("why" in published && { why: published.why }) })}\n`,
      );
    }
  } else for (const { key, published } of results) terminal.stdout(describe(key, published));
  return results.every(({ published }) => published.kind === "right") ? EXIT.done : EXIT.problems;
}

function noKey(options: DkimOptions, { path }: SigningFileOnDisk, terminal: Terminal): number {
  const text = `${path} names no key${ofDomain(options)}; make some: postern dkim generate ${options.domain || "DOMAIN"}`;
  return failed(terminal, "dkim", text, EXIT.problems);
}

function printRecords(options: DkimOptions, file: SigningFileOnDisk, terminal: Terminal): number {
  const keys = keysOf(file, options.domain);
  if (keys.length === 0) return noKey(options, file, terminal);
  let code: number = EXIT.done;
  for (const { line, key, problem } of keys) {
    if (key) terminal.stdout(`${zoneLine(keyName(line), publicRecord(key))}\n`);
    else code = failed(terminal, "dkim", problem ?? "", EXIT.problems);
  }
  return code;
}

function list(options: DkimOptions, file: SigningFileOnDisk, terminal: Terminal): number {
  const keys = keysOf(file, options.domain);
  if (keys.length === 0) noKey(options, file, terminal);
  for (const { line, key, problem } of keys) {
    const { domain, subdomains, selector, state } = line;
    const kind = key ? `${key.algorithm.replace("-sha256", "")} ${key.bits}` : `unusable: ${problem}`;
    if (options.json) terminal.stdout(`${JSON.stringify({ domain, subdomains, selector, state, key: kind })}\n`);
    else terminal.stdout(`${subdomains ? "." : ""}${domain}  ${selector}  ${state}  ${kind}\n`);
  }
  return EXIT.done;
}

interface LookedUp {
  readonly key: DkimKeyFile;
  readonly published: Published;
}

async function lookUp(keys: readonly DkimKeyFile[], servers: readonly string[]): Promise<readonly LookedUp[]> {
  const dns = createDns({ clock: systemClock, hostsText: "", ...(servers.length > 0 && { servers }) });
  const txt = async (name: string): Promise<TxtAnswer> => {
    const answer = await dns.txt?.(name);
    if (answer?.kind === "temporary") return { unknown: answer.text };
    return { records: answer?.kind === "found" ? answer.records : [] };
  };
  const results: LookedUp[] = [];
  for (const key of keys) results.push({ key, published: await lookUpKey(key, txt) });
  dns.close();
  return results;
}

function describe({ line, key }: DkimKeyFile, published: Published): string {
  const name = `${keyName(line)} (${line.state})`;
  if (published.kind === "right") return `ok       ${name}\n`;
  const record = key ? `\n         publish: ${zoneLine(keyName(line), publicRecord(key))}` : "";
  const why = "why" in published ? `: ${published.why}` : "";
  return `${published.kind.padEnd(8)} ${name}${why}${record}\n`;
}

function ofDomain({ domain }: DkimOptions): string {
  return domain === "" ? "" : ` of ${domain}`;
}
