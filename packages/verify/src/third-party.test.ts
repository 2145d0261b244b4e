import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ISSUER_PROFILES, type IssuerProfile } from "./issuer-profile.ts";
import { NOW, type Claims } from "./testing/fixture.ts";
import {
  API,
  ENTRA,
  ENTRA_MANY,
  foreignToken,
  foreignVerifier,
  KEY,
  SHAPES,
  type Change,
  type Shape,
} from "./testing/foreign-issuer.ts";
import { testKey } from "./testing/keys.ts";
import { TokenError, type TokenErrorCode } from "./token-error.ts";
import { TrustError } from "./trust-error.ts";

const OTHER_TENANT = "b7e2d9c4-11aa-4e0f-8d3c-5a6b7c8d9e02";

type Refusal = readonly [TokenErrorCode, string?];

const CLAIM = (part: string): Refusal => ["ERR_JWT_CLAIM_VALIDATION_FAILED", part];
const HEADER = (part: string): Refusal => ["ERR_TOKEN_HEADER", part];

/** One change of a good token or of its key, and the refusal that names it. */
const MUTATIONS: readonly (readonly [string, Change, Refusal])[] = [
  ["no algorithm", { header: { alg: "none" } }, ["ERR_JOSE_ALG_NOT_ALLOWED"]],
  ["a MAC", { header: { alg: "HS256" } }, ["ERR_JOSE_ALG_NOT_ALLOWED"]],
  ["another algorithm of the key", { header: { alg: "RS384" } }, ["ERR_KEY_SCOPE", "alg"]],
  ["another family", { header: { alg: "PS256" } }, ["ERR_KEY_SCOPE", "alg"]],
  ["an unknown kid", { header: { kid: "k2" } }, ["ERR_JWKS_NO_MATCHING_KEY"]],
  ["no kid", { header: { kid: undefined } }, HEADER("kid")],
  ["another typ", { header: { typ: "dpop+jwt" } }, CLAIM("typ")],
  ["a typ that is no text", { header: { typ: 1 } }, HEADER("typ")],
  ...["jwk", "jku", "x5u", "crit", "b64", "zip", "enc"].map(
    (part) => [`header ${part}`, { header: { [part]: "x" } }, HEADER(part)] as const,
  ),
  ["another's signature", { key: "attacker-rs256" }, ["ERR_JWS_SIGNATURE_VERIFICATION_FAILED"]],
  ["another issuer", { claims: { iss: "https://evil.example" } }, ["ERR_KEY_SCOPE", "issuer"]],
  ["no issuer", { claims: { iss: undefined } }, CLAIM("iss")],
  ["no subject", { claims: { sub: undefined } }, CLAIM("sub")],
  ["an empty subject", { claims: { sub: "" } }, CLAIM("sub")],
  [
    "expired",
    { claims: { iat: NOW - 700, nbf: NOW - 700, exp: NOW - 100 } },
    ["ERR_JWT_EXPIRED", "exp"],
  ],
  ["no end", { claims: { exp: undefined } }, CLAIM("exp")],
  ["an end as text", { claims: { exp: String(NOW + 600) } }, CLAIM("exp")],
  ["an end before the beginning", { claims: { iat: NOW + 30, exp: NOW + 10 } }, CLAIM("exp")],
  ["a year", { claims: { exp: NOW + 31_536_000 } }, CLAIM("exp")],
  ["no beginning", { claims: { iat: undefined } }, CLAIM("iat")],
  ["issued later", { claims: { iat: NOW + 100 } }, CLAIM("iat")],
  ["not yet", { claims: { nbf: NOW + 100 } }, CLAIM("nbf")],
  ["a time that is none", { claims: { nbf: "now" } }, CLAIM("nbf")],
  ["bound to a key", { claims: { cnf: { jkt: "x" } } }, ["ERR_BINDING_UNSUPPORTED"]],
];

function assertRefusal(act: () => unknown, [code, part]: Refusal, name: string): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof TokenError, String(error));
    assert.deepEqual([error.code, part === undefined ? part : error.part], [code, part], name);
    return true;
  });
}

describe("issuers that are not Redoubt's, each by one short declaration", () => {
  for (const shape of SHAPES)
    it(`${shape.name}: its tokens are taken, and no changed one`, async () => {
      const verifier = await foreignVerifier(shape);
      const token = verifier.verify(foreignToken(shape));
      assert.equal(token.tenantId, shape.tenant);
      assert.equal(token.payload.sub, "s");
      assert.equal(verifier.verify(foreignToken(shape)).cached, true);
      assert.equal(verifier.isReady(), true);
      for (const [name, change, refusal] of [...MUTATIONS, ...mutationsOf(shape)])
        assertRefusal(() => verifier.verify(foreignToken(shape, change)), refusal, name);
      verifier.close();
    });

  it("a fraction of a second is a time", async () => {
    const verifier = await foreignVerifier(ENTRA);
    const claims = { iat: NOW - 0.5, nbf: NOW - 0.25, exp: NOW + 59.75 };
    assert.equal(verifier.verify(foreignToken(ENTRA, { claims })).payload.exp, NOW + 59.75);
    verifier.close();
  });

  it("a token from the cache expires", async () => {
    let now = NOW;
    const verifier = await foreignVerifier(ENTRA, { options: { now: () => now * 1000 } });
    const token = foreignToken(ENTRA);
    verifier.verify(token);
    now = NOW + 659;
    assert.equal(verifier.verify(token).cached, true);
    now = NOW + 660;
    assertRefusal(() => verifier.verify(token), ["ERR_JWT_EXPIRED"], "cached");
    verifier.close();
  });
});

function requiredBy({ profile }: Shape["declaration"]): readonly string[] {
  const known: Readonly<Record<string, IssuerProfile>> = ISSUER_PROFILES;
  return Object.keys((typeof profile === "string" && known[profile]?.claims) || {});
}

/** What one kind of issuer has beside the others. */
function mutationsOf({ declaration, audience = API }: Shape): typeof MUTATIONS {
  const tenants: typeof MUTATIONS = [
    ["no tenant", { claims: { tid: undefined } }, CLAIM("tid")],
    ["another tenant", { claims: { tid: OTHER_TENANT } }, ["ERR_KEY_SCOPE"]],
    ["an ID token", { claims: { nonce: "n" } }, CLAIM("nonce")],
  ];
  const audiences: typeof MUTATIONS = [
    ["another audience", { claims: { aud: "api://other" } }, CLAIM("aud")],
    ["no audience", { claims: { aud: undefined } }, CLAIM("aud")],
    ["an empty list of audiences", { claims: { aud: [] } }, CLAIM("aud")],
    ["one more audience", { claims: { aud: [audience, "api://other"] } }, CLAIM("aud")],
  ];
  const required: typeof MUTATIONS = requiredBy(declaration).map(
    (name) => [`no ${name}`, { claims: { [name]: undefined } }, CLAIM(name)] as const,
  );
  const { profile } = declaration;
  switch (typeof profile === "string" ? profile : undefined) {
    case "entra":
      return [...audiences, ...tenants];
    case "keycloak":
      return [
        ...audiences,
        ["an ID token", { claims: { typ: "ID" } }, CLAIM("typ")],
        ["a refresh token", { claims: { typ: "Refresh" } }, CLAIM("typ")],
      ];
    case "cognito":
      return [
        ["an ID token", { claims: { token_use: "id" } }, CLAIM("token_use")],
        ["another client's", { claims: { client_id: "app-2" } }, CLAIM("client_id")],
        ["no client", { claims: { client_id: undefined } }, CLAIM("client_id")],
      ];
    case "auth0":
      return [...audiences, ["an ID token", { claims: { at_hash: "x" } }, CLAIM("at_hash")]];
    case "google":
      return audiences;
    case "kubernetes":
    case "okta":
    case "rfc9068":
    case undefined:
      return [...audiences, ...required];
  }
}

async function taken(shape: Shape, change: Change): Promise<readonly string[]> {
  const verifier = await foreignVerifier(shape, change);
  const keys = verifier.status().keys.map(({ alg }) => alg);
  verifier.close();
  return keys;
}
async function refused(shape: Shape, change: Change, code: string): Promise<void> {
  await assert.rejects(foreignVerifier(shape, change), (error) => {
    assert.ok(error instanceof TrustError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

describe("keys of a declared issuer", () => {
  it("without alg are of the first declared family that fits them, and of no other", async () => {
    const profile = { base: "entra", algorithms: ["ES256", "RS512", "PS256", "RS256"] };
    assert.deepEqual(await taken(ENTRA, { declaration: { profile } }), ["RS512", "RS256"]);
    const curve = { ...testKey("ent-es256").publicJwk, n: undefined, e: undefined };
    assert.deepEqual(await taken(ENTRA, { declaration: { profile }, jwk: curve }), ["ES256"]);
    await refused(ENTRA, { jwk: curve }, "ERR_KEYSET_EMPTY");
  });

  it("EdDSA and Ed25519 are one", async () => {
    const profile = { base: "rfc9068", algorithms: ["EdDSA"], claims: {}, tenantClaim: "tid" };
    const { publicJwk } = testKey("next-ed25519");
    for (const alg of ["EdDSA", "Ed25519"]) {
      const jwk = { ...publicJwk, alg, n: undefined, e: undefined, issuer: undefined };
      const verifier = await foreignVerifier(ENTRA, { declaration: { profile }, jwk });
      for (const name of ["EdDSA", "Ed25519"]) {
        const header = { alg: name, typ: "at+jwt" };
        verifier.verify(foreignToken(ENTRA, { header, key: "next-ed25519" }));
      }
      verifier.close();
    }
  });

  it("are refused alone where they are for something else, weak, or another issuer's", async () => {
    for (const jwk of [
      { use: "enc" },
      { key_ops: ["encrypt"] },
      { alg: "RSA-OAEP" },
      { alg: "ES256" },
    ])
      await refused(ENTRA, { jwk }, "ERR_KEYSET_EMPTY");
    await refused(ENTRA, { jwk: { ...testKey("weak-rs256").publicJwk } }, "ERR_KEY_INVALID");
    await refused(ENTRA, { jwk: { kid: undefined } }, "ERR_KEY_INVALID");
    await refused(ENTRA, { jwk: { d: "AA" } }, "ERR_KEYSET_PRIVATE");
    await refused(ENTRA, { jwk: { issuer: "https://other.example" } }, "ERR_KEY_UNTRUSTED");
    assert.deepEqual(await taken(ENTRA, { jwk: { issuer: undefined } }), ["RS256"]);
  });

  it("of an issuer of many tenants name theirs: Storm-0558 inside one key set", async () => {
    await refused(ENTRA_MANY, { jwk: { issuer: undefined } }, "ERR_KEY_UNTRUSTED");
    const other = ENTRA_MANY.declaration.issuer.replace("{tenantid}", OTHER_TENANT);
    const verifier = await foreignVerifier(ENTRA_MANY, { jwk: { issuer: other } });
    assertRefusal(
      () => verifier.verify(foreignToken(ENTRA_MANY)),
      ["ERR_KEY_SCOPE", "tenant"],
      "another tenant's key",
    );
    const claims = { tid: OTHER_TENANT, iss: other };
    assert.equal(verifier.verify(foreignToken(ENTRA_MANY, { claims })).tenantId, OTHER_TENANT);
    verifier.close();
    const listed = { declaration: { tenants: [OTHER_TENANT] } };
    const narrow = await foreignVerifier(ENTRA_MANY, listed);
    assertRefusal(
      () => narrow.verify(foreignToken(ENTRA_MANY)),
      ["ERR_KEY_SCOPE", "tenant"],
      "a tenant that was not declared",
    );
    narrow.close();
  });

  it("metadata of another issuer, and a key set elsewhere, are refused with both values", async () => {
    const other = foreignVerifier(ENTRA, { metadata: { issuer: "https://evil.example" } });
    await assert.rejects(other, /names issuer "https:\/\/evil\.example", expected https:\/\/login/);
    const elsewhere = foreignVerifier(ENTRA, { metadata: { jwks_uri: "https://evil.example/k" } });
    await assert.rejects(
      elsewhere,
      /jwks_uri "https:\/\/evil\.example\/k" is not at https:\/\/login/,
    );
  });
});

describe("a declaration", () => {
  const wrong: readonly (readonly [string, Claims])[] = [
    ["no such profile", { profile: "entra2" }],
    ["a profile of nothing", { profile: null }],
    ["a misspelt member", { jwksUri: "https://login.example/keys" }],
    ["a misspelt member of the profile", { profile: { base: "entra", algs: ["RS256"] } }],
    ["a symmetric algorithm", { profile: { base: "entra", algorithms: ["HS256"] } }],
    ["no algorithm", { profile: { base: "entra", algorithms: [] } }],
    ["no typ", { profile: { base: "entra", typ: [] } }],
    ["claims that are none", { profile: { base: "entra", claims: { tid: 1 } } }],
    ["a lifetime without end", { profile: { base: "entra", maxLifetimeSeconds: Infinity } }],
    ["an issuer over http", { issuer: "http://login.example" }],
    ["no issuer", { issuer: undefined }],
    ["a realm that is none", { realm: "A realm" }],
    ["metadata over http", { metadataUrl: "http://login.example/m" }],
    ["a key set over http", { jwksUrl: "http://login.example/k" }],
    ["an origin with a path", { jwksOrigin: "https://login.example/k" }],
    ["tenants that are none", { tenants: [] }],
    ["tenants where there are none", { profile: "okta", tenants: ["a"] }],
    ["many tenants, and none said", { issuer: ENTRA_MANY.declaration.issuer, tenants: undefined }],
    [
      "many tenants without an address",
      { issuer: ENTRA_MANY.declaration.issuer, profile: "rfc9068" },
    ],
  ];
  for (const [name, declaration] of wrong)
    it(`with ${name} is a mistake of the programmer`, async () => {
      await assert.rejects(async () => foreignVerifier(ENTRA, { declaration }), TypeError);
    });

  it("may say where metadata or keys stand, whatever metadata say", async () => {
    const jwksUrl = "https://keys.example/set";
    const set = { keys: [{ ...testKey(KEY).publicJwk, kid: "k1" }] };
    const asked: string[] = [];
    const verifier = await foreignVerifier(ENTRA, {
      declaration: { jwksUrl },
      discovery: {
        fetch: (url) => {
          asked.push(url instanceof Request ? url.url : url.toString());
          return Promise.resolve(Response.json(set));
        },
      },
    });
    verifier.verify(foreignToken(ENTRA));
    assert.deepEqual(asked, [jwksUrl]);
    verifier.close();
  });

  it("accept rules narrow it", async () => {
    const rule = { issuer: ENTRA.declaration.issuer, realm: "external", tenants: [OTHER_TENANT] };
    const verifier = await foreignVerifier(ENTRA, { options: { accept: [rule] } });
    assertRefusal(
      () => verifier.verify(foreignToken(ENTRA)),
      ["ERR_KEY_SCOPE", "tenant"],
      "a tenant that is not accepted",
    );
    verifier.close();
  });

  it("a misspelt option of fromDiscovery is a mistake of the programmer", async () => {
    const discovery: object = { refreshSecond: 20 };
    await assert.rejects(async () => foreignVerifier(ENTRA, { discovery }), TypeError);
  });
});
