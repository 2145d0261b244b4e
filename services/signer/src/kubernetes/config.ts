import { configError, type MemberReader, type ServiceError, UUID } from "@redoubt/base";

/** The cluster whose service account tokens this signer signs: a realm of its own, with one tenant. */
export interface KubernetesPolicy {
  /** The realm's only tenant: the cluster. */
  readonly tenant: string;
  /** Those of the tenant in the registry, or any. The latter must be said aloud, and shows as a label. */
  readonly audiences: "tenant" | "any";
}

interface Beside {
  readonly rings: readonly {
    readonly class: string;
    readonly alg: string;
    readonly maxLifetimeSeconds: number;
  }[];
  readonly callers: readonly string[];
}

/** The caller that kube-apiserver speaks through. */
export const KUBE_FRONT = "kube-front";

/** KEP-740: what kube-apiserver takes from an external signer, and makes itself. */
const KUBERNETES_ALGORITHMS: readonly string[] = ["ES256", "RS256"];
const MIN_TOKEN_EXPIRATION_SECONDS = 600;

/** null where the configuration has no cluster. */
export function readKubernetes(reader: MemberReader): KubernetesPolicy | null {
  if (!reader.has("kubernetes")) return null;
  const kubernetes = reader.object("kubernetes");
  const tenant = kubernetes.string("tenant", 36, UUID);
  const audiences = kubernetes.oneOf("audiences", ["tenant", "any"]);
  kubernetes.done();
  return { tenant, audiences };
}

/** @throws ServiceError `ERR_CONFIG` for keys or callers that a cluster's realm must not have */
export function checkKubernetes({ rings, callers }: Beside): void {
  const [ring, ...others] = rings;
  // THREAT-01: readers of service account tokens ignore typ. An access token of the same issuer would be one to them,
  // so the realm has no key and no caller that makes access tokens.
  if (ring?.class !== "oidc" || others.length > 0)
    throw problem("rings must be one ring of class oidc");
  if (callers.includes("issuer")) throw problem("callers must not name issuer");
  if (!callers.includes(KUBE_FRONT)) throw problem(`callers must name ${KUBE_FRONT}`);
  if (!KUBERNETES_ALGORITHMS.includes(ring.alg))
    throw problem(`the ring's alg must be one of ${KUBERNETES_ALGORITHMS.join(", ")}`);
  if (ring.maxLifetimeSeconds < MIN_TOKEN_EXPIRATION_SECONDS)
    throw problem(`the ring's maxLifetimeSeconds must be ${MIN_TOKEN_EXPIRATION_SECONDS} at least`);
}

/** ARCHITECTURE §9: what does not hold is said wherever this signer is described. */
export function kubernetesLabels(kubernetes: KubernetesPolicy | null): readonly string[] {
  if (!kubernetes) return [];
  return [
    "kubernetes: caller known by folder only",
    "kubernetes: tokens are not reported (no P4)",
    ...(kubernetes.audiences === "any" ? ["kubernetes: any audience"] : []),
  ];
}

function problem(message: string): ServiceError {
  return configError(`signer config: kubernetes: ${message}`);
}
