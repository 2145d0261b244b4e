import { generateKeyPairSync } from "node:crypto";
import { backOffMs, nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import { askForBytes, BROKER, ask, type Requester } from "@redoubt/wire";
import { bindingMessage, boundData, MAX_KIDS } from "../binding.ts";
import { type GrantLog, openGrant, proveHolder } from "../grant.ts";
import type { Lease } from "../lease.ts";
import { rawPublicKey } from "../raw-key.ts";
import { openSealed } from "../sealing.ts";
import type { Attester } from "./attester.ts";

export interface LeaseAgentOptions {
  readonly broker: Requester;
  readonly attester: Attester;
  readonly realm: string;
  readonly signer: string;
  /** The broker's log. */
  readonly log: GrantLog;
  /** Of the image that this process runs from. */
  readonly imageVersion: number;
  readonly clock: Clock;
  /** Whether this process has read the registry as far as the lease asks; where not, the lease waits. */
  readonly hasRead: (registry: Lease["registry"]) => boolean;
  /** Keys that this signer holds, by kid: where they are others than the lease was asked with, another is asked for. */
  readonly kids?: () => readonly string[];
  readonly onGranted: (lease: Lease) => void;
  readonly onFailed: (error: unknown) => void;
}

/** A lease in its holder's hands: the same object for as long as it is the same lease. */
export interface LeaseInHand {
  readonly lease: Lease;
  readonly grant: string;
  readonly prove: (challenge: Buffer) => Buffer;
}

interface Held extends LeaseInHand {
  /** Monotonic milliseconds. */
  readonly endsMs: number;
  /** Half of its life, monotonic milliseconds. */
  readonly renewMs: number;
  readonly kids: readonly string[];
}

/** The signer refuses when its clock is further from the broker's (docs/spec/leases.md §7). */
const MAX_APART_SECONDS = 30;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 15_000;

/**
 * Gets leases for one signer and renews each at half of its life, by new evidence over a new nonce (THREAT-16). While the
 * broker is away the lease lasts as long as it lasts; when it is back, the next attempt finds it.
 */
export class LeaseAgent {
  readonly #options: LeaseAgentOptions;
  #held: Held | undefined;
  #nextMs = -Infinity;
  #failures = 0;
  /** Leases in a row that were worn out before half of their life. */
  #wornOut = 0;
  #isAsking = false;

  constructor(options: LeaseAgentOptions) {
    this.#options = options;
  }

  /** The lease of now; undefined where there is none, or none any more on this machine's clocks. */
  get lease(): LeaseInHand | undefined {
    const held = this.#held;
    if (held === undefined) return undefined;
    const { clock } = this.#options;
    const isOver = clock.monotonic() >= held.endsMs || nowSeconds(clock) >= held.lease.expires;
    return isOver ? undefined : held;
  }

  /** Whether the first answer is still to come: there was no lease yet, and no failure either. */
  get isFirstAwaited(): boolean {
    return this.#held === undefined && this.#failures === 0;
  }

  /** To be called every second: asks when it is time to. Never waited for. */
  look(): void {
    const { clock } = this.#options;
    const isDue = clock.monotonic() >= this.#nextMs || (this.#failures === 0 && this.#hasOtherKeys);
    if (this.#isAsking || !isDue) return;
    void this.renew().catch(() => undefined);
  }

  /** Relying parties find a key beside the evidence that names it: a new key does not wait for half of a lease. */
  get #hasOtherKeys(): boolean {
    return this.#held !== undefined && this.#held.kids.join() !== this.#kids().join();
  }

  #kids(): readonly string[] {
    return this.#options.kids?.().slice(0, MAX_KIDS).toSorted() ?? [];
  }

  /**
   * The gateway takes this lease no more, though it lasts: a new one is asked for at the next look. After several in a
   * row it takes longer, up to 15 s: the broker writes each down for good.
   */
  giveUp(lease: Pick<LeaseInHand, "grant">): void {
    const { clock } = this.#options;
    if (lease !== this.#held || this.#isAsking) return;
    this.#wornOut += 1;
    const pause = backOffMs(this.#wornOut - 1, { firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS });
    this.#nextMs = Math.min(this.#nextMs, clock.monotonic() + pause);
  }

  /**
   * Asks for a lease now. One that fails leaves the lease that is held as it is.
   *
   * @throws RemoteError as the broker; ServiceError `ERR_LEASE_*`; EvidenceError
   */
  async renew(): Promise<void> {
    const { clock, onGranted, onFailed } = this.#options;
    this.#isAsking = true;
    if (this.#held && clock.monotonic() >= this.#held.renewMs) this.#wornOut = 0;
    try {
      this.#held = await this.#ask();
      this.#failures = 0;
      this.#nextMs = this.#held.renewMs;
      onGranted(this.#held.lease);
    } catch (error) {
      this.#failures += 1;
      const pause = backOffMs(this.#failures, { firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS });
      this.#nextMs = clock.monotonic() + pause;
      onFailed(error);
      throw error;
    } finally {
      this.#isAsking = false;
    }
  }

  async #ask(): Promise<Held> {
    const { broker, attester, realm, signer } = this.#options;
    const { nonce } = await ask(broker, BROKER.nonce, {});
    const holder = generateKeyPairSync("ed25519");
    const recipient = generateKeyPairSync("x25519");
    const kids = this.#kids();
    const binding = {
      kids,
      realm,
      signer,
      encryptionKey: rawPublicKey(recipient.publicKey, "X25519"),
      holderKey: rawPublicKey(holder.publicKey, "Ed25519"),
    };
    const evidence = await attester.evidence(boundData(nonce, binding));
    const { answer, attachment } = await askForBytes(
      broker,
      BROKER.grant,
      { nonce, binding: bindingMessage.write(binding) },
      Buffer.from(evidence),
    );
    const secret = await this.#openCredential(answer);
    const grant = openSealed(recipient.privateKey, secret, attachment).toString("utf8");
    const { lease, digest } = openGrant(grant, this.#options.log);
    const left = this.#check(lease, binding.holderKey);
    const nowMs = this.#options.clock.monotonic();
    return {
      lease,
      grant,
      prove: (challenge) => proveHolder(holder.privateKey, challenge, digest),
      endsMs: nowMs + left * 1000,
      renewMs: nowMs + ((lease.expires - lease.issued) * 1000) / 2,
      kids,
    };
  }

  async #openCredential({
    credential,
    secret,
  }: {
    readonly credential?: Buffer | undefined;
    readonly secret?: Buffer | undefined;
  }): Promise<Buffer | undefined> {
    if (credential === undefined || secret === undefined) return undefined;
    const { attester } = this.#options;
    if (attester.openCredential === undefined)
      throw refusal("ERR_LEASE_SEALED", "Lease is sealed to a TPM, and this machine shows none");
    return attester.openCredential({ credentialBlob: credential, encryptedSecret: secret });
  }

  /** THREAT-29, THREAT-30: what a signer refuses of a lease. Seconds that are left of it. */
  #check(lease: Lease, holderKey: Buffer): number {
    const { realm, signer, clock, imageVersion, hasRead } = this.#options;
    const now = nowSeconds(clock);
    if (lease.realm !== realm || lease.signer !== signer || !lease.holderKey.equals(holderKey))
      throw refusal("ERR_LEASE_REALM", "Lease is for another");
    if (Math.abs(lease.issued - now) > MAX_APART_SECONDS)
      throw refusal(
        "ERR_LEASE_CLOCK",
        `This clock is ${now - lease.issued} s from the broker's: set it`,
      );
    if (imageVersion < lease.minVersion)
      throw refusal(
        "ERR_LEASE_IMAGE",
        `Image ${imageVersion} is below ${lease.minVersion}: install a newer one`,
      );
    if (!hasRead(lease.registry))
      throw refusal("ERR_LEASE_REGISTRY", "The registry is not read as far as the lease asks");
    return lease.expires - Math.max(now, lease.issued);
  }
}

function refusal(code: string, message: string): ServiceError {
  return new ServiceError(code, message);
}
