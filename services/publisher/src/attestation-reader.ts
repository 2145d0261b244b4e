import { errorCode, type Clock } from "@redoubt/base";
import type { BrokerInfo } from "@redoubt/registry";
import { EMPTY_ROOT, type TreeHead } from "@redoubt/tlog";
import { type LogSource, readLogState, type Requester } from "@redoubt/wire";
import { Attestations, type KeyAttestation } from "./attestations.ts";
import type { PublisherEvents } from "./events.ts";
import { readGrant } from "./read-grant.ts";

export interface AttestationReaderOptions {
  /** Of its own: what goes wrong on it keeps nobody else from the ledger. */
  readonly client: Requester & AsyncDisposable;
  readonly clock: Pick<Clock, "monotonic">;
  readonly events: PublisherEvents;
  /** Of all documents, as they are served. */
  readonly maxBytes?: number;
}

/** Realm of each key, by kid. */
export type ServedKeys = ReadonlyMap<string, string>;

interface Progress {
  /** The tree whose grants were read. */
  readonly head: TreeHead;
  /** Keys for which older grants were looked through. */
  readonly sought: ReadonlySet<string>;
}

interface Pass {
  readonly source: LogSource;
  readonly progress: Progress;
  readonly head: TreeHead;
  /** Keys of whom no grant was found yet in this pass. */
  readonly unfound: Map<string, string>;
}

/** Grants of the newest ones, among which a key's is looked for. */
const MAX_GRANTS = 256;
/** Grants in one pass that cannot be read or do not verify. */
const MAX_FAILURES = 4;
const REST_MS = 30_000;
const BEGINNING: Progress = { head: { size: 0, root: EMPTY_ROOT }, sought: new Set() };

/**
 * Follows the brokers' logs and finds for each key that is served the newest grant that names it. The ledger is not
 * trusted: it can keep attestations from being shown, for as long as it does so, and nothing else.
 */
export class AttestationReader implements AsyncDisposable {
  readonly #options: AttestationReaderOptions;
  readonly #kept: Attestations;
  readonly #progress = new Map<string, Progress>();
  /** When to try again, by log. */
  readonly #failing = new Map<string, number>();
  #isClosed = false;

  constructor(options: AttestationReaderOptions) {
    this.#options = options;
    const { events, maxBytes } = options;
    this.#kept = new Attestations((kid) => events.attestationLeftOut(kid), maxBytes);
  }

  get size(): number {
    return this.#kept.size;
  }

  get(kid: string): KeyAttestation | undefined {
    return this.#kept.get(kid);
  }

  /**
   * Reads what is new, newest first. Never throws.
   *
   * @returns whether another attestation is to be shown than before
   */
  async read(brokers: Iterable<BrokerInfo>, served: ServedKeys): Promise<boolean> {
    const before = this.#kept.changes;
    this.#kept.retain(served);
    // oxlint-disable-next-line no-await-in-loop -- one log after the other: one grant is in memory at a time
    for (const broker of brokers) await this.#tryFollow(broker, served);
    return this.#kept.changes !== before;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#options.client[Symbol.asyncDispose]();
  }

  async #tryFollow(broker: BrokerInfo, served: ServedKeys): Promise<void> {
    const { clock, events } = this.#options;
    const { log } = broker;
    const restUntil = this.#failing.get(log);
    if (restUntil !== undefined && clock.monotonic() < restUntil) return;
    try {
      await this.#follow(broker, served);
      if (this.#failing.delete(log)) events.attestationsBack(log);
    } catch (error) {
      if (this.#isClosed) return;
      if (restUntil === undefined) events.attestationsFailed(log, errorCode(error));
      this.#failing.set(log, clock.monotonic() + REST_MS);
    }
  }

  async #follow(broker: BrokerInfo, served: ServedKeys): Promise<void> {
    const { log: origin, logKey, writer: writerKey, realms } = broker;
    const source = { client: this.#options.client, origin, logKey, writerKey };
    const unfound = new Map([...served].filter(([, realm]) => realms.includes(realm)));
    const sought = new Set(unfound.keys());
    const progress = this.#progress.get(origin) ?? BEGINNING;
    const { head } = (await readLogState(source, [progress.head])).range;
    await this.#readBack({ source, progress, head, unfound });
    this.#progress.set(origin, { head, sought });
  }

  /** From the newest grant back, until nothing is left to find. A bad one costs itself, unless its keys are nowhere else. */
  async #readBack(pass: Pass): Promise<void> {
    const { source, head } = pass;
    const end = Math.max(0, head.size - MAX_GRANTS);
    const failures: unknown[] = [];
    for (let index = head.size - 1; index >= end && isSought(pass, index); index -= 1) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- the next one is read only if this one names too few keys
        this.#take(pass, await readGrant(source, index));
      } catch (error) {
        failures.push(error);
        if (failures.length >= MAX_FAILURES) break;
      }
    }
    if (failures.length > 0 && pass.unfound.size > 0) throw failures[0];
  }

  /** P5: only keys of the lease's realm. `unfound` holds none of a realm for which this broker grants no leases. */
  #take({ unfound }: Pass, { shown, named }: Awaited<ReturnType<typeof readGrant>>): void {
    const { lease, binding } = named;
    for (const kid of binding.kids) {
      if (unfound.get(kid) !== lease.realm) continue;
      unfound.delete(kid);
      this.#kept.put(kid, shown);
    }
  }
}

/** Among grants that were read before, only a key is looked for that was not served then. */
function isSought({ unfound, progress }: Pass, index: number): boolean {
  if (index >= progress.head.size) return unfound.size > 0;
  return [...unfound.keys()].some((kid) => !progress.sought.has(kid));
}
