import { createPublicKey } from "node:crypto";
import { nowSeconds, ServiceError } from "@redoubt/base";
import { keysForIssuer, type KeyInfo } from "@redoubt/registry";
import type { KeyRecord } from "@redoubt/verify/record";
import type { SignerConfig } from "../config.ts";
import { ExactSigner, type ExactHandle, type ExactSignerOptions } from "../sign-exact.ts";
import { MIN_TOKEN_EXPIRATION_SECONDS, type KubernetesPolicy } from "./config.ts";
import type { GrpcMethod } from "./grpc-call.ts";
import { parseKubernetesClaims } from "./kubernetes-claims.ts";
import {
  decodeEmptyRequest,
  decodeSignRequest,
  encodeFetchKeysResponse,
  encodeMetadataResponse,
  encodeSignResponse,
  EXTERNAL_JWT_PATHS,
} from "./messages.ts";

export interface ExternalJwtOptions extends Omit<ExactSignerOptions, "handle"> {
  readonly kubernetes: KubernetesPolicy;
  /** Of the realm's one ring. */
  readonly maxLifetimeSeconds: number;
  /** When a witness last vouched for the registry as it was read; 0 before the first time. */
  readonly registryTimeSeconds: () => number;
}

/** undefined for a signer whose realm is not that of a cluster. */
export function openExternalJwt(
  options: Omit<ExternalJwtOptions, "kubernetes" | "maxLifetimeSeconds"> & {
    readonly config: Pick<SignerConfig, "kubernetes" | "rings">;
  },
): ExternalJwtService | undefined {
  const { kubernetes, rings } = options.config;
  if (!kubernetes) return undefined;
  const lifetimes = rings.map((ring) => ring.maxLifetimeSeconds);
  return new ExternalJwtService({
    ...options,
    kubernetes,
    maxLifetimeSeconds: Math.min(...lifetimes),
  });
}

/** Name of the socket's folder, of the caller in refusals, and of the client in sealed bodies and budgets. */
export const KUBE_APISERVER = "kube-apiserver";
/** P6: how old the keys in a cluster may be, far below the time that a key is published before it signs. */
const REFRESH_HINT_SECONDS = 300;

/** The Kubernetes `ExternalJWTSigner` (KEP-740): the second front of this signer's contract (ARCHITECTURE §5.1). */
export class ExternalJwtService {
  readonly #options: ExternalJwtOptions;
  readonly #signer: ExactSigner;
  readonly #keys = new WeakMap<KeyRecord, Buffer>();
  /** By path. */
  readonly methods: ReadonlyMap<string, GrpcMethod>;

  constructor(options: ExternalJwtOptions) {
    const { kubernetes, maxLifetimeSeconds } = options;
    const handle: ExactHandle = {
      ...kubernetes,
      class: "oidc",
      typ: "JWT",
      client: KUBE_APISERVER,
      maxLifetimeSeconds,
      parse: parseKubernetesClaims,
    };
    this.#options = options;
    this.#signer = new ExactSigner({ ...options, handle });
    this.methods = new Map<string, GrpcMethod>([
      [EXTERNAL_JWT_PATHS.sign, (message) => this.#sign(message)],
      [EXTERNAL_JWT_PATHS.fetchKeys, (message) => this.#fetchKeys(message)],
      [EXTERNAL_JWT_PATHS.metadata, (message) => this.#metadata(message)],
    ]);
  }

  async #sign(message: Buffer): Promise<Buffer> {
    const { header, signature } = await this.#signer.sign(
      KUBE_APISERVER,
      decodeSignRequest(message),
    );
    return encodeSignResponse(header, signature);
  }

  #fetchKeys(message: Buffer): Buffer {
    decodeEmptyRequest(message);
    const published = this.#published();
    const stateTimes = published.map(({ stateAt }) => stateAt);
    return encodeFetchKeysResponse({
      keys: published.map(({ kid, record }) => ({ keyId: kid, key: this.#spki(record) })),
      dataTimestampSeconds: Math.max(this.#options.registryTimeSeconds(), ...stateTimes),
      refreshHintSeconds: REFRESH_HINT_SECONDS,
    });
  }

  #metadata(message: Buffer): Buffer {
    decodeEmptyRequest(message);
    // kube-apiserver asks once, when it starts: what a key made under an older policy cannot sign is not promised.
    const bounds = this.#published().map(({ record }) => record.maxLifetimeSeconds);
    const seconds = Math.min(this.#options.maxLifetimeSeconds, ...bounds);
    if (seconds < MIN_TOKEN_EXPIRATION_SECONDS)
      throw new ServiceError(
        "ERR_SIGNER_SETTING",
        `A key's maxLifetimeSeconds is under ${MIN_TOKEN_EXPIRATION_SECONDS}`,
      );
    return encodeMetadataResponse(seconds);
  }

  /** Keys that a cluster may meet, pre-published ones too: each is known there before it signs (P6). */
  #published(): readonly KeyInfo[] {
    const { policyInput, kubernetes, clock, checkRegistry } = this.#options;
    // Half a registry would look like a realm with fewer keys, and the cluster would drop the others.
    checkRegistry();
    const { realm, registry } = policyInput;
    const keys = keysForIssuer(registry, realm, kubernetes.tenant, nowSeconds(clock));
    const published = keys.filter(({ record }) => record.class === "oidc");
    if (published.length === 0)
      throw new ServiceError("ERR_SIGNER_NO_KEY", "No published key yet", {
        fields: { retryAfterSeconds: 1 },
      });
    return published;
  }

  #spki(record: KeyRecord): Buffer {
    const known = this.#keys.get(record);
    if (known) return known;
    const key = createPublicKey({ key: { ...record.publicKey }, format: "jwk" });
    const der = key.export({ type: "spki", format: "der" });
    this.#keys.set(record, der);
    return der;
  }
}
