import { hash, randomBytes, type KeyObject } from "node:crypto";
import { canonicalBytes, nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import {
  type Appraisal,
  appraise,
  type AppraisalOptions,
  checkPolicy,
  EVIDENCE_AUTHORITY,
  makeCredential,
  parseEvidence,
  type TpmPlatform,
  type TpmPublicArea,
} from "@redoubt/evidence";
import {
  type Binding,
  bindingMessage,
  boundData,
  encodeLease,
  type Lease,
  seal,
} from "@redoubt/lease";
import type { TreeHead } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import type { BrokerState } from "./broker-state.ts";
import type { RealmConfig } from "./config.ts";
import type { BrokerEvents } from "./events.ts";
import type { GrantLogWriter } from "./grant-log.ts";
import type { Nonces } from "./nonces.ts";
import { readExpected, type Expected } from "./references.ts";

/** A TPM that was enrolled: what its attestation key is, and what a secret for it is made with. */
export interface EnrolledTpm {
  readonly platform: TpmPlatform;
  /** TPM name of the attestation key, hexadecimal. */
  readonly akName: string;
  readonly ek: TpmPublicArea;
}

export interface GrantingOptions {
  readonly folder: string;
  readonly realms: readonly RealmConfig[];
  readonly release: { readonly keys: readonly KeyObject[]; readonly threshold: number };
  readonly enrolled: readonly EnrolledTpm[];
  /** Name of the reference values whose version is that of the signer's image. */
  readonly image: string;
  readonly leaseSeconds: number;
  readonly clock: Clock;
  readonly nonces: Nonces;
  readonly state: BrokerState;
  readonly log: GrantLogWriter;
  /** What the witness holds of the registry now. */
  readonly registry: () => Promise<TreeHead>;
  readonly events: BrokerEvents;
  /** Further options of the appraisal, replaced by tests only: roots of their own. */
  readonly roots?: AppraisalOptions["roots"];
}

export interface GrantRequest {
  readonly nonce: Buffer;
  readonly binding: JsonObject;
}

export interface SealedGrant {
  readonly sealed: Buffer;
  readonly credential?: Buffer;
  readonly secret?: Buffer;
}

const MAX_BEHIND_SECONDS = 30;

/** Appraises evidence and grants leases (docs/spec/leases.md §1, §6). Nothing that a lease says comes from its caller. */
export class Granting {
  readonly #options: GrantingOptions;
  readonly #enrolledKeys: ReadonlyMap<string, TpmPlatform>;

  constructor(options: GrantingOptions) {
    this.#options = options;
    this.#enrolledKeys = new Map(
      options.enrolled.map(({ akName, platform }) => [akName, platform]),
    );
  }

  /**
   * @throws ServiceError `ERR_BROKER_*`, `ERR_REQUEST_MEMBER`, `ERR_WITNESS_*`, `ERR_LOG_*`; EvidenceError where the
   *   evidence or the policy is at fault: it names the part, or each claim
   */
  async grant(caller: string, request: GrantRequest, evidence: Buffer): Promise<SealedGrant> {
    const { nonces, events } = this.#options;
    try {
      // THREAT-14: whatever comes of it, this nonce is used.
      nonces.spend(caller, request.nonce);
      return await this.#grant(caller, request, evidence);
    } catch (error) {
      events.denied(caller, error);
      throw error;
    }
  }

  async #grant(caller: string, request: GrantRequest, evidence: Buffer): Promise<SealedGrant> {
    const { clock, realms, folder, release, state, registry, leaseSeconds, log } = this.#options;
    const now = nowSeconds(clock);
    if (now < state.value.seconds - MAX_BEHIND_SECONDS)
      throw refusal("ERR_BROKER_CLOCK", "This clock was set back: no lease is granted");
    const binding = bindingMessage.read(request.binding);
    const config = realms.find(({ signer }) => signer === caller);
    if (
      // mutate: each connection is a realm's: sockets are made from this list.
      config === undefined ||
      binding.realm !== config.realm ||
      binding.signer !== caller
    )
      throw refusal("ERR_BROKER_REALM", `${caller} has no realm ${binding.realm} here`);
    const { versions, evaluation } = state.value;
    const expected = readExpected(folder, config.realm, release, versions, clock.now());
    const expectedData = boundData(request.nonce, binding);
    const appraisal = this.#appraise(evidence, expectedData, expected, evaluation);
    const lease: Lease = {
      v: 1,
      type: "lease",
      realm: config.realm,
      signer: caller,
      holderKey: binding.holderKey,
      platform: appraisal.platform,
      hardware: appraisal.claims["hardware"] === true,
      issued: now,
      expires: now + leaseSeconds,
      registry: await registry(),
      minVersion: expected.versions.get(this.#options.image) ?? 0,
      evidence: hash("sha256", evidence, "buffer"),
    };
    const bytes = encodeLease(lease);
    const { grant, index, tree } = await log.append(bytes, bodyOf(bytes, request, evidence));
    state.raise({
      tree,
      seconds: now,
      versions: expected.versions,
      evaluation: evaluationOf(appraisal),
    });
    this.#options.events.granted(lease, index);
    return this.#seal(appraisal, binding, grant);
  }

  #appraise(
    bytes: Buffer,
    expected: Buffer,
    { policy }: Expected,
    minEvaluation: number,
  ): Appraisal {
    const { clock, roots } = this.#options;
    const now = clock.now();
    const appraisal = appraise(parseEvidence(bytes), {
      now,
      expected,
      enrolledKeys: this.#enrolledKeys,
      minEvaluation,
      ...(roots && { roots }),
    });
    const { claims } = appraisal;
    checkPolicy(policy, [{ authority: EVIDENCE_AUTHORITY, claims }], { now });
    return appraisal;
  }

  /** Where the machine has a TPM that was enrolled, only that TPM can open the lease. */
  #seal({ claims }: Appraisal, binding: Binding, grant: string): SealedGrant {
    const plain = Buffer.from(grant);
    const akName: unknown = Object(claims["tpm"])["ak-name"];
    const found = this.#options.enrolled.find((one) => one.akName === akName);
    if (found === undefined) return { sealed: seal(binding.encryptionKey, undefined, plain) };
    const secret = randomBytes(32);
    const made = makeCredential(found.ek, Buffer.from(found.akName, "hex"), secret);
    return {
      sealed: seal(binding.encryptionKey, secret, plain),
      credential: made.credentialBlob,
      secret: made.encryptedSecret,
    };
  }
}

/** All that is needed to appraise it again (docs/spec/leases.md §3). */
function bodyOf(lease: Buffer, { nonce, binding }: GrantRequest, evidence: Buffer): Buffer {
  return canonicalBytes({
    binding,
    evidence: evidence.toString("utf8"),
    lease: lease.toString("utf8"),
    nonce: encodeBase64url(nonce),
  });
}

function evaluationOf({ claims }: Appraisal): number {
  const found: unknown = Object(claims["tdx"])["tcb-evaluation"];
  return typeof found === "number" ? found : 0;
}

function refusal(code: string, message: string): ServiceError {
  return new ServiceError(code, message);
}
