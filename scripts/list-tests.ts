/** scripts/list-tests.ts FILE…: prints the names under which these test files register tests, as JSON lines of TestName.
 *  Loads the files with a node:test that writes names down and runs nothing, so a name is what the file really registers,
 *  also where it is made from a table or a dialogue file. Tests marked skip or todo are left out; subtests made inside a
 *  running test are not seen. Exit 1 if a file cannot be loaded. */
import { registerHooks } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

export interface TestName {
  /** Relative to the working directory, with slashes. */
  readonly file: string;
  /** With the names of the suites around it: `suite > test`. */
  readonly name: string;
}

type Body = (...args: never[]) => unknown;
interface Options {
  readonly skip?: boolean | string;
  readonly todo?: boolean | string;
}

const RECORDER = `
const { test, describe } = globalThis.postern_test_recorder;
const nothing = () => {};
export { test, test as it, describe, describe as suite };
export { nothing as before, nothing as after, nothing as beforeEach, nothing as afterEach };
export const mock = {};
export default test;
`;

const suites: string[] = [];
const names: TestName[] = [];
let file = "";

/** test(name?, options?, body?), as node:test takes them. */
function parseArguments(args: readonly unknown[]): { name: string; options: Options; body: Body | undefined } {
  const body = args.find((arg): arg is Body => typeof arg === "function");
  const options = args.find((arg): arg is Options => typeof arg === "object" && arg !== null) ?? {};
  const name = args.find((arg) => typeof arg === "string") ?? body?.name ?? "";
  return { name: String(name), options, body };
}

function left(options: Options): boolean {
  return Boolean(options.skip) || Boolean(options.todo);
}

function recordTest(...args: readonly unknown[]): Promise<void> {
  const { name, options, body } = parseArguments(args);
  if (body !== undefined && !left(options)) names.push({ file, name: [...suites, name].join(" > ") });
  return Promise.resolve();
}

function recordSuite(...args: readonly unknown[]): Promise<void> {
  const { name, options, body } = parseArguments(args);
  if (left(options)) return Promise.resolve();
  suites.push(name);
  try {
    (body as (() => void) | undefined)?.();
  } finally {
    suites.pop();
  }
  return Promise.resolve();
}

const ignore = (): Promise<void> => Promise.resolve();
const variants = { skip: ignore, todo: ignore };
Object.assign(globalThis, {
  postern_test_recorder: {
    test: Object.assign(recordTest, variants),
    describe: Object.assign(recordSuite, variants),
  },
});
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "node:test"
      ? { url: `data:text/javascript,${encodeURIComponent(RECORDER)}`, shortCircuit: true }
      : next(specifier, context),
});

for (const name of process.argv.slice(2)) {
  file = name;
  try {
    await import(pathToFileURL(path.resolve(name)).href);
  } catch (error) {
    console.error(`${name}:1: error: cannot be loaded: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
// What the files have left running does not matter; but nothing of the output may be cut off.
process.stdout.write(names.map((entry) => `${JSON.stringify(entry)}\n`).join(""), () => process.exit());
