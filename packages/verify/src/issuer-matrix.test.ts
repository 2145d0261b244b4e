import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { fromDiscovery } from "./discovery.ts";
import type { DiscoveryOptions } from "./discovery-options.ts";
import { fromStaticKeys } from "./static-trust.ts";
import {
  ENTERPRISE_ISSUER,
  ENTERPRISE_RULE,
  mint,
  NOW,
  signedRecord,
  staticKey,
  TENANT_A,
  verifierWith,
  type Claims,
} from "./testing/fixture.ts";
import { ENTRA, fetchFrom, foreignToken, KEY, pagesOf } from "./testing/foreign-issuer.ts";
import { pinOf, testKey } from "./testing/keys.ts";
import { parsePublicJwk } from "./public-key.ts";
import { TokenError } from "./token-error.ts";
import { TrustError } from "./trust-error.ts";
import type { Verifier } from "./verifier.ts";

/** Redoubt's issuer, whose ring vouches for its keys, and beside it one of low trust that serves what it likes. */
class Neighbours {
  readonly own = ENTERPRISE_ISSUER.replace("{tenantid}", TENANT_A);
  readonly record = signedRecord("ent-es256");
  readonly pages = new Map<string, Claims>();
  readonly asked: string[] = [];
  now = NOW;

  constructor() {
    this.serveOwn([this.record.jwk]);
    this.serveOther([]);
  }

  serveOwn(keys: readonly Claims[] | undefined): void {
    const origin = new URL(this.own).origin;
    this.pages.set(`${this.own}/.well-known/openid-configuration`, {
      issuer: this.own,
      jwks_uri: `${origin}/own`,
    });
    if (keys) this.pages.set(`${origin}/own`, { keys });
    else this.pages.delete(`${origin}/own`);
  }

  /** Beside its own good key. */
  serveOther(keys: readonly Claims[]): void {
    for (const [address, page] of pagesOf(ENTRA, { others: keys })) this.pages.set(address, page);
  }

  failOther(): void {
    for (const address of pagesOf(ENTRA).keys()) this.pages.delete(address);
  }

  async verifier(changes: Partial<DiscoveryOptions> = {}): Promise<Verifier> {
    const { own } = this;
    const served = fetchFrom(this.pages);
    const trust = fromDiscovery({
      issuers: [
        { ...ENTRA.declaration },
        { issuer: own, realm: "enterprise", ring: pinOf(testKey("ring-enterprise")) },
      ],
      fetch: (url, init) => {
        this.asked.push(url instanceof Request ? url.url : url.toString());
        return served(url, init);
      },
      ...changes,
    });
    const { issuer } = ENTRA.declaration;
    const accept = [ENTERPRISE_RULE, { issuer, realm: "external", tenants: "any" } as const];
    return verifierWith([], { trust, accept, now: () => this.now * 1000 });
  }

  get ownToken(): string {
    return mint({ header: { kid: this.record.record.kid }, payload: { iss: this.own } });
  }
}

const code = (expected: string) => (error: unknown) =>
  (error instanceof TokenError || error instanceof TrustError) && error.code === expected;

describe("an issuer harms only itself", () => {
  /** What a hostile issuer can put into its set; nothing of it changes what another's keys are worth. */
  const hostile: readonly (readonly [string, (scene: Neighbours) => readonly Claims[]])[] = [
    ["another's kid", ({ record }) => [{ ...testKey(KEY).publicJwk, kid: record.record.kid }]],
    ["another's key", () => [{ ...testKey("ent-es256").publicJwk, kid: "mine" }]],
    ["another's record", ({ record }) => [record.jwk]],
    ["a secret", () => [{ kty: "oct", k: "AAAA", kid: "s" }]],
    ["another's key as a private one", ({ record }) => [{ ...record.jwk, d: "AAAA" }]],
    ["one kid twice", () => [{ ...testKey("attacker-rs256").publicJwk, kid: "k1" }]],
    ["one key twice", () => [{ ...testKey(KEY).publicJwk, kid: "k2" }]],
    ["a key that is none", () => [{ kty: "RSA", n: "AQAB", e: "AQAB", kid: "short" }]],
    ["a key without a name", () => [{ ...testKey("attacker-rs256").publicJwk }]],
  ];
  for (const [name, keys] of hostile)
    it(`${name} in its set`, async () => {
      const scene = new Neighbours();
      const verifier = await scene.verifier();
      verifier.verify(scene.ownToken);
      scene.serveOther(keys(scene));
      await verifier.reload();
      assert.equal(verifier.verify(scene.ownToken).key.realm, "enterprise");
      assert.equal(verifier.isReady(scene.own), true);
      // And what the other withdraws is gone at once, whoever copied it.
      scene.serveOwn([]);
      await verifier.reload();
      assert.throws(() => verifier.verify(scene.ownToken), TokenError);
      verifier.close();
    });

  it("named is what does not count, with its reason", async () => {
    const scene = new Neighbours();
    const { kid } = scene.record.record;
    scene.serveOther([{ ...testKey("next-ed25519").publicJwk, alg: "RS256", kid: "odd" }]);
    const verifier = await scene.verifier();
    scene.serveOther([{ ...testKey("attacker-rs256").publicJwk, kid }]);
    await verifier.reload();
    const [other] = verifier.status().sources;
    assert.deepEqual(other?.refusals, [
      {
        kid,
        code: "ERR_KEYSET_CONFLICT",
        reason: "Another issuer's ring vouches for this kid or key",
      },
    ]);
    verifier.verify(foreignToken(ENTRA));
    verifier.close();
  });

  it("one that is down at the start: the others work, its tokens get 503, and it comes back", async () => {
    const scene = new Neighbours();
    scene.failOther();
    const verifier = await scene.verifier();
    assert.deepEqual(
      [verifier.isReady(), verifier.isReady(scene.own), verifier.isReady(ENTRA.declaration.issuer)],
      [false, true, false],
    );
    verifier.verify(scene.ownToken);
    assert.throws(
      () => verifier.verify(foreignToken(ENTRA)),
      (error) => error instanceof TokenError && error.status === 503,
    );
    // A token of nobody that is known is refused as before.
    const stranger = foreignToken(ENTRA, { claims: { iss: "https://else.example" } });
    assert.throws(() => verifier.verify(stranger), code("ERR_JWKS_NO_MATCHING_KEY"));
    scene.serveOther([]);
    await verifier.reload();
    assert.equal(verifier.isReady(), true);
    verifier.verify(foreignToken(ENTRA));
    verifier.close();
  });

  it("one that stays away ends alone, when its keys are stale", async () => {
    const scene = new Neighbours();
    const verifier = await scene.verifier({ refreshSeconds: 10, maxStaleSeconds: 100 });
    scene.failOther();
    scene.now = NOW + 100;
    await assert.rejects(verifier.reload(), code("ERR_DISCOVERY_FETCH"));
    verifier.verify(scene.ownToken);
    assert.throws(() => verifier.verify(foreignToken(ENTRA)), code("ERR_TRUST_STALE"));
    verifier.close();
  });

  it("with all of them down nothing starts", async () => {
    const scene = new Neighbours();
    scene.failOther();
    scene.serveOwn(undefined);
    await assert.rejects(scene.verifier(), code("ERR_DISCOVERY_FETCH"));
  });
});

function flood(verifier: Verifier, iss: string): void {
  for (let i = 0; i < 300; i += 1) {
    const kid = randomBytes(16).toString("hex");
    const token = foreignToken(ENTRA, { header: { kid }, claims: { iss } });
    assert.throws(() => verifier.verify(token), code("ERR_JWKS_NO_MATCHING_KEY"));
  }
}

describe("an unknown kid (THREAT-09)", () => {
  it("of an issuer with a profile brings its next load forward, once in 30 s, off the path", async () => {
    const scene = new Neighbours();
    const verifier = await scene.verifier();
    const loads = () =>
      scene.asked.filter((url) => url === String(ENTRA.metadata["jwks_uri"])).length;
    assert.equal(loads(), 1);
    flood(verifier, ENTRA.declaration.issuer);
    assert.equal(loads(), 1, "it was loaded less than 30 s ago");
    scene.now = NOW + 31;
    const next = { ...testKey("attacker-rs256").publicJwk, kid: "next" };
    scene.serveOther([next]);
    flood(verifier, ENTRA.declaration.issuer);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.equal(loads(), 2);
    const token = foreignToken(ENTRA, { header: { kid: "next" }, key: "attacker-rs256" });
    assert.equal(verifier.verify(token).key.kid, "next");
    flood(verifier, ENTRA.declaration.issuer);
    await new Promise(setImmediate);
    assert.equal(loads(), 2);
    verifier.close();
  });

  it("of Redoubt's own issuer, or of nobody's, causes no load", async () => {
    const scene = new Neighbours();
    const verifier = await scene.verifier();
    const before = scene.asked.length;
    scene.now = NOW + 100;
    flood(verifier, scene.own);
    flood(verifier, "https://else.example");
    await new Promise(setImmediate);
    assert.equal(scene.asked.length, before);
    verifier.close();
  });
});

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

describe("weak keys are refused on every way in", () => {
  const identity = Buffer.concat([Buffer.of(1), Buffer.alloc(31)]);
  const edwards: readonly (readonly [string, string])[] = [
    ["the identity, whose signatures anybody can make", text(identity)],
    [
      "a point of order 2",
      text(Buffer.concat([Buffer.of(0xec), Buffer.alloc(30, 0xff), Buffer.of(0x7f)])),
    ],
    ["a point of order 4", text(Buffer.alloc(32))],
    [
      "a point of order 8",
      text(Buffer.from("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "hex")),
    ],
    [
      "another spelling of the identity",
      text(Buffer.concat([Buffer.of(1), Buffer.alloc(30), Buffer.of(0x80)])),
    ],
    ["a y that is not below p", text(Buffer.alloc(32, 0xff))],
    ["no point of the curve", text(Buffer.concat([Buffer.of(2), Buffer.alloc(31)]))],
  ];
  const bad: readonly (readonly [string, string, Claims])[] = [
    ...edwards.map(
      ([name, point]) => [name, "Ed25519", { kty: "OKP", crv: "Ed25519", x: point }] as const,
    ),
    [
      "an RSA modulus of a broken generator (ROCA)",
      "RS256",
      { kty: "RSA", e: "AQAB", n: rocaModulus() },
    ],
    [
      "a point that is not on P-256",
      "ES256",
      { kty: "EC", crv: "P-256", x: text(Buffer.alloc(32, 1)), y: text(Buffer.alloc(32, 1)) },
    ],
  ];
  for (const [name, alg, jwk] of bad)
    it(name, async () => {
      const good = staticKey("ent-es256");
      assert.throws(
        () => fromStaticKeys({ keys: [{ ...good, jwk: { ...jwk, alg, kid: "w" } }] }),
        TypeError,
      );
      const scene = new Neighbours();
      const profile = { base: "entra", algorithms: ["RS256", "Ed25519", "ES256"] } as const;
      scene.serveOther([{ ...jwk, alg, kid: "w" }]);
      const verifier = await scene.verifier({ issuers: [{ ...ENTRA.declaration, profile }] });
      const kids = verifier.status().keys.map(({ kid }) => kid);
      assert.deepEqual(kids, ["k1"]);
      assert.equal(verifier.status().sources[0]?.refusals[0]?.code, "ERR_KEY_INVALID");
      verifier.close();
    });

  for (const member of [{ use: "enc" }, { key_ops: ["sign"] }])
    it(`a static key with ${JSON.stringify(member)}`, () => {
      const good = staticKey("ent-es256");
      assert.throws(
        () => fromStaticKeys({ keys: [{ ...good, jwk: { ...good.jwk, ...member } }] }),
        TypeError,
      );
    });

  it("good ones of each kind pass", () => {
    for (let i = 0; i < 32; i += 1) {
      const jwk = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
      parsePublicJwk({ kty: "OKP", crv: "Ed25519", x: String(jwk.x) }, "Ed25519");
    }
    const jwk = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({
      format: "jwk",
    });
    parsePublicJwk({ kty: "RSA", e: "AQAB", n: String(jwk.n) }, "RS256");
  });
});

/** Modulo each prime of the fingerprint a power of 65537, as 65537 itself is: the smallest such number of 2048 bits. */
function rocaModulus(): string {
  const primes = [
    11n,
    13n,
    17n,
    19n,
    37n,
    53n,
    61n,
    71n,
    73n,
    79n,
    97n,
    103n,
    107n,
    109n,
    127n,
    151n,
    157n,
  ];
  const step = 2n * primes.reduce((product, prime) => product * prime, 1n);
  const top = 2n ** 2047n;
  const n = top - (top % step) + step + 65_537n;
  return Buffer.from(n.toString(16), "hex").toString("base64url");
}
