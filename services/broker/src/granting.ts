import { hash, randomBytes, type KeyObject } from "node:crypto";
import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
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
import { encodeGrantBody, signEar } from "@redoubt/lease/attestation";
import { isDatedAhead, type NoteSigner, type Witnessed } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import type { BrokerState } from "./broker-state.ts";
import type { RealmConfig } from "./config.ts";
import type { BrokerEvents } from "./events.ts";
import type { GrantLogWriter } from "./grant-log.ts";
import type { Nonces } from "./nonces.ts";
import { readExpected, type Expected } from "./references.ts";

/** A TPM that was enrolled: what its attestation key is, and what a secret for it is made with. */
export interface EnrolledTpm {
  /** P5: the one caller whose machine it is in. */
  readonly signer: string;
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
  /** Signs attestation results. */
  readonly writer: NoteSigner;
  /** Origins of the registry and of the broker's own log. */
  readonly registry: string;
  readonly ownLog: string;
  /** What the witness holds of a log now. */
  readonly witnessed: (origin: string) => Promise<Witnessed>;
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

  constructor(options: GrantingOptions) {
    this.#options = options;
  }

  /**
   * @throws ServiceError `ERR_BROKER_*`, `ERR_REQUEST_MEMBER`, `ERR_WITNESS_*`, `ERR_LOG_*`; EvidenceError where the
   *   evidence or the policy is at fault: it names the part, or each claim
   */
  async grant(caller: string, request: GrantRequest, evidence: Buffer): Promise<SealedGrant> {
    const { nonces, events } = this.#options;
    // THREAT-26: before anything is written or verified. No event: those of what was let through show the flood.
    nonces.take(caller);
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
    const { clock, realms, folder, release, state, leaseSeconds, log, events } = this.#options;
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
    const enrolled = this.#options.enrolled.filter(({ signer }) => signer === caller);
    const limits = { enrolled, minEvaluation: evaluation };
    const appraisal = this.#appraise(evidence, expectedData, expected, limits);
    const [registry, ownLog] = await this.#askWitness(now);
    // What is remembered only refuses. It comes first: where it cannot be written, nothing is committed.
    state.raise({
      tree: undefined,
      seconds: now,
      versions: expected.versions,
      evaluation: evaluationOf(appraisal),
    });
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
      registry,
      // THREAT-30: the floor, even where its reference values are gone.
      minVersion: state.value.versions.get(this.#options.image) ?? 0,
      evidence: hash("sha256", evidence, "buffer"),
    };
    const bytes = encodeLease(lease);
    const ear = signEar(
      {
        issued: now,
        nonce: request.nonce,
        signer: caller,
        claims: appraisal.claims,
        ...expected,
      },
      this.#options.writer,
    );
    // All that is needed to appraise it again (docs/spec/leases.md §3).
    const body = encodeGrantBody({
      binding: request.binding,
      ear,
      evidence: evidence.toString("utf8"),
      lease: bytes.toString("utf8"),
      nonce: request.nonce,
      policy: expected.policyFile.toString("utf8"),
      references: expected.referenceFiles.map((file) => file.toString("utf8")),
    });
    const { grant, index, tree } = await log.append(bytes, body, ownLog);
    state.raise({ ...state.value, tree });
    events.granted(lease, index);
    return sealTo(appraisal, binding, enrolled, grant);
  }

  /**
   * What the witness holds of registry and own log (THREAT-38), asked before the log: it must hold as much then.
   * THREAT-29: a clock that is ahead of the witness's is never remembered, so one that is set right is not before it.
   */
  async #askWitness(now: number): Promise<readonly [Witnessed, Witnessed]> {
    const { registry, ownLog, witnessed } = this.#options;
    const both = await Promise.all([witnessed(registry), witnessed(ownLog)]);
    if (both.some(({ timeSeconds }) => isDatedAhead(now, timeSeconds)))
      throw refusal(
        "ERR_BROKER_CLOCK",
        "This clock is ahead of the witness's: set the one that is wrong",
      );
    return both;
  }

  #appraise(
    bytes: Buffer,
    expected: Buffer,
    { policy }: Expected,
    {
      enrolled,
      minEvaluation,
    }: { readonly enrolled: readonly EnrolledTpm[]; readonly minEvaluation: number },
  ): Appraisal {
    const { clock, roots } = this.#options;
    const now = clock.now();
    const appraisal = appraise(parseEvidence(bytes), {
      now,
      expected,
      enrolledKeys: new Map(enrolled.map(({ akName, platform }) => [akName, platform])),
      minEvaluation,
      ...(roots && { roots }),
    });
    const { claims } = appraisal;
    checkPolicy(policy, [{ authority: EVIDENCE_AUTHORITY, claims }], { now });
    return appraisal;
  }
}

/** Where the machine has a TPM that was enrolled, only that TPM can open the lease. */
function sealTo(
  { claims }: Appraisal,
  { encryptionKey }: Binding,
  enrolled: readonly EnrolledTpm[],
  grant: string,
): SealedGrant {
  const plain = Buffer.from(grant);
  const akName: unknown = Object(claims["tpm"])["ak-name"];
  const found = enrolled.find((one) => one.akName === akName);
  if (found === undefined) return { sealed: seal(encryptionKey, undefined, plain) };
  const secret = randomBytes(32);
  const made = makeCredential(found.ek, Buffer.from(found.akName, "hex"), secret);
  return {
    sealed: seal(encryptionKey, secret, plain),
    credential: made.credentialBlob,
    secret: made.encryptedSecret,
  };
}

function evaluationOf({ claims }: Appraisal): number {
  const found: unknown = Object(claims["tdx"])["tcb-evaluation"];
  return typeof found === "number" ? found : 0;
}

function refusal(code: string, message: string): ServiceError {
  return new ServiceError(code, message);
}
