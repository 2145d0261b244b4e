import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KeyState } from "@redoubt/keys";
import { buildSite, type Site, type SiteInput } from "./site.ts";
import { CONSUMER_TENANT, Deployment, NOW, OTHER_TENANT, TENANT } from "./testing/deployment.ts";

const tokenEndpoints = new Map([
  ["consumer", "https://token.example/consumer/token"],
  ["enterprise", "https://token.example/{tenantid}/token"],
]);

function build(
  deployment: Deployment,
  nowSeconds = NOW,
  attestations: SiteInput["attestations"] = new Map(),
): Site {
  return buildSite({
    registry: deployment.registry(),
    tokenEndpoints,
    loginOrigins: new Map(),
    nowSeconds,
    attestations,
  });
}

function kids(site: Site, path: string): readonly string[] | undefined {
  const body = site.documents.find((document) => document.path === path)?.body;
  if (body === undefined) return undefined;
  const parsed: { keys: { kid: string }[] } = JSON.parse(body);
  return parsed.keys.map(({ kid }) => kid);
}

describe("the site that a registry makes", () => {
  test("three documents for each active tenant, and none in common", () => {
    const deployment = Deployment.standard();
    deployment.key("enterprise", TENANT);
    const site = build(deployment);
    assert.deepEqual(
      site.documents.map(({ path }) => path).toSorted(),
      [
        "/.well-known/oauth-authorization-server/11111111-1111-4111-8111-111111111111/v2.0",
        "/.well-known/oauth-authorization-server/consumer/v2.0",
        `/${TENANT}/v2.0/.well-known/openid-configuration`,
        `/${TENANT}/v2.0/keys`,
        "/consumer/v2.0/.well-known/openid-configuration",
        "/consumer/v2.0/keys",
      ].toSorted(),
    );
    assert.deepEqual([site.issuers, site.problems], [2, []]);
    const metadata = site.documents.find(({ path }) => path.startsWith(`/${TENANT}/v2.0/.well`));
    assert.deepEqual(JSON.parse(metadata?.body ?? ""), {
      issuer: `https://id.example/${TENANT}/v2.0`,
      token_endpoint: `https://token.example/${TENANT}/token`,
      jwks_uri: `https://id.example/${TENANT}/v2.0/keys`,
      grant_types_supported: ["client_credentials"],
      response_types_supported: [],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256"],
      token_endpoint_auth_methods_supported: [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
      ],
      token_endpoint_auth_signing_alg_values_supported: [
        "ES256",
        "Ed25519",
        "EdDSA",
        "PS256",
        "RS256",
      ],
    });
  });

  test("THREAT-01: a JWKS lists only keys whose realm and tenants cover its issuer", () => {
    const deployment = Deployment.standard();
    deployment.tenant("enterprise", OTHER_TENANT);
    const consumer = deployment.key("consumer", CONSUMER_TENANT);
    const mine = deployment.key("enterprise", TENANT);
    const other = deployment.key("enterprise", OTHER_TENANT);
    const site = build(deployment);
    assert.deepEqual(kids(site, "/consumer/v2.0/keys"), [consumer]);
    assert.deepEqual(kids(site, `/${TENANT}/v2.0/keys`), [mine]);
    assert.deepEqual(kids(site, `/${OTHER_TENANT}/v2.0/keys`), [other]);
  });

  test("only states in which relying parties are told of a key", () => {
    const paths: readonly (readonly [readonly KeyState[], boolean])[] = [
      [[], false],
      [["prepublished"], true],
      [["prepublished", "active"], true],
      [["prepublished", "active", "verify-only"], true],
      [["prepublished", "active", "verify-only", "retired"], false],
      [["prepublished", "active", "tainted"], false],
      [["prepublished", "active", "tainted", "revoked"], false],
    ];
    for (const [states, isListed] of paths) {
      const deployment = Deployment.standard();
      const kid = deployment.key("enterprise", TENANT, { states });
      assert.deepEqual(
        kids(build(deployment), `/${TENANT}/v2.0/keys`),
        isListed ? [kid] : [],
        states.join(),
      );
    }
  });

  test("a key ends by time, and the site says when", () => {
    const deployment = Deployment.standard();
    const short = deployment.key("enterprise", TENANT, { verifyUntil: NOW + 4000 });
    const long = deployment.key("consumer", CONSUMER_TENANT, { verifyUntil: NOW + 5000 });
    assert.equal(build(deployment).changesAt, NOW + 4000);
    assert.deepEqual(kids(build(deployment, NOW + 3999), `/${TENANT}/v2.0/keys`), [short]);
    const after = build(deployment, NOW + 4000);
    assert.deepEqual(kids(after, `/${TENANT}/v2.0/keys`), []);
    assert.deepEqual(kids(after, "/consumer/v2.0/keys"), [long]);
    assert.equal(after.changesAt, NOW + 5000);
  });

  test("an attestation stands once beside its key, and each JWKS names it at its issuer's own host", () => {
    const deployment = new Deployment();
    deployment.realm("consumer", "https://id.example/consumer", { fixed: CONSUMER_TENANT });
    deployment.realm("enterprise", "https://login.example/{tenantid}", {
      except: [CONSUMER_TENANT],
    });
    deployment.tenant("consumer", CONSUMER_TENANT);
    deployment.tenant("enterprise", TENANT);
    const consumer = deployment.key("consumer", CONSUMER_TENANT);
    const enterprise = deployment.key("enterprise", TENANT);
    const plain = deployment.key("enterprise", TENANT);
    const unlisted = deployment.key("enterprise", TENANT, { states: [] });
    const site = build(
      deployment,
      NOW,
      new Map([
        [consumer, { document: "consumer's", hardware: "none" }],
        [enterprise, { document: "enterprise's", hardware: "snp" }],
        [unlisted, { document: "nobody's", hardware: "none" }],
      ]),
    );
    const body = (path: string) => site.documents.find((one) => one.path === path)?.body;
    const members = (path: string) => {
      const { keys }: { keys: Record<string, unknown>[] } = JSON.parse(body(path) ?? "");
      return keys.map((key) => key["x-attestation"]);
    };
    assert.deepEqual(members("/consumer/keys"), [
      { uri: `https://id.example/.well-known/attestation/${consumer}.json`, hardware: "none" },
    ]);
    assert.deepEqual(members(`/${TENANT}/keys`), [
      { uri: `https://login.example/.well-known/attestation/${enterprise}.json`, hardware: "snp" },
      undefined,
    ]);
    const beside = site.documents.filter(({ path }) => path.includes("/attestation/"));
    assert.deepEqual(
      beside.map((document) => document.body),
      ["consumer's", "enterprise's"],
    );
    assert.deepEqual(
      [...site.served],
      [
        [consumer, "consumer"],
        [enterprise, "enterprise"],
        [plain, "enterprise"],
      ],
    );
  });

  test("a suspended tenant has no documents", () => {
    const deployment = Deployment.standard();
    deployment.tenant("enterprise", TENANT, "suspended");
    assert.equal(kids(build(deployment), `/${TENANT}/v2.0/keys`), undefined);
    assert.equal(build(deployment).issuers, 1);
  });

  test("THREAT-27: what its author did not sign is not there", () => {
    const deployment = Deployment.standard();
    // The consumer ring, the operator and a stranger each try to place a key in the enterprise realm.
    for (const author of [deployment.rings.consumer, deployment.operator])
      deployment.key("enterprise", TENANT, { author });
    assert.deepEqual(kids(build(deployment), `/${TENANT}/v2.0/keys`), []);
  });

  test("issuers that cannot be told apart by path, or have no plain one, are left out and named", () => {
    const shared = new Deployment();
    shared.realm("consumer", `https://id.example/${TENANT}/v2.0`, { fixed: CONSUMER_TENANT });
    const template = "https://other.example/{tenantid}/v2.0";
    shared.realm("enterprise", template, { except: [CONSUMER_TENANT] });
    shared.tenant("consumer", CONSUMER_TENANT);
    shared.tenant("enterprise", TENANT);
    const kid = shared.key("consumer", CONSUMER_TENANT);
    shared.key("enterprise", TENANT);
    assert.deepEqual(kids(build(shared), `/${TENANT}/v2.0/keys`), [kid]);
    assert.equal(build(shared).problems.length, 1);
    for (const issuer of [
      "https://id.example/",
      // Below another issuer's documents, in whose place a folder would have to be.
      "https://id.example/keys",
      "https://id.example/keys/a",
      "https://id.example/.well-known/a",
      "https://id.example/a/",
      "https://id.example/a/../b",
      "https://id.example/%2e%2e/b",
      "https://id.example/a//b",
      "https://ID.example/a",
      "https://id.example/a?b",
      "not a url",
    ]) {
      const deployment = new Deployment();
      deployment.realm("consumer", issuer, { fixed: CONSUMER_TENANT });
      deployment.tenant("consumer", CONSUMER_TENANT);
      const site = build(deployment);
      // Some of these the registry refuses already; what it takes is named here.
      const { size } = deployment.registry().tenants;
      assert.deepEqual([site.documents, site.problems.length], [[], size], issuer);
    }
  });

  test("an issuer without a path has its documents at the root, and none where others have folders", () => {
    const deployment = new Deployment();
    deployment.realm("consumer", "https://id.example", { fixed: CONSUMER_TENANT });
    deployment.tenant("consumer", CONSUMER_TENANT);
    const kid = deployment.key("consumer", CONSUMER_TENANT);
    const site = build(deployment);
    assert.deepEqual(
      site.documents.map(({ path }) => path),
      ["/.well-known/openid-configuration", "/keys"],
    );
    assert.deepEqual([kids(site, "/keys"), site.problems], [[kid], []]);
    const { issuer, jwks_uri: uri } = JSON.parse(site.documents[0]?.body ?? "");
    assert.deepEqual([issuer, uri], ["https://id.example", "https://id.example/keys"]);
  });

  test("a cluster's issuer: Kubernetes' discovery document, of its own keys, and no token endpoint", () => {
    const deployment = Deployment.standard();
    const kid = deployment.key("consumer", CONSUMER_TENANT, { class: "oidc" });
    deployment.key("enterprise", TENANT);
    const site = buildSite({
      registry: deployment.registry(),
      loginOrigins: new Map(),
      tokenEndpoints: new Map([...tokenEndpoints, ["consumer", null]]),
      nowSeconds: NOW,
      attestations: new Map(),
    });
    const own = site.documents.filter(({ path }) => path.includes("/consumer/v2.0"));
    assert.deepEqual(
      own.map(({ path }) => path),
      ["/consumer/v2.0/.well-known/openid-configuration", "/consumer/v2.0/keys"],
    );
    assert.deepEqual(JSON.parse(own[0]?.body ?? ""), {
      issuer: "https://id.example/consumer/v2.0",
      jwks_uri: "https://id.example/consumer/v2.0/keys",
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256"],
    });
    assert.deepEqual([kids(site, "/consumer/v2.0/keys"), site.problems], [[kid], []]);
  });

  test("a realm without a token endpoint is left out and named", () => {
    const { registry } = { registry: Deployment.standard().registry() };
    const site = buildSite({
      registry,
      loginOrigins: new Map(),
      tokenEndpoints: new Map(),
      nowSeconds: NOW,
      attestations: new Map(),
    });
    assert.deepEqual([site.issuers, site.problems.length], [0, 2]);
  });
});
