import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import type { Registry, TenantStatement } from "@redoubt/registry";
import { encodeEntryBundle } from "@redoubt/tlog";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { joinBlobs, MAX_FRAME_BYTES, MAX_HEAD_BYTES } from "@redoubt/wire";
import { parseKubernetesClaims } from "../kubernetes/kubernetes-claims.ts";
import { CLUSTER, ISSUER, podClaims, segment } from "../testing/cluster.ts";
import { encodeHeader } from "../keys/key-ring.ts";
import { ringKey, type RecordChange } from "../testing/unsigned-token.ts";
import { BodySealer } from "./bodies.ts";
import { decideExact, type ExactHandle } from "./sign-exact.ts";

const NOW = 1_795_435_200;
const REALM = "kubernetes-prod";
const HANDLE: ExactHandle = {
  tenant: CLUSTER,
  class: "oidc",
  client: "kube-apiserver",
  header: (alg, kid) => encodeHeader(alg, kid, "JWT"),
  audiences: "tenant",
  maxLifetimeSeconds: 3600,
  parse: parseKubernetesClaims,
};

function clusterKey(change: RecordChange = {}) {
  const tenants = { ids: [CLUSTER] };
  return ringKey({ realm: REALM, issuer: ISSUER, class: "oidc", tenants, ...change });
}
const KEY = clusterKey();

function isRegistry(value: unknown): value is Registry {
  return typeof value === "object" && value !== null && "tenants" in value;
}

function registryOf(audiences: readonly string[]): Registry {
  const tenant: TenantStatement = {
    at: 0,
    nonce: "x",
    type: "tenant",
    realm: REALM,
    tenant: CLUSTER,
    status: "active",
    audiences,
  };
  const registry: unknown = { tenants: new Map([[`${REALM}/${CLUSTER}`, tenant]]) };
  if (!isRegistry(registry)) throw new TypeError("Not a registry");
  return registry;
}

function decide(key = KEY, claims: JsonObject | string = podClaims(NOW), handle = HANDLE) {
  const input = { realm: REALM, registry: registryOf([ISSUER]), activeKey: () => key };
  return decideExact(input, handle, {
    caller: "kube-front",
    payload: segment(claims),
    nowSeconds: NOW,
  });
}

function codeOf(take: () => unknown): string {
  try {
    take();
  } catch (error) {
    if (error instanceof ServiceError) return error.code;
    throw error;
  }
  return "signed";
}

describe("signExact", () => {
  it("P2: the payload stays as it is, the header is the key's and the handle's", () => {
    const unsigned = decide();
    const [header = "", payload = ""] = unsigned.signingInput.split(".");
    assert.equal(payload, segment(podClaims(NOW)));
    assert.equal(
      Buffer.from(header, "base64url").toString(),
      `{"alg":"ES256","kid":"${KEY.kid}","typ":"JWT"}`,
    );
  });

  it("the sealed body has the claims whole, and what it shares with every other", () => {
    const { grant, jti, iat, exp, caller } = decide();
    assert.deepEqual({ ...grant.context }, parseJsonObject(JSON.stringify(podClaims(NOW))));
    assert.deepEqual(
      [grant.tenant, grant.client, grant.subject, grant.audience, caller],
      [CLUSTER, "kube-apiserver", "system:serviceaccount:payments:ledger", ISSUER, "kube-front"],
    );
    assert.deepEqual([jti, iat, exp], [podClaims(NOW)["jti"], NOW, NOW + 3600]);
  });

  const scopes: readonly (readonly [string, RecordChange, string])[] = [
    ["its audiences name this one", { audiences: ["other", ISSUER] }, "signed"],
    ["its audiences do not", { audiences: ["other"] }, "ERR_SIGNER_AUDIENCE"],
    ["another realm", { realm: "enterprise" }, "ERR_SIGNER_HANDLE"],
    ["access tokens", { class: "at" }, "ERR_SIGNER_HANDLE"],
    ["a drill", { custody: "drill" }, "ERR_SIGNER_HANDLE"],
    [
      "another tenant",
      { tenants: { ids: ["11111111-2222-4333-8444-555555555555"] } },
      "ERR_SIGNER_HANDLE",
    ],
    ["another issuer", { issuer: "https://login.test" }, "ERR_SIGNER_HANDLE"],
    ["an issuer of many", { issuer: `${ISSUER}/{tenantid}` }, "ERR_SIGNER_HANDLE"],
    ["shorter tokens", { maxLifetimeSeconds: 3599 }, "ERR_SIGNER_TTL"],
    ["longer tokens", { maxLifetimeSeconds: 86_400 }, "signed"],
    ["from now on", { signFrom: NOW }, "signed"],
    ["from the next second", { signFrom: NOW + 1 }, "ERR_SIGNER_NO_KEY"],
    ["until now", { signUntil: NOW }, "signed"],
    ["until the last second", { signUntil: NOW - 1 }, "ERR_SIGNER_NO_KEY"],
    ["as long as the token", { signUntil: NOW, verifyUntil: NOW + 3600 }, "signed"],
    ["not as long", { signUntil: NOW, verifyUntil: NOW + 3599 }, "ERR_SIGNER_NO_KEY"],
  ];
  for (const [name, change, code] of scopes)
    it(`P1: a key for ${name}: ${code}`, () => {
      assert.equal(
        codeOf(() => decide(clusterKey(change))),
        code,
      );
    });

  it("the handle's lifetime counts where it is the shorter one", () => {
    const handle = { ...HANDLE, maxLifetimeSeconds: 600 };
    const [fits, isLonger] = [600, 601].map((seconds) => podClaims(NOW, { exp: NOW + seconds }));
    assert.equal(
      codeOf(() => decide(KEY, fits, handle)),
      "signed",
    );
    assert.equal(
      codeOf(() => decide(KEY, isLonger, handle)),
      "ERR_SIGNER_TTL",
    );
  });

  it("throws nothing but coded refusals, whatever the claims", () => {
    const names = [...Object.keys(podClaims(NOW)), "tid"];
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.jsonValue(), (name, value) => {
        const code = codeOf(() =>
          decide(KEY, JSON.stringify({ ...podClaims(NOW), [name]: value })),
        );
        assert.match(code, /^(?:ERR_(?:SIGNER|REQUEST)_[A-Z]+|signed)$/);
      }),
      { numRuns: 500 },
    );
    const input = { realm: REALM, registry: registryOf([ISSUER]), activeKey: () => KEY };
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (payload) => {
        const request = { caller: "x", payload, nowSeconds: NOW };
        assert.equal(
          codeOf(() => decideExact(input, HANDLE, request)),
          "ERR_REQUEST_MEMBER",
        );
      }),
    );
  });

  it("THREAT-26: a whole batch of the largest claims fits into one frame of the ledger's", () => {
    const aud = Array.from({ length: 10 }, (_, i) => String(i).padEnd(512, "a"));
    const text = JSON.stringify(podClaims(NOW, { aud }));
    const payload = segment(text.padEnd(6144));
    assert.equal(payload.length, 8192);
    const input = { realm: REALM, registry: registryOf(aud), activeKey: () => KEY };
    const one = decideExact(input, HANDLE, { caller: "kube-front", payload, nowSeconds: NOW });
    const sealer = new BodySealer(randomBytes(32), "redoubt.test/x");
    const { entries, blobs } = sealer.seal(Array.from({ length: 256 }, () => one));
    const bytes = encodeEntryBundle(entries).length + joinBlobs(blobs).length;
    assert.ok(bytes + MAX_HEAD_BYTES < MAX_FRAME_BYTES, `${bytes} bytes`);
  });
});
