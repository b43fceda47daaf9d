/** master/live.ts: views that follow the current generation, for the scheduler, which outlives every generation. */
import { Parameters } from "../config/parameters.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";

/** Parameters that always read the generation of the moment. */
export function liveParameters(current: () => Parameters): Parameters {
  return new LiveParameters(current);
}

class LiveParameters extends Parameters {
  readonly #current: () => Parameters;
  constructor(current: () => Parameters) {
    super({ assignments: [], builtins: new Map() });
    this.#current = current;
  }
  override get: Parameters["get"] = (name) => this.#current().get(name);
  override text: Parameters["text"] = (name) => this.#current().text(name);
  override unexpanded: Parameters["unexpanded"] = (name) => this.#current().unexpanded(name);
  override expand: Parameters["expand"] = (text) => this.#current().expand(text);
  override source: Parameters["source"] = (name) => this.#current().source(name);
  override forTransport: Parameters["forTransport"] = (transport, suffix, fallback) =>
    this.#current().forTransport(transport, suffix, fallback);
}

export function liveResolver(current: () => AddressResolver): AddressResolver {
  return {
    rewrite: (address) => current().rewrite(address),
    classOf: (address) => current().classOf(address),
    route: (recipient, sender) => current().route(recipient, sender),
    unlistedIn: (address) => current().unlistedIn(address),
    hasSenderRouting: (address) => current().hasSenderRouting(address),
  };
}
