import { nowSeconds, ServiceError } from "@redoubt/base";
import { keysForIssuer, type KeyInfo } from "@redoubt/registry";
import {
  route,
  routesByName,
  SIGNER,
  type Answer,
  type Call,
  type ExactSignature,
  type RealmKeys,
} from "@redoubt/wire";
import type { SignerConfig } from "../config.ts";
import { ExactSigner, type ExactHandle, type ExactSignerOptions } from "../issue/sign-exact.ts";
import { describeKeys } from "../keys/fetch-keys.ts";
import { encodeHeader } from "../keys/key-ring.ts";
import type { KubernetesPolicy } from "./config.ts";
import { parseKubernetesClaims } from "./kubernetes-claims.ts";

interface Surroundings extends ExactSignerOptions {
  /** When a witness last vouched for the registry as it was read; 0 before the first time. */
  readonly registryTimeSeconds: () => number;
}

interface ClusterOptions extends Surroundings {
  readonly kubernetes: KubernetesPolicy;
  /** Of the realm's one ring. */
  readonly maxLifetimeSeconds: number;
}

/** undefined for a signer whose realm is not that of a cluster. */
export function openCluster(
  options: Surroundings & { readonly config: Pick<SignerConfig, "kubernetes" | "rings"> },
): ClusterHandler | undefined {
  const { kubernetes, rings } = options.config;
  if (!kubernetes) return undefined;
  const lifetimes = rings.map((ring) => ring.maxLifetimeSeconds);
  return new ClusterHandler({
    ...options,
    kubernetes,
    maxLifetimeSeconds: Math.min(...lifetimes),
  });
}

/**
 * All that kube-apiserver's front may ask of a signer, `metadata` aside (docs/spec/wire.md §3.1). The front is not
 * trusted: whoever takes it over gets what kube-apiserver may have, and what that is, is decided here.
 */
export class ClusterHandler {
  readonly #options: ClusterOptions;
  readonly #signer: ExactSigner;
  readonly #handle: ExactHandle;
  readonly #routes = routesByName([
    route(SIGNER.signExact, ({ payload }, { caller }) => this.#sign(caller, payload)),
    route(SIGNER.fetchKeys, ({ since = 0 }) => this.#fetchKeys(since)),
  ]);

  constructor(options: ClusterOptions) {
    const { kubernetes, maxLifetimeSeconds } = options;
    this.#handle = {
      ...kubernetes,
      class: "oidc",
      header: (alg, kid) => encodeHeader(alg, kid, "JWT"),
      client: "kube-apiserver",
      maxLifetimeSeconds,
      parse: parseKubernetesClaims,
    };
    this.#options = options;
    this.#signer = new ExactSigner(options);
  }

  async #sign(caller: string, payload: string): Promise<ExactSignature> {
    const { token } = await this.#signer.sign({ caller, payload }, () => this.#handle);
    const [header = "", , signature = ""] = token.split(".");
    return { header, signature };
  }

  async handle(call: Call): Promise<Answer> {
    const found = this.#routes.get(call.op);
    if (!found) throw new ServiceError("ERR_SIGNER_OP", "No such call for this caller");
    return found.handle(call);
  }

  /**
   * kube-apiserver asks once, when it starts. A published key may be of an older policy with a shorter lifetime: no
   * more is promised than every one of them can sign.
   */
  maxLifetimeSeconds(): number {
    const bounds = this.#published().map(({ record }) => record.maxLifetimeSeconds);
    return Math.min(this.#options.maxLifetimeSeconds, ...bounds);
  }

  #fetchKeys(since: number): RealmKeys {
    const { policyInput, checkRegistry, registryTimeSeconds } = this.#options;
    // Half a registry would look like a realm with fewer keys, and the cluster would drop the others.
    checkRegistry();
    const published = this.#published();
    if (published.length === 0)
      throw new ServiceError("ERR_SIGNER_NO_KEY", "No published key yet", {
        fields: { retryAfterSeconds: 1 },
      });
    const { size } = policyInput.registry;
    const keys = since < size ? published : [];
    return describeKeys(keys, { asOf: size, asOfSeconds: registryTimeSeconds() });
  }

  /** Keys that a cluster may meet, pre-published ones too: each is known there before it signs (P6). */
  #published(): readonly KeyInfo[] {
    const { policyInput, kubernetes, clock } = this.#options;
    const { realm, registry } = policyInput;
    const keys = keysForIssuer(registry, realm, kubernetes.tenant, nowSeconds(clock));
    return keys.filter(({ record }) => record.class === "oidc");
  }
}
