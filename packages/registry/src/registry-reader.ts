import { setTimeout as sleep } from "node:timers/promises";
import { errorCode, ServiceError } from "@redoubt/base";
import {
  CompactRange,
  hashLeaf,
  openCheckpoint,
  type TreeHead,
  type VerifierKey,
} from "@redoubt/tlog";
import { ask, LEDGER, MAX_STATEMENTS, proveGrowth, WireError, type Requester } from "@redoubt/wire";
import { credentialsOf } from "./client-credentials.ts";
import { byteLength, placeItems, type ShownItem, type UnverifiedPage } from "./registry-page.ts";
import type { FoldResult, RegistryItem } from "./registry-types.ts";
import { Registry } from "./registry.ts";
import { parseStatement } from "./statement-parser.ts";
import { registryEntry } from "./statement.ts";

export interface RegistryReaderOptions {
  readonly client: Requester;
  /** Origin of the registry. */
  readonly log: string;
  readonly logKey: VerifierKey;
  /** The first operator, who is pinned. */
  readonly operator: VerifierKey;
  /** Whether this reader is shown every statement: one without its body is then refused, with all that follow it. */
  readonly seesAll?: boolean;
  /** Gets items that are proven, and the tree that they lead to, before they count. If it throws, they do not count. */
  readonly keep?: (items: readonly RegistryItem[], head: TreeHead) => void;
  /** Gets each item once, in order, after it was folded. */
  readonly onItem?: (item: RegistryItem, result: FoldResult) => void;
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** Between two attempts, while it fails. */
  readonly retryMs: number;
  /** After each complete reading, with the number of items taken. */
  readonly onRead: (news: number) => void | Promise<void>;
  /** With the code of what went wrong; a wrong signature or root among them means that the ledger lies. */
  readonly onFailure: (code: string) => void;
}

interface GrownTree {
  readonly range: CompactRange;
  /** By size. */
  readonly roots: ReadonlyMap<number, Buffer>;
}

// THREAT-26: what a ledger can make its readers hold without having proven any of it.
const MAX_UNPROVEN_ITEMS = 4096;
const MAX_UNPROVEN_BYTES = 2 * 1024 * 1024;
/** How long the ledger may let one `wait` stand. */
const WAIT_MS = 10_000;
/** Roots are asked for of what a witness cosigned, and that is what the registry was a moment ago. */
const REMEMBERED_ROOTS = 1024;

/**
 * Reads and folds the registry log through a ledger's socket. The ledger is not trusted: entries count only when they
 * lead from the tree that we hold to a root that the registry's key signed, and only as their authors signed them. What
 * does not fit into the bounds at once is read in steps, each proven to be the beginning of that root's tree.
 */
export class RegistryReader {
  readonly registry: Registry;
  readonly #options: RegistryReaderOptions;
  readonly #expected: TreeHead[] = [];
  /** By size. */
  readonly #roots = new Map<number, Buffer>();
  #range = CompactRange.empty();
  #turn: Promise<number> = Promise.resolve(0);

  constructor(options: RegistryReaderOptions) {
    this.#options = options;
    this.registry = new Registry({ operator: options.operator });
  }

  /** The tree of all that was read. */
  get head(): TreeHead {
    return this.#range.head;
  }

  /** The root that the registry had at this size; undefined but for its newest 1024 sizes. */
  rootAt(size: number): Buffer | undefined {
    return this.#roots.get(size);
  }

  /** Tells that the registry had this tree: from now on one that is shorter, or has another root there, is refused. */
  expect(tree: TreeHead): void {
    if (tree.size > 0) this.#expected.push(tree);
  }

  /**
   * Takes what an earlier run read, from the first entry on, before anything is asked for.
   *
   * @throws ServiceError `ERR_REGISTRY_HISTORY`, `ERR_REGISTRY_BODY`, KeyError `ERR_CLIENT_CREDENTIALS`: nothing is taken
   */
  resume(items: readonly RegistryItem[]): void {
    const grown = this.#grow(items);
    this.#checkItems(items, grown);
    this.#take(items, grown);
  }

  /**
   * Reads until nothing is new; resolves with the number of items taken. Calls take turns, so that two callers never
   * deliver one item twice, and each has read at least what was there when it called. After an error, what was
   * proven before it stays taken.
   *
   * @throws ServiceError `ERR_REGISTRY_SHORT`, `ERR_REGISTRY_HISTORY`, `ERR_REGISTRY_HIDDEN`, `ERR_REGISTRY_BODY`;
   *   KeyError `ERR_CLIENT_CREDENTIALS`; TlogError for a signature or proof that is wrong; as `ask`; what `keep` throws
   */
  poll(): Promise<number> {
    const turn = this.#turn.then(() => this.#read());
    this.#turn = turn.catch(() => 0);
    return turn;
  }

  /** Reads whatever comes, until `signal` is aborted and the request under way has ended. Never throws. */
  async follow({ signal, retryMs, onRead, onFailure }: FollowOptions): Promise<void> {
    while (!signal.aborted) {
      try {
        await onRead(await this.poll());
        await this.wait(WAIT_MS);
      } catch (error) {
        if (signal.aborted) return;
        onFailure(errorCode(error));
        await pause(retryMs, signal);
      }
    }
  }

  /** Resolves when the registry may have grown, or after `timeoutMs`. */
  async wait(timeoutMs: number): Promise<void> {
    const { client, log } = this.#options;
    await ask(client, LEDGER.wait, { log, size: this.#range.size, timeoutMs });
  }

  async #read(): Promise<number> {
    const from = this.#range.size;
    while (await this.#step());
    const { size } = this.#range;
    if (this.#expected.some((tree) => tree.size > size))
      throw refusal(
        "ERR_REGISTRY_SHORT",
        "Registry is shorter than it was when it was read before",
      );
    return size - from;
  }

  /** Takes what the bounds allow; whether there may be more. */
  async #step(): Promise<boolean> {
    const { client, keep } = this.#options;
    const unproven: ShownItem[] = [];
    let bytes = 0;
    let next = this.#range.size;
    let page: UnverifiedPage;
    do {
      page = await ask(client, LEDGER.registry, { from: next, max: MAX_STATEMENTS });
      for (const item of placeItems(page, next)) {
        unproven.push(item);
        bytes += byteLength(item);
      }
      next = this.#range.size + unproven.length;
    } while (
      next < page.size &&
      unproven.length < MAX_UNPROVEN_ITEMS &&
      bytes < MAX_UNPROVEN_BYTES
    );
    if (unproven.length === 0) return false;
    const grown = this.#grow(unproven);
    await this.#prove(grown.range, page);
    this.#checkItems(unproven, grown);
    keep?.(unproven, grown.range.head);
    this.#take(unproven, grown);
    return next < page.size;
  }

  /** The tree after these items, and its roots on the way that are asked for. */
  #grow(items: readonly RegistryItem[]): GrownTree {
    const range = this.#range.clone();
    const roots = new Map<number, Buffer>();
    const firstNew = range.size + items.length - REMEMBERED_ROOTS;
    for (const { entry } of items) {
      range.append(hashLeaf(entry));
      const { size } = range;
      if (size > firstNew || this.#expected.some((tree) => tree.size === size))
        roots.set(size, range.root());
    }
    return { range, roots };
  }

  /** Verifies that the entries read so far are the beginning of the signed tree, or all of it. */
  async #prove(range: CompactRange, { checkpoint, size: saidSize }: UnverifiedPage): Promise<void> {
    const { client, log, logKey } = this.#options;
    const { size, root } = openCheckpoint(checkpoint, { origin: log, verifiers: [logKey] });
    const isWhole = range.size === size;
    if (size !== saidSize || (isWhole && !range.root().equals(root)))
      throw new WireError("ERR_WIRE_FRAME", `Registry ${log} does not lead to its signed root`);
    // Every size of the registry is one at which a batch ends, so the ledger can prove each.
    await proveGrowth(client, log, range.head, { size, root });
  }

  /** Checks, before any of them counts, that they lead through the expected trees and have the bodies of their entries. */
  #checkItems(items: readonly RegistryItem[], { roots }: GrownTree): void {
    for (const { size, root } of this.#expected)
      if (roots.get(size)?.equals(root) === false)
        throw refusal("ERR_REGISTRY_HISTORY", "Registry is not the one that was read before");
    for (const item of items) this.#checkBodies(item);
  }

  /** THREAT-06: the statement that is held back or exchanged could suspend somebody, so nothing counts without it. */
  #checkBodies({ index, entry, statement, envelope, credentials }: RegistryItem): void {
    if (!statement || !envelope) {
      if (this.#options.seesAll !== true) return;
      throw refusal("ERR_REGISTRY_HIDDEN", `Registry entry ${index} has no body`);
    }
    if (!registryEntry(statement, envelope).equals(entry))
      throw refusal("ERR_REGISTRY_BODY", `Registry entry ${index} has another body`);
    if (credentials) credentialsOf(parseStatement(statement), credentials);
  }

  #take(items: readonly RegistryItem[], { range, roots }: GrownTree): void {
    this.#range = range;
    for (const [size, root] of roots) this.#roots.set(size, root);
    for (const size of this.#roots.keys())
      if (size <= range.size - REMEMBERED_ROOTS) this.#roots.delete(size);
    const folded = items.map((item) => ({ item, result: this.registry.apply(item) }));
    // Last, when every item counts already: an `onItem` that throws, as on a full disk, must not keep any from counting.
    for (const { item, result } of folded) this.#options.onItem?.(item, result);
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch {
    // Stopped: the caller looks at the signal.
  }
}

function refusal(code: string, message: string): ServiceError {
  return new ServiceError(code, message);
}
