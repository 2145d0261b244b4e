import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import type { ClientInfo, Registry, TenantStatement } from "@redoubt/registry";
import type { IssueRequest } from "@redoubt/wire";
import { CONSUMER_TENANT, OTHER_TENANT, TENANT } from "../testing/deployment.ts";
import { ringKey } from "../testing/unsigned-token.ts";
import { decideIssue } from "./policy.ts";

const REALMS = ["consumer", "enterprise", "partner"] as const;
const TENANTS = [CONSUMER_TENANT, TENANT, OTHER_TENANT, "33333333-2222-4333-8444-555555555555"];
const CLASSES = ["at", "oidc", "id"] as const;
const COMMON = { at: 0, nonce: "x" };

const REQUEST: IssueRequest = {
  handle: { realm: "enterprise", tenant: TENANT, class: "at" },
  client: "app-1",
  sub: "user-1",
  audience: "api://one",
  ttl: 600,
};

/** A registry in which every pair is registered that `owns` names. */
function registryOf(
  owns: readonly (readonly [string, string])[],
  audiences: readonly string[] = ["api://one", "api://two"],
): Registry {
  const tenants = new Map<string, TenantStatement>();
  const clients = new Map<string, ClientInfo>();
  for (const [realm, tenant] of owns) {
    const one = { ...COMMON, realm, tenant, status: "active" } as const;
    tenants.set(`${realm}/${tenant}`, { ...one, type: "tenant", audiences });
    const client = { ...one, type: "client", client: "app-1", scopes: ["read"], index: 0 } as const;
    clients.set(`${realm}/${tenant}/app-1`, { ...client, audiences: audiences.slice(0, 1) });
  }
  const registry: Pick<Registry, "tenants" | "clients"> = { tenants, clients };
  return fakeRegistry(registry);
}

function fakeRegistry(parts: Pick<Registry, "tenants" | "clients">): Registry {
  const registry: unknown = parts;
  if (!isRegistry(registry)) throw new TypeError("Not a registry");
  return registry;
}

function isRegistry(value: unknown): value is Registry {
  return typeof value === "object" && value !== null && "tenants" in value && "clients" in value;
}

const KEY = ringKey();
const CONSUMER_KEY = ringKey({
  realm: "consumer",
  issuer: "https://login.test/consumer/v2.0",
  tenants: { ids: [CONSUMER_TENANT] },
});

function codeOf(decide: () => unknown): string {
  try {
    decide();
  } catch (error) {
    if (error instanceof ServiceError) return error.code;
    throw error;
  }
  return "granted";
}

describe("THREAT-01: a signer's scope", () => {
  const everything = REALMS.flatMap((realm) => TENANTS.map((tenant) => [realm, tenant] as const));

  it("over all realms, tenants and classes: granted only its own realm, class at, and what its key covers", () => {
    for (const [own, key] of [
      ["enterprise", KEY],
      ["consumer", CONSUMER_KEY],
    ] as const)
      for (const [realm, tenant] of everything)
        for (const tokenClass of CLASSES) {
          // Even with every tenant registered in every realm and one key for everything.
          const input = { realm: own, registry: registryOf(everything), activeKey: () => key };
          const request = { ...REQUEST, handle: { realm, tenant, class: tokenClass } };
          const covered = own === "enterprise" || tenant === CONSUMER_TENANT;
          const expected =
            realm === own && tokenClass === "at" && covered ? "granted" : "ERR_SIGNER_HANDLE";
          assert.equal(
            codeOf(() => decideIssue(input, "issuer", request)),
            expected,
          );
        }
  });

  it("property: what is granted is of this realm, registered, and within the key's record", () => {
    const pairs = fc.subarray(everything);
    const request = fc.record({
      handle: fc.record({
        realm: fc.constantFrom(...REALMS),
        tenant: fc.oneof(fc.constantFrom(...TENANTS), fc.string({ maxLength: 36 })),
        class: fc.constantFrom(...CLASSES),
      }),
      client: fc.constantFrom("app-1", "app-2", "redoubt-drill"),
      audience: fc.constantFrom("api://one", "api://two", "urn:redoubt:drill"),
      scope: fc.constantFrom(undefined, "read", "write"),
      ttl: fc.option(fc.integer({ min: 1, max: 4000 }), { nil: undefined }),
    });
    const caller = fc.constantFrom("issuer", "drill");
    fc.assert(
      fc.property(
        pairs,
        fc.constantFrom(KEY, CONSUMER_KEY),
        request,
        caller,
        (owns, key, asked, who) => {
          const { realm } = key.record;
          const input = { realm, registry: registryOf(owns), activeKey: () => key };
          let grant;
          try {
            grant = decideIssue(input, who, { ...REQUEST, ...asked });
          } catch (error) {
            assert.ok(error instanceof ServiceError);
            return;
          }
          assert.equal(asked.handle.realm, realm);
          assert.equal(asked.handle.class, "at");
          assert.ok(owns.some(([r, t]) => r === realm && t === asked.handle.tenant));
          if (realm === "consumer") assert.equal(grant.tenant, CONSUMER_TENANT);
          assert.equal(grant.issuer, key.record.issuer.replace("{tenantid}", asked.handle.tenant));
          assert.equal(grant.audience, who === "drill" ? "urn:redoubt:drill" : "api://one");
          assert.ok(grant.ttlSeconds <= key.record.maxLifetimeSeconds);
        },
      ),
      { numRuns: 500 },
    );
  });

  const LAST: readonly (readonly [string, ReturnType<typeof ringKey>, string])[] = [
    ["of another realm", ringKey({ realm: "partner" }), "ERR_SIGNER_HANDLE"],
    ["of another class", ringKey({ class: "oidc" }), "ERR_SIGNER_HANDLE"],
    ["for other tenants", ringKey({ tenants: { ids: [OTHER_TENANT] } }), "ERR_SIGNER_HANDLE"],
    [
      "with this tenant excepted",
      ringKey({ tenants: { bucket: 0, of: 1, except: [TENANT] } }),
      "ERR_SIGNER_HANDLE",
    ],
    ["of a drill", ringKey({ custody: "drill" }), "ERR_SIGNER_HANDLE"],
    ["for other audiences", ringKey({ audiences: ["api://two"] }), "ERR_SIGNER_AUDIENCE"],
    ["for shorter lives", ringKey({ maxLifetimeSeconds: 599 }), "ERR_SIGNER_TTL"],
    ["for exactly this life", ringKey({ maxLifetimeSeconds: 600 }), "granted"],
  ];
  for (const [name, key, code] of LAST)
    it(`the key has the last word: one ${name} gives ${code}`, () => {
      const input = {
        realm: "enterprise",
        registry: registryOf([["enterprise", TENANT]]),
        activeKey: () => key,
      };
      assert.equal(
        codeOf(() => decideIssue(input, "issuer", REQUEST)),
        code,
      );
    });

  it("the drill audience is no client's, not even where a registry said so", () => {
    const audience = "urn:redoubt:drill";
    const registry = registryOf([["enterprise", TENANT]], [audience]);
    const input = { realm: "enterprise", registry, activeKey: () => KEY };
    const request = { ...REQUEST, audience };
    assert.equal(
      codeOf(() => decideIssue(input, "issuer", request)),
      "ERR_SIGNER_AUDIENCE",
    );
  });

  it("no key is ERR_SIGNER_NO_KEY", () => {
    const registry = registryOf([["enterprise", TENANT]]);
    const input = { realm: "enterprise", registry, activeKey: () => undefined };
    assert.equal(
      codeOf(() => decideIssue(input, "issuer", REQUEST)),
      "ERR_SIGNER_NO_KEY",
    );
  });
});
