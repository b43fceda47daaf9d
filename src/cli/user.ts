/** cli/user.ts: `postern user`: add, passwd, list, delete on the user file. Works whether the server runs or not; a running
 *  server notices the new file. Exit codes as design §12: 0 done, 1 refused, 64 usage, 75 try again, 77, 78. */
import { randomBytes } from "node:crypto";
import { unreachable } from "../base/unreachable.ts";
import { prepare } from "../sasl/prepare.ts";
import {
  addUser,
  checkLogin,
  deleteUser,
  type Edit,
  listUsers,
  parseUsers,
  setPassword,
  type UserSecrets,
} from "../sasl/user-file.ts";
import { editUserFile, loadUserFile, UserFileError } from "../sasl/user-store.ts";
import { DEFAULT_SCRAM_ITERATIONS, deriveScramKeys, deriveScrypt, SALT_BYTES } from "../sasl/verifiers.ts";

export interface UserIo {
  /** All of standard input. */
  stdin(): Promise<string>;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Asks on the terminal without echo; absent when there is none. */
  promptPassword?(prompt: string): Promise<string>;
  /** Path of the user file, from the configuration. */
  userFile(): Promise<string>;
}

const USAGE = `Usage: postern user add LOGIN [--password-stdin] [--cram-md5]
       postern user passwd LOGIN [--password-stdin] [--cram-md5]
       postern user list [--json]
       postern user delete LOGIN
`;

type Verb = "add" | "passwd" | "list" | "delete";

const FLAGS: Readonly<Record<Verb, readonly string[]>> = {
  add: ["--password-stdin", "--cram-md5"],
  passwd: ["--password-stdin", "--cram-md5"],
  list: ["--json"],
  delete: [],
};

interface Command {
  readonly verb: Verb;
  readonly login: string;
  readonly flags: ReadonlySet<string>;
}

/** A command that ends here; the message is `what: why; what to do`. */
class Refusal extends Error {
  override readonly name = "Refusal";
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Runs `postern user ARGV`; the result is the exit code. Never rejects for what an operator can do wrong. */
export async function runUser(argv: readonly string[], io: UserIo): Promise<number> {
  if (argv.length === 1 && (argv[0] === "--help" || argv[0] === "-h")) {
    io.stdout.write(USAGE);
    return 0;
  }
  try {
    const command = parseCommand(argv);
    const path = await io.userFile();
    await run(command, path, io).catch((error) => {
      throw error instanceof UserFileError ? refusalOf(path, error) : error;
    });
    return 0;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    io.stderr.write(`postern: user: ${error.message}\n`);
    if (error.exitCode === 64) io.stderr.write(USAGE);
    return error.exitCode;
  }
}

function parseCommand(argv: readonly string[]): Command {
  const [verb, ...rest] = argv;
  if (verb !== "add" && verb !== "passwd" && verb !== "list" && verb !== "delete") {
    throw new Refusal(64, verb === undefined ? "no command given" : `${JSON.stringify(verb)}: unknown command`);
  }
  const flags = new Set(rest.filter((word) => word.startsWith("--")));
  const words = rest.filter((word) => !word.startsWith("--"));
  for (const flag of flags) {
    if (!FLAGS[verb].includes(flag)) throw new Refusal(64, `${verb}: unknown option ${JSON.stringify(flag)}`);
  }
  const wanted = verb === "list" ? 0 : 1;
  if (words.length !== wanted) {
    throw new Refusal(64, `${verb}: expected ${wanted === 1 ? "one LOGIN" : "no LOGIN"}, got ${words.length}`);
  }
  return { verb, login: words[0] ?? "", flags };
}

async function run(command: Command, path: string, io: UserIo): Promise<void> {
  const { verb, login, flags } = command;
  switch (verb) {
    case "list":
      return list(path, io, flags.has("--json"));
    case "delete":
      return finish(login, await editUserFile(path, (text) => deleteUser(text, login)));
    case "add":
    case "passwd":
      return store(command, path, io);
    default:
      return unreachable(verb);
  }
}

async function store(command: Command, path: string, io: UserIo): Promise<void> {
  const { verb, login, flags } = command;
  const fault = checkLogin(login);
  if (fault !== undefined) throw new Refusal(1, `${JSON.stringify(login)}: ${fault}; choose another login`);
  const known = parseUsers((await loadUserFile(path)) ?? "", path).users.get(login);
  // Before the password is asked for; the edit below decides.
  if (verb === "add" && known) finish(login, { kind: "refused", reason: `login "${login}" exists already` });
  const secrets = derive(await readPassword(flags, io), flags.has("--cram-md5") || known?.cramSecret !== undefined);
  const edit = verb === "add" ? addUser : setPassword;
  finish(login, await editUserFile(path, (text) => edit(text, login, secrets)));
}

function derive(password: string, cram: boolean): UserSecrets {
  return {
    scrypt: deriveScrypt(password),
    scram: deriveScramKeys(password, randomBytes(SALT_BYTES), DEFAULT_SCRAM_ITERATIONS),
    cramSecret: cram ? Buffer.from(password) : undefined,
  };
}

/** The prepared password (RFC 4013), so that every client's spelling of it compares equal. */
async function readPassword(flags: ReadonlySet<string>, io: UserIo): Promise<string> {
  const given = flags.has("--password-stdin") ? firstLine(await io.stdin()) : await askTwice(io);
  if (given === "") throw new Refusal(1, "password: it is empty; give one");
  const prepared = prepare(given, "stored");
  if (prepared === undefined) {
    throw new Refusal(
      1,
      "password: it holds characters that clients cannot send reliably (RFC 4013); choose another one",
    );
  }
  return prepared;
}

function firstLine(text: string): string {
  const match = /^([^\r\n]*)\r?\n?$/.exec(text);
  if (match === null)
    throw new Refusal(1, "password: standard input holds more than one line; give the password alone");
  return match[1] ?? "";
}

async function askTwice(io: UserIo): Promise<string> {
  if (io.promptPassword === undefined) {
    throw new Refusal(64, "password: there is no terminal to ask on; use --password-stdin");
  }
  const password = await io.promptPassword("Password: ");
  if ((await io.promptPassword("Password again: ")) !== password) {
    throw new Refusal(1, "password: the two entries differ; try again");
  }
  return password;
}

async function list(path: string, io: UserIo, json: boolean): Promise<void> {
  const text = await loadUserFile(path);
  if (text === undefined) throw new Refusal(78, `${path}: no such file; make it with "postern user add LOGIN"`);
  const users = listUsers(text, path).map(({ login, cramSecret }) => ({ login, cramMd5: cramSecret !== undefined }));
  if (json) io.stdout.write(`${JSON.stringify(users)}\n`);
  else for (const user of users) io.stdout.write(`${user.login}${user.cramMd5 ? " (CRAM-MD5)" : ""}\n`);
  const [problem] = parseUsers(text, path).problems;
  if (problem) throw new Refusal(78, `${path}:${problem.at?.line}: ${problem.text}; correct or delete the line`);
}

function finish(login: string, edit: Edit): void {
  if (edit.kind === "done") return;
  const remedy = edit.reason.includes("exists") ? `use "postern user passwd ${login}"` : 'see "postern user list"';
  throw new Refusal(1, `${JSON.stringify(login)}: ${edit.reason}; ${remedy}`);
}

const REMEDIES = new Map([
  ["ELOOP", { exitCode: 77, remedy: "name the file itself in postern_user_file" }],
  ["EACCES", { exitCode: 77, remedy: "run as the owner of the file" }],
  ["EPERM", { exitCode: 77, remedy: "run as the owner of the file" }],
  ["LOCKED", { exitCode: 75, remedy: "try again, or delete that file if no other postern user runs" }],
  ["ENOENT", { exitCode: 78, remedy: "make the directory, or set postern_user_file" }],
]);

function refusalOf(path: string, error: UserFileError): Refusal {
  const { exitCode, remedy } = REMEDIES.get(error.code) ?? { exitCode: 75, remedy: "see the system's log" };
  return new Refusal(exitCode, `${path}: ${error.message}; ${remedy}`);
}
