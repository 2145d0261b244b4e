import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorLine, ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { parseConfig, type SignerConfig } from "../config.ts";
import { CLUSTER, KUBERNETES_CONFIG, OIDC_RING } from "../testing/cluster.ts";
import { Deployment, RING } from "../testing/deployment.ts";

async function read(change: JsonObject): Promise<SignerConfig> {
  await using deployment = new Deployment("kubernetes-prod");
  return parseConfig({ ...deployment.config, ...KUBERNETES_CONFIG, ...change });
}

async function problemOf(change: JsonObject): Promise<string> {
  try {
    await read(change);
  } catch (error) {
    if (error instanceof ServiceError && error.code === "ERR_CONFIG") return errorLine(error);
    throw error;
  }
  return "accepted";
}

describe("config of a cluster's signer", () => {
  it("reads the cluster, and says by labels what does not hold", async () => {
    const { kubernetes, labels } = await read({});
    assert.deepEqual(kubernetes, { tenant: CLUSTER, audiences: "tenant" });
    assert.equal(labels.length, 3);
    const any = await read({ kubernetes: { tenant: CLUSTER, audiences: "any" } });
    assert.equal(any.labels.includes("kubernetes: any audience"), true);
  });

  it("a signer of another realm has none, and no label of it", async () => {
    await using deployment = new Deployment();
    const { kubernetes, labels } = parseConfig(deployment.config);
    assert.deepEqual([kubernetes, labels], [null, ["roots: demo"]]);
  });

  it("refuses the front's caller where there is no cluster that it could ask for", async () => {
    await using deployment = new Deployment();
    const config = { ...deployment.config, callers: ["issuer", "kube-front"] };
    assert.throws(() => parseConfig(config), /callers must not name kube-front without kubernetes/);
  });

  it("takes both algorithms that kube-apiserver takes, its shortest lifetime, and what it asks for pods", async () => {
    for (const change of [
      { alg: "RS256" },
      { maxLifetimeSeconds: 600 },
      { maxLifetimeSeconds: 3660 },
    ])
      assert.equal(await problemOf({ rings: [{ ...OIDC_RING, ...change }] }), "accepted");
  });

  const wrong: readonly (readonly [JsonObject, RegExp])[] = [
    [{ kubernetes: "x" }, /kubernetes must be an object/],
    [{ kubernetes: { tenant: CLUSTER } }, /audiences must/],
    [{ kubernetes: { audiences: "any" } }, /tenant must/],
    [{ kubernetes: { tenant: `${CLUSTER.slice(0, -1)}A`, audiences: "any" } }, /tenant must/],
    [{ kubernetes: { tenant: "prod", audiences: "any" } }, /tenant must/],
    [{ kubernetes: { tenant: CLUSTER, audiences: "*" } }, /audiences must/],
    [{ kubernetes: { tenant: CLUSTER, audiences: "any", x: 1 } }, /unknown member x/],
    [{ callers: ["issuer", "kube-front"] }, /callers must not name issuer/],
    [{ callers: ["operator"] }, /callers must name kube-front/],
    [{ rings: [RING] }, /one ring of class oidc/],
    [{ rings: [OIDC_RING, RING] }, /one ring of class oidc/],
    [{ rings: [RING, OIDC_RING] }, /one ring of class oidc/],
    [{ rings: [{ ...OIDC_RING, alg: "Ed25519" }] }, /alg must be one of ES256, RS256/],
    [{ rings: [{ ...OIDC_RING, alg: "PS256" }] }, /alg must be one of ES256, RS256/],
    [{ rings: [{ ...OIDC_RING, maxLifetimeSeconds: 599 }] }, /must be 600 at least/],
    [{ rings: [{ ...OIDC_RING, maxLifetimeSeconds: 3661 }] }, /maxLifetimeSeconds must/],
  ];
  for (const [change, problem] of wrong)
    it(`refuses ${JSON.stringify(change).slice(0, 60)}: ${problem.source}`, async () => {
      assert.match(await problemOf(change), problem);
    });
});
