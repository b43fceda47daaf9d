/** authentication/create.ts: verifies mail from elsewhere. States of one message: the session (spf() may be asked), the header (fields that only
 *  we may give are taken out), the body (hashed as it streams by), the verdict (asked once, kept). What cannot be found out is
 *  a temperror; only restrictions refuse. */
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { openKeys } from "../dkim/create.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type {
  AuthenticationVerdict,
  CameField,
  MessageAuthentication,
  MessageAuthenticator,
  MessageSeal,
  SenderFacts,
  SpfCheck,
} from "../mail/message-authentication.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { FileSource } from "../tables/table.ts";
import { loadLibrary } from "./library.ts";
import { Questions } from "./questions.ts";
import { claimsToBeOurs, formatResults, quoted } from "./results-field.ts";
import { beginSeal, type Sealed, type SealOptions } from "./seal.ts";
import { Signatures } from "./signatures.ts";
import { checkSpf } from "./spf.ts";
import { judge, unknownVerdict } from "./verdict.ts";

export interface AuthenticatorDeps {
  readonly dns: Dns | undefined;
  readonly clock: Pick<Clock, "now" | "monotonic">;
  /** Whether mail of strangers is verified here: the role of the service. */
  readonly role: "submission" | "mx";
  readonly log: Log;
  /** Those with the keys that seal. */
  readonly files: FileSource;
}

interface Settings {
  readonly serviceId: string;
  readonly hostname: string;
  readonly timeoutMs: number;
  readonly signatureLimit: number;
  readonly showsLogin: boolean;
  /** Results are written and removed; else only restrictions ask. */
  readonly writes: boolean;
  readonly role: "submission" | "mx";
  /** undefined: nothing is sealed. */
  readonly seals: Omit<SealOptions, "nowMs"> | undefined;
}

/** `asked`: restrictions ask what comes of it. undefined where nobody wants to know. */
export function createAuthenticator(
  params: Parameters,
  { asked, ...deps }: AuthenticatorDeps & { readonly asked: boolean },
): MessageAuthenticator | undefined {
  const writes = params.get("postern_authentication_results");
  const showsLogin = params.get("postern_authentication_results_login");
  const seals = params.get("postern_arc_seal");
  if (!writes && !showsLogin && !asked && !seals) return undefined;
  const settings: Settings = {
    serviceId: params.get("postern_authentication_service_id"),
    hostname: params.get("myhostname"),
    timeoutMs: params.get("postern_authentication_timeout"),
    signatureLimit: params.get("postern_authentication_signature_limit"),
    ...{ showsLogin, writes, role: deps.role },
    seals: seals ? sealKeys(params, deps) : undefined,
  };
  return { begin: (sender) => new Authentication(sender, settings, deps) };
}

function sealKeys(params: Parameters, { files, log }: AuthenticatorDeps): Settings["seals"] {
  const domain = params.get("postern_arc_seal_domain");
  const none = () => ({ problem: "postern_dkim_signing_file is empty" });
  return { domain, keys: openKeys(params, domain, { files, log }) ?? none };
}

class Authentication implements MessageAuthentication {
  readonly #from: SenderFacts;
  readonly #settings: Settings;
  readonly #deps: AuthenticatorDeps;
  #spf: Promise<readonly SpfCheck[]> | undefined;
  /** Once the header has come. "broken": it cannot be read. */
  #signatures: { readonly found: Signatures; readonly questions: Questions } | "broken" | undefined;
  #verdict: Promise<AuthenticationVerdict> | undefined;

  constructor(from: SenderFacts, settings: Settings, deps: AuthenticatorDeps) {
    this.#from = from;
    this.#settings = settings;
    this.#deps = deps;
  }

  get judged(): boolean {
    const { trusted, login } = this.#from;
    return this.#settings.role === "mx" && !trusted && login === undefined;
  }

  spf(): Promise<readonly SpfCheck[]> {
    this.#spf ??= this.#askSpf();
    return this.#spf;
  }

  async #askSpf(): Promise<readonly SpfCheck[]> {
    const { spf } = await loadLibrary();
    const { timeoutMs, hostname } = this.#settings;
    return checkSpf(this.#from, { spf, open: () => this.#questions(), timeoutMs, hostname });
  }

  beginSeal(): MessageSeal | undefined {
    const { seals } = this.#settings;
    if (seals === undefined || !this.judged) return undefined;
    const seal = beginSeal(() => this.#sealed(), { ...seals, nowMs: this.#deps.clock.now() });
    return {
      update: seal.update,
      sign: async (fields) => {
        const signed = await seal.sign(fields);
        if (signed.kind === "signed") return signed;
        this.#deps.log.warning(printableUtf8(`cannot seal: ${signed.reason}`));
        return { kind: "signed", fields: [] };
      },
    };
  }

  async #sealed(): Promise<Sealed | undefined> {
    const verdict = await this.verdict();
    const signatures = this.#signatures;
    if (verdict === undefined || signatures === undefined || signatures === "broken") return undefined;
    return { verdict, signatures: signatures.found, library: await loadLibrary() };
  }

  header<F extends CameField>(fields: readonly F[]): readonly F[] | Promise<readonly F[]> {
    const { writes, serviceId } = this.#settings;
    const kept = writes && !this.#from.trusted ? fields.filter((field) => !claimsToBeOurs(field, serviceId)) : fields;
    if (!this.judged) return kept;
    // Its questions are asked while the body arrives. Whoever waits for it hears what went wrong.
    this.spf().catch(() => undefined);
    return this.#readSignatures(fields).then(() => kept);
  }

  async #readSignatures(fields: readonly CameField[]): Promise<void> {
    const questions = this.#questions();
    const found = new Signatures({
      library: await loadLibrary(),
      resolve: questions.resolve,
      limit: this.#settings.signatureLimit,
      nowMs: this.#deps.clock.now(),
      sender: this.#from.sender,
    });
    try {
      await found.header(fields);
      this.#signatures = { found, questions };
    } catch (error) {
      // A header that the library cannot bear must not keep the mail out; nor does it get a good word.
      this.#failed(error);
    }
  }

  update(chunk: Uint8Array): void {
    if (this.#signatures !== undefined && this.#signatures !== "broken") this.#signatures.found.update(chunk);
  }

  async verdict(): Promise<AuthenticationVerdict | undefined> {
    if (!this.judged) return undefined;
    this.#verdict ??= this.#judge();
    return this.#verdict;
  }

  async #judge(): Promise<AuthenticationVerdict> {
    const spf = await this.spf();
    const { serviceId } = this.#settings;
    if (this.#signatures === undefined) await this.#readSignatures([]);
    const signatures = this.#signatures;
    try {
      if (signatures === undefined || signatures === "broken") return unknownVerdict(spf, serviceId);
      const { found, questions } = signatures;
      const { clientAddress, sender } = this.#from;
      const policies = this.#questions();
      const asked = { keys: questions.resolve, policies: policies.resolve, serviceId, clientAddress, sender, spf };
      const verdict = await judge(found, await loadLibrary(), asked);
      questions.rethrow();
      policies.rethrow();
      return verdict;
    } catch (error) {
      if (error instanceof Error && error.name === "NotAsked") throw error;
      this.#failed(error);
      return unknownVerdict(spf, serviceId);
    }
  }

  async resultsField(): Promise<string | undefined> {
    const { writes, showsLogin, serviceId } = this.#settings;
    const { login } = this.#from;
    if (writes && this.judged) return (await this.verdict())?.field;
    if (!showsLogin || login === undefined) return undefined;
    return formatResults(serviceId, [`auth=pass smtp.auth=${loginValue(login)}`]);
  }

  #questions(): Questions {
    const { dns, clock } = this.#deps;
    return new Questions({ dns, clock, timeoutMs: this.#settings.timeoutMs });
  }

  #failed(error: unknown): void {
    this.#signatures = "broken";
    this.#deps.log.warning(
      printableUtf8(`message authentication failed: ${error instanceof Error ? error.message : error}`),
    );
  }
}

/** RFC 8601 §2.2 pvalue: an address may stand as it is. */
function loginValue(login: string): string {
  return /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+$/.test(login) ? login : quoted(login);
}
