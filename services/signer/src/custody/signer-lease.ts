import { ServiceError, type Clock } from "@redoubt/base";
import type { GrantLog, Lease } from "@redoubt/lease";
import { LeaseAgent, type LeaseInHand, type OpenedAttester } from "@redoubt/lease/agent";
import type { TreeHead } from "@redoubt/tlog";
import type { Requester } from "@redoubt/wire";
import type { SignerEvents } from "../events.ts";
import { IMAGE_VERSION } from "../image.ts";

export interface SignerLeaseOptions {
  readonly broker: Requester & AsyncDisposable;
  readonly attester: OpenedAttester;
  readonly log: GrantLog;
  readonly realm: string;
  /** This signer's service, which is its name at the broker. */
  readonly service: string;
  readonly clock: Clock;
  readonly events: Pick<SignerEvents, "leaseGranted" | "leaseFailed">;
}

/** P5: this signer's right to use its keys, which it proves anew before each lease ends. */
export class SignerLease implements AsyncDisposable {
  readonly #agent: LeaseAgent;
  readonly #owned = new AsyncDisposableStack();
  /** The registry as this signer has read it. */
  #held: () => TreeHead | undefined = () => undefined;
  #kids: readonly string[] = [];

  constructor(options: SignerLeaseOptions) {
    const { broker, attester, service, events } = options;
    this.#owned.use(attester);
    this.#owned.use(broker);
    this.#agent = new LeaseAgent({
      ...options,
      signer: service,
      imageVersion: IMAGE_VERSION,
      kids: () => this.#kids,
      hasRead: (asked) => this.#hasRead(asked),
      onGranted: (lease) => events.leaseGranted(lease),
      onFailed: (error) => events.leaseFailed(error),
    });
  }

  get lease(): LeaseInHand | undefined {
    return this.#agent.lease;
  }

  /** The gateway takes this lease no more: another is asked for at the next look. */
  giveUp(lease: Pick<LeaseInHand, "grant">): void {
    this.#agent.giveUp(lease);
  }

  /** Says where the registry is read to: until then no lease is taken. */
  follow(held: () => TreeHead): void {
    this.#held = held;
  }

  get isFirstAwaited(): boolean {
    return this.#agent.isFirstAwaited;
  }

  /**
   * What relying parties are told. A TPM in software vouches for nothing; and where no gateway holds the keys, only this
   * signer itself checks its lease.
   */
  labelsFor(custody: string): readonly string[] {
    const { lease } = this.lease ?? {};
    const hardware = `hardware: ${lease?.hardware === true ? lease.platform : "none"}`;
    return custody === "gateway" ? [hardware] : [hardware, "lease: cooperative"];
  }

  /**
   * To be called every second.
   *
   * @param kids keys that this signer holds: evidence names them, for those who rely on them
   */
  look(kids: readonly string[]): void {
    this.#kids = kids;
    this.#agent.look();
  }

  /** @throws ServiceError `ERR_KEY_LEASE` */
  check(): void {
    if (this.lease === undefined)
      throw new ServiceError("ERR_KEY_LEASE", "No lease, or none any more: see lease_failed");
  }

  /** THREAT-30: a signer that was shown an old registry learns here that there is a newer one. */
  #hasRead({ size, root }: Lease["registry"]): boolean {
    const held = this.#held();
    if (held === undefined || held.size < size) return false;
    return held.size > size || held.root.equals(root);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }
}
