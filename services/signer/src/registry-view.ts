import { errorCode, ServiceError } from "@redoubt/base";
import { Registry } from "@redoubt/registry";
import { CompactRange, hashLeaf, type VerifierKey } from "@redoubt/tlog";
import { ask, LEDGER, RegistryFeed, type RegistryFeedItem, type Requester } from "@redoubt/wire";
import type { SignerEvents } from "./events.ts";
import type { Tree } from "./log-opening.ts";
import type { RememberedTree } from "./state-file.ts";
import type { WitnessGuard } from "./witness-guard.ts";

export interface RegistryViewOptions {
  readonly client: Requester;
  readonly log: string;
  readonly logKey: VerifierKey;
  readonly operator: VerifierKey;
  readonly guard: WitnessGuard;
  readonly events: SignerEvents;
  readonly remembered: RememberedTree | undefined;
  /** THREAT-38: what the witness holds of it now; asked once, before the first reading. */
  readonly witnessed: () => Promise<Tree>;
}

/** One reading of the registry from its beginning. */
interface Fold {
  readonly registry: Registry;
  readonly feed: RegistryFeed;
  readonly range: CompactRange;
  /** Roots of the newest sizes, which cosignatures are held against. */
  readonly roots: Map<number, Buffer>;
}

const REMEMBERED_ROOTS = 1024;

/**
 * The registry as this signer knows it. The ledger that hands it out is not trusted: it can neither leave out a
 * statement's body, nor show a shorter or another registry than before, nor keep news back for longer than
 * `maxUnwitnessed`: the witness vouches for no old size again (THREAT-06, THREAT-30).
 */
export class RegistryView {
  readonly #options: RegistryViewOptions;
  #fold: Fold;
  /** The largest tree that was proven, of this run or an earlier one. */
  #held: Tree;
  #witnessed: Tree | undefined;
  /** Why what was read last cannot be used; the next poll reads everything again. */
  #problem: string | undefined;
  #isForked = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: RegistryViewOptions) {
    this.#options = options;
    this.#held = options.remembered ?? { size: 0, root: CompactRange.empty().root() };
    this.#fold = this.#newFold();
  }

  get registry(): Registry {
    return this.#fold.registry;
  }

  /** The largest tree that was proven. */
  get held(): Tree {
    return this.#held;
  }

  /** @throws ServiceError `ERR_SIGNER_REGISTRY` while nothing can be decided by what was read */
  checkUsable(): void {
    if (this.#isForked || this.#problem !== undefined)
      throw new ServiceError("ERR_SIGNER_REGISTRY", `Registry: ${this.#problem ?? "forked"}`, {
        fields: { retryAfterSeconds: 5 },
      });
  }

  /** @throws ServiceError `ERR_SIGNER_REGISTRY`, `ERR_SIGNER_UNWITNESSED`, `ERR_SIGNER_CLOCK` */
  check(): void {
    this.checkUsable();
    this.#options.guard.check();
  }

  /** Reads what is new. One reading at a time, and one that begins after this call. */
  poll(): Promise<void> {
    const poll = this.#turn.then(() => this.#poll());
    this.#turn = poll.catch(() => undefined);
    return poll;
  }

  /** Resolves when the registry may have grown, or after `timeoutMs`. */
  wait(timeoutMs: number): Promise<void> {
    return this.#fold.feed.wait(timeoutMs);
  }

  /** Asks how far the witness has seen the registry, and when. */
  async refreshCosigned(): Promise<void> {
    const { client, log, guard, events } = this.#options;
    const { cosigned: note } = await ask(client, LEDGER.state, { log });
    if (note === "") return;
    try {
      const cosigned = guard.open(note);
      const root = this.#fold.roots.get(cosigned.size);
      // Larger than what we were given, or long past: it says nothing about what we hold.
      if (!root) return;
      if (!root.equals(cosigned.root)) throw this.#fork();
      guard.accept(cosigned);
    } catch (error) {
      events.cosignatureRefused(log, errorCode(error));
    }
  }

  async #poll(): Promise<void> {
    this.#witnessed ??= await this.#options.witnessed();
    if (this.#problem !== undefined) this.#fold = this.#newFold();
    const fold = this.#fold;
    try {
      await fold.feed.poll();
      if (fold.range.size < Math.max(this.#held.size, this.#witnessed.size))
        throw refusal("ERR_REGISTRY_SHORT", "Registry is shorter than it was seen");
      this.#problem = undefined;
      this.#held = { size: fold.range.size, root: fold.range.root() };
    } catch (error) {
      this.#refused(error);
      // Whatever broke a page off, the feed is past it: what was not taken could be a suspension.
      if (fold.feed.size !== fold.range.size) this.#brokenOff();
      throw error;
    }
  }

  #brokenOff(): void {
    if (this.#problem === undefined) this.#options.events.registryRefused("ERR_REGISTRY_ORDER");
    this.#problem ??= "ERR_REGISTRY_ORDER";
  }

  #refused(error: unknown): void {
    const code = errorCode(error);
    // A ledger that is away says nothing wrong: what was read stands, as long as the witness vouches for it.
    if (!(error instanceof ServiceError) || !code.startsWith("ERR_REGISTRY_")) return;
    if (this.#problem !== code) this.#options.events.registryRefused(code);
    this.#problem = code;
  }

  #fork(): ServiceError {
    this.#isForked = true;
    this.#options.events.registryRefused("ERR_REGISTRY_HISTORY");
    return refusal("ERR_REGISTRY_HISTORY", "The witness holds another registry");
  }

  #newFold(): Fold {
    const { client, log, logKey, operator } = this.#options;
    const range = CompactRange.empty();
    const roots = new Map<number, Buffer>();
    const registry = new Registry({ operator });
    const onItem = (item: RegistryFeedItem): void => this.#take(fold, item);
    const fold = {
      registry,
      range,
      roots,
      feed: new RegistryFeed({ client, log, logKey, onItem }),
    };
    return fold;
  }

  #take({ registry, range, roots }: Fold, item: RegistryFeedItem): void {
    // The feed does not give the rest of a page after an item that was refused: what follows has no place here.
    if (item.index !== range.size)
      throw refusal("ERR_REGISTRY_ORDER", "Registry items are not in order");
    range.append(hashLeaf(item.entry));
    const root = range.root();
    for (const known of [this.#held, this.#witnessed])
      if (range.size === known?.size && !root.equals(known.root))
        throw refusal("ERR_REGISTRY_HISTORY", "Registry is not the one that was seen");
    roots.set(range.size, root);
    roots.delete(range.size - REMEMBERED_ROOTS);
    const result = registry.apply(item);
    if (result.kind === "void") this.#options.events.registryVoid(item.index, result.code);
    // A body that is held back could be a suspension or a revocation: without it nothing is decided.
    if (result.kind === "hidden")
      throw refusal("ERR_REGISTRY_HIDDEN", `Registry entry ${item.index} has no body`);
  }
}

function refusal(code: string, message: string): ServiceError {
  return new ServiceError(code, message);
}
