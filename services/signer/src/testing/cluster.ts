import { encodeVerifierKey } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import { Deployment, RING } from "./deployment.ts";

export const CLUSTER = "55555555-2222-4333-8444-555555555555";
export const ISSUER = "https://prod.clusters.test";
const CLUSTER_AUDIENCES: readonly string[] = [ISSUER, "vault"];
export const OIDC_RING = { ...RING, class: "oidc" } as const;
export const KUBERNETES_CONFIG = {
  callers: ["operator", "kube-front"],
  rings: [OIDC_RING],
  kubernetes: { tenant: CLUSTER, audiences: "tenant" },
} as const;

/** Claims as kube-apiserver writes them for a pod. */
export function podClaims(nowSeconds: number, change: JsonObject = {}): JsonObject {
  return {
    aud: [ISSUER],
    exp: nowSeconds + 3600,
    iat: nowSeconds,
    iss: ISSUER,
    jti: "0b1c2d3e-4f50-4617-8a9b-acbdcedfe0f1",
    "kubernetes.io": {
      namespace: "payments",
      node: { name: "node-1.test", uid: "7d0c1f1e-88a1-4ad9-8c7e-6f30a4b7c001" },
      pod: { name: "ledger-0", uid: "7d0c1f1e-88a1-4ad9-8c7e-6f30a4b7c002" },
      serviceaccount: { name: "ledger", uid: "7d0c1f1e-88a1-4ad9-8c7e-6f30a4b7c003" },
    },
    nbf: nowSeconds,
    sub: "system:serviceaccount:payments:ledger",
    ...change,
  };
}

export function segment(claims: JsonObject | string): string {
  const text = typeof claims === "string" ? claims : JSON.stringify(claims);
  return Buffer.from(text, "utf8").toString("base64url");
}

/** The surroundings of a cluster's signer, with nothing in them started yet. */
export function clusterDeployment(): Deployment {
  return new Deployment("kubernetes-prod");
}

/** With ledger and monitor running, and everything that the signer needs in the registry. */
export async function startCluster(): Promise<Deployment> {
  const deployment = clusterDeployment();
  await deployment.ledger.start();
  await deployment.monitor.start();
  const { realm, ringKey, writerKey } = deployment;
  const tenantRule = { fixed: CLUSTER };
  deployment.state({ type: "realm", realm, issuer: ISSUER, ring: ringKey, tenantRule });
  const { origin: log, key } = deployment.ledger.issuance;
  const logKey = encodeVerifierKey(key);
  deployment.state({ type: "writer", realm, log, writer: writerKey, logKey });
  setTenant(deployment, "active");
  return deployment;
}

export function setTenant(
  deployment: Deployment,
  status: "active" | "suspended",
  audiences: readonly string[] = CLUSTER_AUDIENCES,
): void {
  const { realm } = deployment;
  deployment.state({ type: "tenant", realm, tenant: CLUSTER, status, audiences });
}
