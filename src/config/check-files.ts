/** config/check-files.ts: files that could not be read, and lookup tables of types that do not exist here. What only a
 *  default names is a warning: the operator did not ask for it. */

import { userFileAskedAt } from "./check-sasl.ts";
import { NOT_THERE } from "./file-error.ts";
import { type FileReference, indexPaths, referencedFiles } from "./file-references.ts";
import { ParameterError, type Parameters } from "./parameters.ts";
import { type ParameterName, REGISTRY } from "./registry.ts";
import { scopeOf } from "./scope.ts";
import type { ConfigSnapshot, Problem } from "./snapshot.ts";
import { isWithoutEffect } from "./without-effect.ts";

/** Table types of Postfix that tables/ cannot open. */
const UNSUPPORTED = /(?:^|[\s,{!])(?:proxy:)?(mongodb|nis|nisplus|netinfo|internal):\S/g;

/** Parameters whose every word with a colon is a table; the checks of submission are words with a grade. */
const MAPS = /(?:_maps|(?<!^postern_submission)_checks)$/;
const KNOWN =
  /^(?:proxy:)*(?:texthash|hash|btree|lmdb|cdb|dbm|sdbm|static|inline|cidr|regexp|pcre|unix|fail|environ|unionmap|pipemap|randmap|sqlite|pgsql|mysql|ldap|memcache|tcp|socketmap)$/;

export function checkFiles(snapshot: ConfigSnapshot): Problem[] {
  const problems: Problem[] = [];
  const references = new Map(referencedFiles(snapshot).map((reference) => [reference.path, reference]));
  for (const image of snapshot.files.values()) {
    if (!("error" in image)) continue;
    const reference = references.get(image.path);
    if (reference?.kind === "index" && isMissing(image)) continue;
    if (reference?.kind === "table" && isMissing(image) && hasIndex(snapshot, image.path)) continue;
    if (reference?.parameter === "postern_user_file") {
      problems.push(...checkUserFile(snapshot, image));
      continue;
    }
    const severity = reference && !reference.at ? "warning" : "error";
    const hint = reference ? `named by ${reference.parameter}${otherFiles(image.path, references)}` : undefined;
    problems.push({ severity, at: reference?.at, text: `open ${image.path}: ${image.error}`, hint });
  }
  problems.push(...checkValueFiles(snapshot, references.values()));
  return [...problems, ...checkPlaces(snapshot, references.values()), ...checkTables(snapshot)];
}

/** Without it mail from inside still flows, and the first `user add` mends it. */
function checkUserFile(snapshot: ConfigSnapshot, { path, error }: { path: string; error: string }): readonly Problem[] {
  const at = userFileAskedAt(snapshot);
  if (at === undefined) return [];
  const hint = "named by postern_user_file; every AUTH gets 454 until a user is there: postern user add LOGIN";
  return [{ severity: "warning", at, text: `open ${path}: ${error}`, hint }];
}

/** For the type of table that Postfix reads from an index only. */
function otherFiles(path: string, references: ReadonlyMap<string, FileReference>): string {
  const [index = ""] = indexPaths("hash", path);
  if (references.get(index)?.kind !== "index") return "";
  return '; its text or the index of "postern postmap" is read, never .db or .lmdb';
}

function isMissing(image: { readonly error: string }): boolean {
  return image.error === NOT_THERE;
}

/** True if an index answers in place of the missing text. */
function hasIndex(snapshot: ConfigSnapshot, path: string): boolean {
  return indexPaths("cdb", path).some((index) => {
    const image = snapshot.files.get(index);
    return image !== undefined && "bytes" in image;
  });
}

/** Postfix reads the first line only. */
function checkValueFiles(snapshot: ConfigSnapshot, references: Iterable<FileReference>): readonly Problem[] {
  return [...references].flatMap(({ path, parameter, at, kind }): Problem[] => {
    const image = kind === "value" ? snapshot.files.get(path) : undefined;
    if (image === undefined || "error" in image) return [];
    const isEmpty = !/^[^\n]*\S/.test(new TextDecoder().decode(image.bytes));
    return isEmpty ? [{ severity: "error", at, text: `${parameter} file ${path} is empty` }] : [];
  });
}

/** TLS files that are found here and would not be by Postfix. */
function checkPlaces(snapshot: ConfigSnapshot, references: Iterable<FileReference>): Problem[] {
  const has = (path: string) => snapshot.files.has(path) || inDirectory(snapshot, path);
  return [...references]
    .filter(({ path, fallback }) => fallback !== undefined && fallback !== path && !has(path) && has(fallback))
    .map(({ path, fallback, parameter, at }) => ({
      severity: "warning",
      at,
      text: `${parameter}: ${fallback} is used, because there is no ${path}`,
      hint: "Postfix looks in queue_directory only: name the whole path",
    }));
}

function inDirectory(snapshot: ConfigSnapshot, directory: string): boolean {
  return [...snapshot.files.keys()].some((path) => path.startsWith(`${directory}/`));
}

function checkTables(snapshot: ConfigSnapshot): Problem[] {
  const scopes = [undefined, ...snapshot.services.filter(({ overrides }) => overrides.length > 0)];
  return scopes.flatMap((service) => {
    const params = scopeOf(snapshot, service);
    const set = [...snapshot.mainCf, ...(service?.overrides ?? [])].map(({ name }) => name);
    const names = [...new Set([...Object.keys(REGISTRY), ...set])].filter((name) => !isWithoutEffect(name));
    return names.flatMap((name) => checkTypes(params, name));
  });
}

function checkTypes(params: Parameters, name: string): Problem[] {
  if (Object.hasOwn(REGISTRY, name) && REGISTRY[name as ParameterName].raw) return [];
  const at = params.source(name);
  // nis:mail.aliases, which only the default of alias_maps names, is left out where it is opened.
  if (at === undefined) return [];
  return [...unsupportedTypes(params, name)].map((type) => ({
    severity: "error",
    at,
    text: `unsupported dictionary type: ${type}`,
    hint: `in ${name}`,
  }));
}

function unsupportedTypes(params: Parameters, name: string): ReadonlySet<string> {
  const types = new Set<string>();
  try {
    const text = params.text(name);
    for (const match of text.matchAll(UNSUPPORTED)) types.add(match[1] ?? "");
    if (!MAPS.test(name)) return types;
    const words = text.replace(/\{[^{}]*\}/g, "").split(/[\s,]+/);
    for (const word of words) {
      const type = /^((?:proxy:)*[a-z]\w*):/.exec(word)?.[1];
      if (type !== undefined && !KNOWN.test(type)) types.add(type.replace(/^(?:proxy:)+/, ""));
    }
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error; // check-values.ts reports it
  }
  return types;
}
