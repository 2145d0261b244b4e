import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { fromDiscovery } from "./discovery.ts";
import type { DeclaredIssuer } from "./discovery-options.ts";
import {
  AUDIENCE,
  DAY,
  mint,
  NOW,
  TENANT_A,
  TENANT_B,
  verifierWith,
  type Claims,
} from "./testing/fixture.ts";
import { IssuerSite } from "./testing/issuer-site.ts";
import { pinOf, signWith, testKey } from "./testing/keys.ts";
import { assertRefused } from "./testing/refusals.ts";
import { until, withSite } from "./testing/site.ts";
import { TrustError, type TrustErrorCode } from "./trust-error.ts";
import type { TrustSourceStatus } from "./trust-source.ts";

const untyped: { fromDiscovery(options: unknown): unknown } = { fromDiscovery };

function withIssuer(run: (issuer: IssuerSite) => Promise<void>): Promise<void> {
  return withSite((site) => run(new IssuerSite(site)));
}

function rejects(promise: Promise<unknown>, code: TrustErrorCode): Promise<void> {
  return assert.rejects(promise, (error) => {
    assert.equal(error instanceof TrustError ? error.code : error, code);
    return true;
  });
}

describe("fromDiscovery() with a ring key", () => {
  it("takes keys whose records the ring signed", () =>
    withIssuer(async (issuer) => {
      const { jwk, record } = issuer.record("ent-es256");
      issuer.publish([jwk]);
      const verifier = await issuer.verifier();
      const token = mint({ header: { kid: record.kid }, payload: issuer.payload });
      assert.equal(verifier.verify(token).key.kid, record.kid);
      assert.deepEqual(verifier.status().sources, [
        {
          kind: "discovery",
          issuer: issuer.issuer,
          ringPinned: true,
          loadedAt: NOW * 1000,
          staleAt: (NOW + 3600) * 1000,
          untrustedKeys: 0,
          ignoredKeys: 0,
          failures: 0,
          lastError: null,
          lastErrorText: null,
          refusals: [],
          attestation: null,
        },
      ]);
      verifier.close();
    }));

  it("takes what either of two rings signed, while one takes the other's place", () =>
    withIssuer(async (issuer) => {
      const old = issuer.record("ent-es256");
      const next = issuer.record("con-es256", {}, "ring-consumer");
      const foreign = issuer.record("ent-rs256", {}, "next-ed25519");
      issuer.publish([old.jwk, next.jwk, foreign.jwk]);
      const ring = [pinOf(testKey("ring-consumer")), pinOf(testKey("ring-enterprise"))];
      const verifier = await issuer.verifier({ issuers: [{ ...issuer.ringIssuer, ring }] });
      const kids = verifier.status().keys.map(({ kid }) => kid);
      assert.deepEqual(kids.toSorted(), [old.record.kid, next.record.kid].toSorted());
      assert.equal(verifier.status().sources[0]?.untrustedKeys, 1);
      verifier.close();
    }));

  it("takes a record whose issuer has no place for the tenant", () =>
    withIssuer(async (issuer) => {
      const { jwk, record } = issuer.record("ent-es256", { issuer: issuer.issuer });
      issuer.publish([jwk]);
      const verifier = await issuer.verifier({}, issuer.issuer);
      const token = mint({ header: { kid: record.kid }, payload: issuer.payload });
      assert.equal(verifier.verify(token).key.issuer, issuer.issuer);
      verifier.close();
    }));

  it("THREAT-27: no key counts that the ring did not sign, whoever serves it", () =>
    withIssuer(async (issuer) => {
      const good = issuer.record("ent-es256");
      const foreign = issuer.record("attacker-es256", {}, "ring-consumer");
      const attackerJwk = {
        ...testKey("attacker-es256").publicJwk,
        alg: "ES256",
        kid: "mine",
        use: "sig",
      };
      const swapped: readonly Claims[] = [
        // A bare key, as a hostile publisher or a stolen name would add it.
        { ...attackerJwk, issuer: issuer.template },
        // A record that another ring signed.
        foreign.jwk,
        // The attacker's key under the name and record of a good one.
        { ...good.jwk, ...testKey("attacker-es256").publicJwk },
        { ...attackerJwk, redoubt: good.jwk["redoubt"], issuer: issuer.template },
        // Records of the right ring, elsewhere.
        issuer.record("next-ed25519", { realm: "consumer" }).jwk,
        issuer.record("oidc-es256", { issuer: "https://other.example/{tenantid}" }).jwk,
        issuer.record("old-es256", { tenants: { ids: [TENANT_B] } }).jwk,
        // A JWK that says more or less than its record.
        { ...good.jwk, issuer: "https://other.example/{tenantid}" },
        { ...good.jwk, kid: "another" },
        { ...good.jwk, redoubt: "x" },
        { ...good.jwk, redoubt: { record: 1, ring: "A".repeat(86) } },
        { ...good.jwk, redoubt: { record: "e30", ring: 1 } },
        { ...good.jwk, redoubt: { record: "+", ring: "A".repeat(86) } },
      ];
      issuer.publish([...swapped, good.jwk]);
      const verifier = await issuer.verifier();
      const [source] = verifier.status().sources;
      assert.deepEqual(
        [source?.untrustedKeys, codesOf(source)],
        [swapped.length, ["ERR_KEY_UNTRUSTED"]],
      );
      // Each is named, with its reason.
      assert.deepEqual(source?.refusals[0], {
        kid: "mine",
        code: "ERR_KEY_UNTRUSTED",
        reason: "JWK without key record",
      });
      assert.deepEqual(
        verifier.status().keys.map(({ kid }) => kid),
        [good.record.kid],
      );
      const attacker = testKey("attacker-es256");
      for (const kid of ["mine", foreign.record.kid])
        assertRefused(
          verifier,
          mint({ key: "attacker-es256", header: { kid }, payload: issuer.payload }),
          "ERR_JWKS_NO_MATCHING_KEY",
        );
      assertRefused(
        verifier,
        mint({
          header: { kid: good.record.kid },
          payload: issuer.payload,
          sign: (input) => signWith(attacker, input),
        }),
        "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
      );
      verifier.close();
    }));

  it("THREAT-27: does not start on foreign keys alone, and loses its keys when they are swapped", () =>
    withIssuer(async (issuer) => {
      const foreign = issuer.record("attacker-es256", {}, "ring-consumer");
      issuer.publish([foreign.jwk]);
      await rejects(issuer.verifier(), "ERR_KEY_UNTRUSTED");
      issuer.publish([]);
      await rejects(issuer.verifier(), "ERR_KEYSET_EMPTY");
      const { jwk, record } = issuer.record("ent-es256");
      issuer.publish([jwk]);
      const verifier = await issuer.verifier();
      const token = mint({ header: { kid: record.kid }, payload: issuer.payload });
      verifier.verify(token);
      issuer.publish([foreign.jwk]);
      await verifier.reload();
      assertRefused(verifier, token, "ERR_ISSUER_NOT_READY");
      assert.equal(verifier.isReady(), false);
      assert.equal(verifier.status().sources[0]?.untrustedKeys, 1);
      verifier.close();
    }));

  it("THREAT-09: 300 unknown kids cause no fetch, and a pre-published key works meanwhile", () =>
    withIssuer(async (issuer) => {
      const active = issuer.record("ent-es256");
      const next = issuer.record("next-ed25519", { signFrom: NOW + 600 });
      issuer.publish([active.jwk, next.jwk]);
      const verifier = await issuer.verifier();
      const before = issuer.site.requests.length;
      for (let i = 0; i < 300; i += 1) {
        const kid = randomBytes(32).toString("base64url");
        assertRefused(
          verifier,
          mint({ header: { kid }, payload: issuer.payload }),
          "ERR_JWKS_NO_MATCHING_KEY",
        );
        if (i === 150) issuer.now = NOW + 600;
        if (i < 150) continue;
        const iat = NOW + 600;
        const payload = { ...issuer.payload, iat, exp: iat + 60 + i, jti: `j${i}` };
        const token = mint({ key: "next-ed25519", header: { kid: next.record.kid }, payload });
        assert.equal(verifier.verify(token).key.kid, next.record.kid);
      }
      assert.equal(issuer.site.requests.length, before);
      assert.deepEqual(issuer.time.delays.length, 1);
      verifier.close();
    }));
});

describe("fromDiscovery() without a ring key", () => {
  it("builds the scope from what was declared and the key's own issuer", () =>
    withIssuer(async (issuer) => {
      issuer.publish([plainJwk("ent-es256", issuer)]);
      const verifier = await issuer.verifier({ issuers: [declared(issuer)] });
      const { payload } = issuer;
      assert.equal(verifier.verify(mint({ payload })).tenantId, TENANT_A);
      assert.equal(verifier.status().sources[0]?.ringPinned, false);
      const iss = issuer.template.replace("{tenantid}", TENANT_B);
      assertRefused(verifier, mint({ payload: { iss, tid: TENANT_B } }), "ERR_KEY_SCOPE", "tenant");
      assertRefused(
        verifier,
        mint({ payload: { ...payload, aud: [AUDIENCE, "x"] } }),
        "ERR_KEY_SCOPE",
        "audience",
      );
      assertRefused(
        verifier,
        mint({ payload: { ...payload, exp: NOW + DAY } }),
        "ERR_KEY_SCOPE",
        "lifetime",
      );
      verifier.close();
    }));

  it("a key counts only with its issuer, one algorithm, and sound material", () =>
    withIssuer(async (issuer) => {
      const good = plainJwk("ent-es256", issuer);
      const other = plainJwk("ent-ed25519", issuer);
      issuer.publish([
        good,
        { ...other, issuer: undefined },
        { ...other, issuer: "https://other.example/{tenantid}" },
        { ...other, kid: undefined },
        { ...other, kid: "" },
        { ...other, kid: "k".repeat(257) },
        { ...other, x: "AA" },
        plainJwk("weak-rs256", issuer),
        { ...other, alg: undefined },
        { ...other, alg: "HS256" },
        { ...other, use: "enc" },
        { ...other, key_ops: ["encrypt"] },
        { ...other, key_ops: "verify" },
      ]);
      const verifier = await issuer.verifier({ issuers: [declared(issuer)] });
      const [source] = verifier.status().sources;
      assert.deepEqual([source?.untrustedKeys, source?.ignoredKeys], [7, 5]);
      assert.deepEqual(codesOf(source), ["ERR_KEY_UNTRUSTED", "ERR_KEY_INVALID"]);
      assert.equal(verifier.status().keys.length, 1);
      issuer.publish([{ ...other, use: undefined, key_ops: ["verify"] }]);
      await verifier.reload();
      assert.deepEqual(
        verifier.status().keys.map(({ kid }) => kid),
        ["ent-ed25519"],
      );
      verifier.close();
    }));

  it("leaves out what has two meanings, and that alone", () =>
    withIssuer(async (issuer) => {
      const good = plainJwk("ent-es256", issuer);
      const other = plainJwk("next-ed25519", issuer);
      const rsa = plainJwk("ent-rs256", issuer);
      const twice = { ...plainJwk("con-es256", issuer), kid: "ent-es256" };
      const cases: readonly (readonly [readonly Claims[], readonly string[]])[] = [
        [[good, twice, other], ["next-ed25519"]],
        [[rsa, { ...rsa, kid: "pss", alg: "PS256" }, other], ["next-ed25519"]],
        [
          [good, good, other],
          ["ent-es256", "next-ed25519"],
        ],
        [
          [good, { ...good, kid: "other" }],
          ["ent-es256", "other"],
        ],
      ];
      for (const [set, kids] of cases) {
        issuer.publish(set);
        const verifier = await issuer.verifier({ issuers: [declared(issuer)] });
        assert.deepEqual(
          verifier.status().keys.map(({ kid }) => kid),
          kids,
        );
        const [source] = verifier.status().sources;
        const isWhole = kids.length === new Set(set.map((jwk) => jwk["kid"])).size;
        assert.deepEqual(codesOf(source), isWhole ? [] : ["ERR_KEYSET_CONFLICT"]);
        verifier.close();
      }
      issuer.publish([good, twice]);
      await rejects(issuer.verifier({ issuers: [declared(issuer)] }), "ERR_KEYSET_CONFLICT");
    }));

  it("drops a private key at once, under every kid, with an alarm; a secret takes nothing away", () =>
    withIssuer(async (issuer) => {
      const leaked = plainJwk("ent-es256", issuer);
      const good = plainJwk("next-ed25519", issuer);
      issuer.publish([leaked, good]);
      const alarms: unknown[] = [];
      const onAlarm = (alarm: object): void => {
        alarms.push(alarm);
        throw new Error("The listener's own fault");
      };
      const verifier = await issuer.verifier({ issuers: [declared(issuer)], onAlarm });
      const kids = () => verifier.status().keys.map(({ kid }) => kid);
      assert.deepEqual(kids(), ["ent-es256", "next-ed25519"]);
      const secret = { kty: "oct", k: "AA", kid: "s" };
      issuer.publish([leaked, { ...leaked, kid: "else", d: "AA" }, good, secret]);
      await verifier.reload();
      await verifier.reload();
      assert.deepEqual(kids(), ["next-ed25519"]);
      const told = alarms.map((alarm) => [
        Reflect.get(Object(alarm), "kid"),
        Reflect.get(Object(alarm), "code"),
      ]);
      assert.deepEqual(told, [
        ["else", "ERR_KEYSET_PRIVATE"],
        ["s", "ERR_KEYSET_PRIVATE"],
      ]);
      verifier.close();
    }));

  it("requires the declared scope", () => {
    const entry = {
      issuer: "https://id.example",
      realm: "enterprise",
      ring: null,
      tenants: "any",
      audiences: "any",
      maxLifetimeSeconds: 60,
    };
    untyped.fromDiscovery({ issuers: [entry] });
    for (const name of Object.keys(entry))
      assert.throws(
        () => untyped.fromDiscovery({ issuers: [{ ...entry, [name]: undefined }] }),
        TypeError,
        name,
      );
    assert.throws(() => untyped.fromDiscovery({ issuers: [{ ...entry, scope: 1 }] }), TypeError);
  });
});

function declared(issuer: IssuerSite): DeclaredIssuer {
  return {
    issuer: issuer.issuer,
    realm: "enterprise",
    ring: null,
    tenants: { ids: [TENANT_A] },
    audiences: [AUDIENCE],
    maxLifetimeSeconds: 3600,
  };
}

function plainJwk(name: string, issuer: IssuerSite): Claims {
  const { alg, publicJwk } = testKey(name);
  return { ...publicJwk, kid: name, alg, use: "sig", issuer: issuer.template };
}

/** A key under a kid that other issuers have, too, and a token that names it. */
function firstKey(name: string, issuer: IssuerSite): Claims {
  return { ...plainJwk(name, issuer), kid: "1" };
}

function tokenOf({ issuer }: IssuerSite, key: string): string {
  return mint({ key, header: { kid: "1" }, payload: { iss: issuer } });
}

/** Why keys do not count, each reason once. */
function codesOf(source: TrustSourceStatus | undefined): readonly TrustErrorCode[] {
  return [...new Set(source?.refusals.map(({ code }) => code))];
}

describe("discovery documents", () => {
  const bad: readonly (readonly [
    string,
    TrustErrorCode,
    (issuer: IssuerSite, good: Claims) => void,
  ])[] = [
    [
      "another issuer",
      "ERR_DISCOVERY_ISSUER",
      (i, key) => i.publish([key], { metadata: { issuer: `${i.issuer}/` } }),
    ],
    [
      "no issuer",
      "ERR_DISCOVERY_ISSUER",
      (i, key) => i.publish([key], { metadata: { issuer: undefined } }),
    ],
    [
      "no jwks_uri",
      "ERR_DISCOVERY_DOCUMENT",
      (i, key) => i.publish([key], { metadata: { jwks_uri: undefined } }),
    ],
    [
      "jwks_uri in a list",
      "ERR_DISCOVERY_DOCUMENT",
      (i, key) => i.publish([key], { metadata: { jwks_uri: [`${i.site.origin}/keys`] } }),
    ],
    [
      "jwks_uri relative",
      "ERR_DISCOVERY_DOCUMENT",
      (i, key) => i.publish([key], { metadata: { jwks_uri: "/keys" } }),
    ],
    [
      "jwks_uri of another origin",
      "ERR_DISCOVERY_URL",
      (i, key) => i.publish([key], { metadata: { jwks_uri: "https://attacker.example/keys" } }),
    ],
    [
      "jwks_uri of another port",
      "ERR_DISCOVERY_URL",
      (i, key) => i.publish([key], { metadata: { jwks_uri: "http://127.0.0.1:1/keys" } }),
    ],
    [
      "jwks_uri with user",
      "ERR_DISCOVERY_URL",
      (i, key) => i.publish([key], { metadata: { jwks_uri: i.site.origin.replace("//", "//u@") } }),
    ],
    [
      "jwks_uri of a file",
      "ERR_DISCOVERY_URL",
      (i, key) => i.publish([key], { metadata: { jwks_uri: "file:///etc/passwd" } }),
    ],
    ["keys 404", "ERR_DISCOVERY_FETCH", (i) => i.publish([], { keySet: { status: 404 } })],
    ["keys 204", "ERR_DISCOVERY_FETCH", (i) => i.publish([], { keySet: { status: 204 } })],
    [
      "keys behind a redirect",
      "ERR_DISCOVERY_FETCH",
      (i) => i.publish([], { keySet: { status: 302, headers: { location: "/else" } } }),
    ],
    [
      "keys too large",
      "ERR_DISCOVERY_FETCH",
      (i) => i.publish([], { keySet: { body: " ".repeat(4_194_305) } }),
    ],
    [
      "keys not JSON",
      "ERR_DISCOVERY_DOCUMENT",
      (i) => i.publish([], { keySet: { body: "<html>" } }),
    ],
    [
      "keys with a duplicate member",
      "ERR_DISCOVERY_DOCUMENT",
      (i) => i.publish([], { keySet: { body: '{"keys":[],"keys":[]}' } }),
    ],
    [
      "keys not a list",
      "ERR_DISCOVERY_DOCUMENT",
      (i) => i.publish([], { keySet: { body: '{"keys":{}}' } }),
    ],
    [
      "a key not an object",
      "ERR_DISCOVERY_DOCUMENT",
      (i) => i.publish([], { keySet: { body: '{"keys":[1]}' } }),
    ],
    [
      "257 keys",
      "ERR_DISCOVERY_DOCUMENT",
      (i, key) => i.publish(Array.from({ length: 257 }, () => key)),
    ],
    ["a private key alone", "ERR_KEYSET_PRIVATE", (i, key) => i.publish([{ ...key, d: "AA" }])],
    ["a secret alone", "ERR_KEYSET_PRIVATE", (i) => i.publish([{ kty: "oct", k: "AA" }])],
  ];
  for (const [name, code, publish] of bad)
    it(`refuses ${name}`, () =>
      withIssuer(async (issuer) => {
        publish(issuer, issuer.record("ent-es256").jwk);
        await rejects(issuer.verifier(), code);
      }));

  it("refuses metadata that are not JSON, and a server that is not there", () =>
    withIssuer(async (issuer) => {
      issuer.site.serve({ [`/${TENANT_A}/.well-known/openid-configuration`]: "[" });
      await rejects(issuer.verifier(), "ERR_DISCOVERY_DOCUMENT");
      const down = { ...issuer.ringIssuer, issuer: `http://127.0.0.1:1/${TENANT_A}` };
      await rejects(issuer.verifier({ issuers: [down] }), "ERR_DISCOVERY_FETCH");
    }));

  it("follows jwks_uri to another origin only if the configuration names it", () =>
    withIssuer((issuer) =>
      withSite(async (other) => {
        const { jwk } = issuer.record("ent-es256");
        other.serve({ "/jwks": JSON.stringify({ keys: [jwk] }) });
        issuer.publish([], { metadata: { jwks_uri: `${other.origin}/jwks` } });
        await rejects(issuer.verifier(), "ERR_DISCOVERY_URL");
        assert.equal(other.requests.length, 0);
        const named = { ...issuer.ringIssuer, jwksOrigin: other.origin };
        const verifier = await issuer.verifier({ issuers: [named] });
        assert.equal(verifier.status().keys.length, 1);
        verifier.close();
      }),
    ));
});

describe("discovery options", () => {
  const entry = { issuer: "https://id.example", realm: "enterprise", ring: "A".repeat(43) };

  it("refuses what is not https, unless loopback is allowed", () => {
    for (const issuer of [
      "http://id.example",
      "http://127.0.0.1:1",
      "ftp://id.example",
      "https://id.example/{tenantid}",
      "id.example",
      "",
    ])
      assert.throws(
        () => untyped.fromDiscovery({ issuers: [{ ...entry, issuer }] }),
        TypeError,
        issuer,
      );
    for (const issuer of [
      "http://id.example",
      "http://127.0.0.2",
      "http://localhost.example",
      "http://10.0.0.1",
    ])
      assert.throws(
        () => untyped.fromDiscovery({ issuers: [{ ...entry, issuer }], allowLoopbackHttp: true }),
        TypeError,
        issuer,
      );
    for (const issuer of [
      "http://127.0.0.1:1",
      "http://localhost:8080",
      "http://[::1]:1",
      "https://id.example",
    ])
      untyped.fromDiscovery({ issuers: [{ ...entry, issuer }], allowLoopbackHttp: true });
  });

  it("refuses other mistakes", () => {
    untyped.fromDiscovery({ issuers: [entry], refreshSeconds: 10, maxStaleSeconds: 11 });
    for (const options of [
      {},
      { issuers: [] },
      { issuers: [entry, entry] },
      { issuers: [{ ...entry, ring: undefined }] },
      { issuers: [{ ...entry, ring: "x" }] },
      { issuers: [{ ...entry, ring: [] }] },
      { issuers: [{ ...entry, ring: [entry.ring, "x"] }] },
      { issuers: [{ ...entry, ring: [entry.ring, 1] }] },
      { issuers: [{ ...entry, ring: Array.from({ length: 5 }, () => entry.ring) }] },
      { issuers: [{ ...entry, realm: "Enterprise" }] },
      { issuers: [{ ...entry, tenants: "any" }] },
      { issuers: [{ ...entry, jwksOrigin: "http://id.example" }] },
      { issuers: [{ ...entry, jwksOrigin: "https://id.example/path" }] },
      { issuers: [entry], refreshSeconds: 9 },
      { issuers: [entry], refreshSeconds: 3601 },
      { issuers: [entry], refreshSeconds: 60.5 },
      { issuers: [entry], refreshSeconds: 60, maxStaleSeconds: 60 },
      { issuers: [entry], maxStaleSeconds: 86_401 },
    ])
      assert.throws(() => untyped.fromDiscovery(options), TypeError, JSON.stringify(options));
  });
});

describe("background refresh", () => {
  it("takes new keys and drops withdrawn ones, without a token asking", () =>
    withIssuer(async (issuer) => {
      const [old, next] = [issuer.record("ent-es256"), issuer.record("ent-ed25519")];
      issuer.publish([old.jwk]);
      const verifier = await issuer.verifier({ refreshSeconds: 100, maxStaleSeconds: 1000 });
      const oldToken = mint({ header: { kid: old.record.kid }, payload: issuer.payload });
      const nextToken = mint({
        key: "ent-ed25519",
        header: { kid: next.record.kid },
        payload: issuer.payload,
      });
      verifier.verify(oldToken);
      assertRefused(verifier, nextToken, "ERR_JWKS_NO_MATCHING_KEY");
      issuer.publish([next.jwk]);
      issuer.time.fire();
      await until(() => issuer.time.isPlanned);
      assert.equal(verifier.verify(nextToken).cached, false);
      assertRefused(verifier, oldToken, "ERR_JWKS_NO_MATCHING_KEY");
      // Half of the jitter of a tenth.
      assert.deepEqual(issuer.time.delays, [95_000, 95_000]);
      verifier.close();
      assert.equal(issuer.time.isPlanned, false);
    }));

  it("close() ends a load that is under way, and nothing is planned after it", () =>
    withIssuer(async (issuer) => {
      issuer.publish([issuer.record("ent-es256").jwk]);
      const verifier = await issuer.verifier();
      let release: (() => void) | undefined;
      issuer.site.handler = () =>
        new Promise((resolve) => {
          release = () => {
            resolve({ status: 500 });
          };
        });
      issuer.time.fire();
      const joined = verifier.reload();
      await until(() => release !== undefined);
      verifier.close();
      await rejects(joined, "ERR_DISCOVERY_FETCH");
      assert.equal(verifier.status().sources[0]?.failures, 1);
      let turns = 0;
      await until(() => (turns += 1) > 5);
      assert.deepEqual([issuer.time.isPlanned, issuer.time.delays.length], [false, 1]);
      release?.();
    }));

  it("keeps what it verified when nothing changed", () =>
    withIssuer(async (issuer) => {
      const { jwk, record } = issuer.record("ent-es256");
      issuer.publish([jwk]);
      const verifier = await issuer.verifier();
      const token = mint({ header: { kid: record.kid }, payload: issuer.payload });
      verifier.verify(token);
      await verifier.reload();
      assert.equal(verifier.verify(token).cached, true);
      verifier.close();
    }));

  it("loads once for any number of callers", () =>
    withIssuer(async (issuer) => {
      issuer.publish([issuer.record("ent-es256").jwk]);
      const verifier = await issuer.verifier();
      const before = issuer.site.requests.length;
      await Promise.all(Array.from({ length: 20 }, () => verifier.reload()));
      assert.equal(issuer.site.requests.length, before + 2);
      verifier.close();
    }));

  it("P7: survives an outage until the keys are stale, retries sooner, and recovers", () =>
    withIssuer(async (issuer) => {
      const { jwk, record } = issuer.record("ent-es256", { maxLifetimeSeconds: 7200 });
      issuer.publish([jwk]);
      const verifier = await issuer.verifier({ refreshSeconds: 100, maxStaleSeconds: 1000 });
      const token = mint({ header: { kid: record.kid }, payload: issuer.payload });
      verifier.verify(token);
      issuer.site.serve({});
      for (const seconds of [95, 200, 400]) {
        issuer.now = NOW + seconds;
        issuer.time.fire();
        await until(() => issuer.time.isPlanned);
        assert.equal(verifier.verify(token).cached, true);
      }
      const [source] = verifier.status().sources;
      assert.deepEqual([source?.failures, source?.lastError], [3, "ERR_DISCOVERY_FETCH"]);
      assert.deepEqual(issuer.time.delays, [95_000, 9500, 19_000, 38_000]);
      await rejects(verifier.reload(), "ERR_DISCOVERY_FETCH");
      issuer.now = NOW + 999;
      assert.equal(verifier.verify(token).cached, true);
      issuer.now = NOW + 1000;
      assertRefused(verifier, token, "ERR_TRUST_STALE");
      issuer.publish([jwk]);
      await verifier.reload();
      assert.equal(verifier.verify(token).tenantId, TENANT_A);
      assert.equal(verifier.status().sources[0]?.lastError, null);
      verifier.close();
    }));

  it("a load that fails half-way changes nothing", () =>
    withIssuer(async (issuer) => {
      const { jwk, record } = issuer.record("ent-es256");
      issuer.publish([jwk]);
      const verifier = await issuer.verifier();
      issuer.publish([jwk], { keySet: { body: '{"keys":[' } });
      await rejects(verifier.reload(), "ERR_DISCOVERY_DOCUMENT");
      const token = mint({ header: { kid: record.kid }, payload: issuer.payload });
      assert.equal(verifier.verify(token).key.kid, record.kid);
      verifier.close();
    }));

  it("says what failed last: no key that counts, or a load", () =>
    withIssuer(async (issuer) => {
      issuer.publish([issuer.record("ent-es256").jwk]);
      const verifier = await issuer.verifier();
      const lastError = () => verifier.status().sources[0]?.lastError;
      assert.equal(lastError(), null);
      issuer.publish([]);
      await verifier.reload();
      assert.equal(lastError(), "ERR_KEYSET_EMPTY");
      issuer.site.serve({});
      await rejects(verifier.reload(), "ERR_DISCOVERY_FETCH");
      assert.equal(lastError(), "ERR_DISCOVERY_FETCH");
      verifier.close();
    }));

  it("two issuers with one kid: each key signs for its own, in whatever order they load", () =>
    withIssuer((first) =>
      withSite(async (site) => {
        const second = new IssuerSite(site);
        first.publish([firstKey("ent-es256", first)]);
        second.publish([firstKey("con-es256", second)]);
        const entries = [declared(first), { ...declared(second), realm: "beta" }];
        for (const issuers of [entries, entries.toReversed()]) {
          const accept = [
            { issuer: first.template, realm: "enterprise", tenants: "any" },
            { issuer: second.template, realm: "beta", tenants: "any" },
          ] as const;
          const trust = fromDiscovery({ issuers, allowLoopbackHttp: true });
          const verifier = await verifierWith([], { trust, accept });
          assert.equal(verifier.verify(tokenOf(first, "ent-es256")).key.realm, "enterprise");
          assert.equal(verifier.verify(tokenOf(second, "con-es256")).key.realm, "beta");
          const crossed = tokenOf(first, "con-es256");
          assertRefused(verifier, crossed, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
          verifier.close();
        }
      }),
    ));

  it("P7: a key of two issuers counts as long as one that lists it is fresh, and no longer", () =>
    withIssuer(async (issuer) => {
      const [shared, other] = [issuer.record("ent-es256"), issuer.record("ent-ed25519")];
      const second = `${issuer.site.origin}/${TENANT_B}`;
      const publish = (keysA: readonly Claims[], keysB: readonly Claims[] | undefined) => {
        issuer.site.serve({
          [`/${TENANT_A}/.well-known/openid-configuration`]: metadata(issuer.issuer, "/a"),
          [`/${TENANT_B}/.well-known/openid-configuration`]: metadata(second, "/b"),
          "/a": JSON.stringify({ keys: keysA }),
          "/b": keysB === undefined ? { status: 503 } : JSON.stringify({ keys: keysB }),
        });
      };
      publish([shared.jwk], [other.jwk]);
      const issuers = [issuer.ringIssuer, { ...issuer.ringIssuer, issuer: second }];
      const verifier = await issuer.verifier({ issuers, refreshSeconds: 10, maxStaleSeconds: 100 });
      const token = mint({ header: { kid: shared.record.kid }, payload: issuer.payload });
      verifier.verify(token);
      // The second begins to list it, the first stops.
      publish([shared.jwk, other.jwk], [shared.jwk]);
      await verifier.reload();
      publish([other.jwk], [shared.jwk]);
      await verifier.reload();
      assert.equal(verifier.verify(token).key.kid, shared.record.kid);
      // Now the second alone vouches for it, and falls silent: the first's freshness must not count.
      publish([other.jwk], undefined);
      issuer.now = NOW + 100;
      await rejects(verifier.reload(), "ERR_DISCOVERY_FETCH");
      assertRefused(verifier, token, "ERR_TRUST_STALE");
      // Both list it again: one is enough.
      publish([shared.jwk], [shared.jwk]);
      await verifier.reload();
      publish([shared.jwk], undefined);
      issuer.now = NOW + 200;
      await rejects(verifier.reload(), "ERR_DISCOVERY_FETCH");
      assert.equal(verifier.verify(token).key.kid, shared.record.kid);
      verifier.close();
    }));
});

function metadata(issuer: string, path: string): string {
  return JSON.stringify({ issuer, jwks_uri: new URL(path, issuer).href });
}
