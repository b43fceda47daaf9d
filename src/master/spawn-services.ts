/** master/spawn-services.ts: the spawn services of the running configuration: opened with it, changed by a reload in its two
 *  phases, ended with the server. Commands that run when a reload comes go on as they began. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import { acceptUnread } from "../net/unread-connections.ts";
import { SpawnService } from "./spawn-service.ts";
import type { SpawnSpec } from "./spawn-specs.ts";

interface Open {
  readonly service: SpawnService;
  readonly listener: { close(): Promise<void> };
}

export interface PreparedSpawns {
  commit(): void;
  discard(): Promise<void>;
}

export class SpawnServices {
  readonly #clock: Clock;
  readonly #log: Log;
  /** By key of the spec. */
  readonly #open = new Map<string, Open>();

  constructor(context: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = context.clock;
    this.#log = context.log;
  }

  /** Opens what is new; changes nothing of what runs. Rejects with BindError. */
  async prepare(specs: readonly SpawnSpec[]): Promise<PreparedSpawns> {
    const added = new Map<string, Open>();
    const discard = async () => {
      await Promise.all([...added.values()].map(end));
    };
    try {
      for (const spec of specs) {
        if (!this.#open.has(spec.key) && !added.has(spec.key)) added.set(spec.key, await this.#listen(spec));
      }
    } catch (error) {
      await discard();
      throw error;
    }
    return { discard, commit: () => this.#commit(specs, added) };
  }

  async close(): Promise<void> {
    const all = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(all.map(end));
  }

  #commit(specs: readonly SpawnSpec[], added: ReadonlyMap<string, Open>): void {
    const keys = new Set(specs.map(({ key }) => key));
    for (const [key, open] of this.#open) {
      if (keys.has(key)) continue;
      this.#open.delete(key);
      void end(open);
    }
    for (const [key, open] of added) this.#open.set(key, open);
    for (const spec of specs) this.#open.get(spec.key)?.service.configure(spec);
  }

  async #listen(spec: SpawnSpec): Promise<Open> {
    const log = this.#log.with(spec.logTag);
    const service = new SpawnService(spec, { clock: this.#clock, log });
    const listener = await acceptUnread(
      spec.place,
      (connection) => service.accept(connection),
      (error) => log.warning(`accept: ${error.message}`),
    );
    return { service, listener };
  }
}

async function end({ service, listener }: Open): Promise<void> {
  await Promise.all([listener.close(), service.close()]);
}
