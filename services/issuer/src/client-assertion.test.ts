import assert from "node:assert/strict";
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { describe, test } from "node:test";
import { parseClientJwk } from "@redoubt/registry";
import { StoreError, type ReplayRepository } from "@redoubt/store";
import type { JsonObject } from "@redoubt/verify/json";
import fc from "fast-check";
import { parseAssertion, verifyAssertion } from "./client-assertion.ts";
import { importClientKey, nobodysKeys } from "./client-keys.ts";
import { OAuthError, type IssuerErrorCode } from "./errors.ts";
import {
  basic,
  ISSUER,
  ofKey,
  OTHER_TENANT,
  post,
  SECRET,
  System,
  TENANT,
} from "./testing/system.ts";

const NOW = 1_790_000_000;
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ES_JWK: JsonObject = { ...ec.publicKey.export({ format: "jwk" }), alg: "ES256", kid: "es" };
const ed = generateKeyPairSync("ed25519");
const ED_JWK: JsonObject = { ...ed.publicKey.export({ format: "jwk" }), alg: "Ed25519", kid: "ed" };
const PS_JWK: JsonObject = { ...rsa.publicKey.export({ format: "jwk" }), alg: "PS256", kid: "ps" };

const TOKEN_ENDPOINT = `https://issuer.example/${TENANT}/oauth2/v2.0/token`;
const CLAIMS = { iss: "app", sub: "app", aud: ISSUER, exp: NOW + 60, iat: NOW, jti: "one" };
const HEADER = { alg: "ES256", kid: "es", typ: "JWT" };

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function signed(header: unknown, claims: unknown, key: KeyObject = ec.privateKey): string {
  const input = `${encode(header)}.${encode(claims)}`;
  const options = key.asymmetricKeyType === "ec" ? { dsaEncoding: "ieee-p1363" as const } : {};
  const digest = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  return `${input}.${sign(digest, Buffer.from(input), { key, ...options }).toString("base64url")}`;
}

function signedFor(aud: unknown): string {
  return signed(HEADER, { ...CLAIMS, aud });
}

function once(): ReplayRepository {
  const seen = new Set<string>();
  return {
    use: async ({ key }) => {
      const name = Buffer.from(key).toString("hex");
      const isFirst = !seen.has(name);
      seen.add(name);
      return isFirst;
    },
  };
}

/** How many signatures were to be checked, and how many of them in vain. */
const checked = { asked: 0, wasted: 0 };
const COSTS = {
  nobodysKeys: nobodysKeys(),
  turn: (): undefined => void (checked.asked += 1),
  wasted: (): void => void (checked.wasted += 1),
};

async function check(
  text: string,
  replay = once(),
  jwks: JsonObject[] = [ES_JWK],
  unsafeTokenEndpointAudience = false,
): Promise<void> {
  const keys = jwks.map((jwk) => importClientKey({ ...parseClientJwk(jwk), added: NOW }));
  const places = { tenant: TENANT, issuer: ISSUER, tokenEndpoint: TOKEN_ENDPOINT };
  const rest = { nowSeconds: NOW, replay, unsafeTokenEndpointAudience, ...COSTS };
  const context = { ...places, keys, ...rest };
  await verifyAssertion(parseAssertion(text), context);
}

/** The same, of what is done. */
async function costOf(what: () => Promise<unknown>): Promise<readonly [number, number]> {
  const { asked, wasted } = checked;
  await what().catch((error: unknown) => assert.ok(error instanceof OAuthError));
  return [checked.asked - asked, checked.wasted - wasted];
}

async function refuses(
  code: IssuerErrorCode,
  text: string,
  replay?: ReplayRepository,
): Promise<void> {
  await assert.rejects(check(text, replay), (error) => {
    assert.ok(error instanceof OAuthError);
    assert.equal(error.code, code);
    return true;
  });
}

describe("THREAT-34: client assertions (RFC 7523)", () => {
  test("the assertion as it should be passes; typ and kid may be absent", async () => {
    await check(signed(HEADER, CLAIMS));
    await check(signed({ alg: "ES256" }, CLAIMS));
    await check(signed({ ...HEADER, typ: "client-authentication+jwt" }, CLAIMS));
    await check(signed(HEADER, { ...CLAIMS, nbf: NOW, extra: { a: 1 } }));
  });

  test("audience is the issuer identifier of this tenant, and nothing else", async () => {
    const audiences: readonly unknown[] = [
      undefined,
      null,
      [ISSUER],
      [ISSUER, "https://other.example"],
      `${ISSUER}/`,
      ISSUER.toUpperCase(),
      `https://issuer.example/${OTHER_TENANT}/v2.0`,
      "https://issuer.example/consumer/v2.0",
      TOKEN_ENDPOINT,
      [TOKEN_ENDPOINT],
      `http://127.0.0.1:1/${TENANT}/oauth2/v2.0/token`,
      "https://issuer.example/{tenantid}/v2.0",
    ];
    for (const aud of audiences)
      await refuses("ERR_ISSUER_ASSERTION_AUDIENCE", signed(HEADER, { ...CLAIMS, aud }));
  });

  test("the token endpoint is one for a client that has the unsafe option, and then nothing else is", async () => {
    await check(signedFor(TOKEN_ENDPOINT), once(), [ES_JWK], true);
    await check(signedFor(ISSUER), once(), [ES_JWK], true);
    for (const aud of [
      [TOKEN_ENDPOINT],
      [ISSUER, TOKEN_ENDPOINT],
      `${TOKEN_ENDPOINT}/`,
      `https://issuer.example/${OTHER_TENANT}/oauth2/v2.0/token`,
      undefined,
    ])
      await assert.rejects(check(signedFor(aud), once(), [ES_JWK], true), {
        code: "ERR_ISSUER_ASSERTION_AUDIENCE",
      });
  });

  test("life: both sides of each boundary", async () => {
    await check(signed(HEADER, { ...CLAIMS, exp: NOW + 1 }));
    await check(signed(HEADER, { ...CLAIMS, exp: NOW + 3630 }));
    await check(signed(HEADER, { ...CLAIMS, iat: NOW + 30, nbf: NOW + 30 }));
    const times = [
      { exp: NOW },
      { exp: NOW + 3631 },
      { exp: undefined },
      { exp: String(NOW + 60) },
      { exp: NOW + 60.5 },
      { exp: 1e300 },
      { iat: NOW + 31 },
      { iat: "now" },
      { nbf: NOW + 31 },
      { nbf: null },
    ];
    for (const change of times)
      await refuses("ERR_ISSUER_ASSERTION_TIME", signed(HEADER, { ...CLAIMS, ...change }));
  });

  test("issuer and subject are the client; jti is there and bounded", async () => {
    await refuses("ERR_ISSUER_ASSERTION_CLIENT", signed(HEADER, { ...CLAIMS, iss: "other" }));
    await refuses("ERR_ISSUER_ASSERTION_CLIENT", signed(HEADER, { ...CLAIMS, sub: "other" }));
    await refuses("ERR_ISSUER_ASSERTION_CLIENT", signed(HEADER, { ...CLAIMS, sub: 1 }));
    await refuses("ERR_ISSUER_ASSERTION_CLIENT", signed(HEADER, { ...CLAIMS, iss: undefined }));
    for (const jti of [undefined, "", 1, "x".repeat(257)])
      await refuses("ERR_ISSUER_ASSERTION_FORM", signed(HEADER, { ...CLAIMS, jti }));
    await check(signed(HEADER, { ...CLAIMS, jti: "x".repeat(256) }));
  });

  test("the key and its algorithm are the registered ones, never the token's", async () => {
    await refuses("ERR_ISSUER_ASSERTION_KEY", signed({ ...HEADER, kid: "no" }, CLAIMS));
    await refuses(
      "ERR_ISSUER_ASSERTION_KEY",
      signed({ ...HEADER, alg: "RS256" }, CLAIMS, rsa.privateKey),
    );
    await refuses("ERR_ISSUER_ASSERTION_KEY", signed({ ...HEADER, alg: "none" }, CLAIMS));
    await refuses("ERR_ISSUER_ASSERTION_KEY", signed({ ...HEADER, alg: "HS256" }, CLAIMS));
    await refuses("ERR_ISSUER_ASSERTION_SIGNATURE", signed(HEADER, CLAIMS, other.privateKey));
    // Two keys: the assertion must say which.
    const two = check(signed({ alg: "ES256" }, CLAIMS), once(), [ES_JWK, PS_JWK]);
    await assert.rejects(two, { code: "ERR_ISSUER_ASSERTION_KEY" });
    await check(signed(HEADER, CLAIMS), once(), [ES_JWK, PS_JWK]);
    // A PS256 key takes no PKCS#1 v1.5 signature.
    const pkcs1 = check(signed({ alg: "PS256", kid: "ps" }, CLAIMS, rsa.privateKey), once(), [
      PS_JWK,
    ]);
    await assert.rejects(pkcs1, { code: "ERR_ISSUER_ASSERTION_SIGNATURE" });
  });

  test("RFC 9864: an Ed25519 key goes by both names of its algorithm, and no other key by EdDSA", async () => {
    for (const alg of ["Ed25519", "EdDSA"]) {
      const header = { alg, kid: "ed" };
      await check(signed(header, CLAIMS, ed.privateKey), once(), [ED_JWK]);
      const wrong = signed(header, CLAIMS, generateKeyPairSync("ed25519").privateKey);
      await assert.rejects(check(wrong, once(), [ED_JWK]), {
        code: "ERR_ISSUER_ASSERTION_SIGNATURE",
      });
      assert.deepEqual(await costOf(() => check(wrong, once(), [])), [1, 1]);
      const es = check(signed({ ...HEADER, alg }, CLAIMS));
      await assert.rejects(es, { code: "ERR_ISSUER_ASSERTION_KEY" });
    }
    for (const alg of ["ES256", "eddsa", "Ed448", "EdDSA "])
      await assert.rejects(
        check(signed({ alg, kid: "ed" }, CLAIMS, ed.privateKey), once(), [ED_JWK]),
        { code: "ERR_ISSUER_ASSERTION_KEY" },
      );
  });

  test("THREAT-08: header members that bring a key or an extension, other kinds of JWT", async () => {
    const headers = [
      { jwk: ES_JWK },
      { jku: "https://evil.example" },
      { x5u: "https://evil.example" },
      { x5c: [] },
      { crit: ["b64"], b64: false },
      { typ: "at+jwt" },
      { typ: "dpop+jwt" },
      { typ: null },
      { kid: 1 },
      { alg: undefined },
    ];
    for (const change of headers)
      await refuses("ERR_ISSUER_ASSERTION_HEADER", signed({ ...HEADER, ...change }, CLAIMS));
  });

  test("psychic and misshapen signatures", async () => {
    const [head, body, signature = ""] = signed(HEADER, CLAIMS).split(".");
    const zero = Buffer.alloc(64).toString("base64url");
    const long = Buffer.concat([Buffer.from(signature, "base64url"), Buffer.of(0)]).toString(
      "base64url",
    );
    for (const bad of [zero, long, "", signature.slice(0, 40)])
      await refuses("ERR_ISSUER_ASSERTION_SIGNATURE", `${head}.${body}.${bad}`);
  });

  test("duplicate members, spare bits, other texts of the same bytes, sizes", async () => {
    const [head = "", , signature = ""] = signed(HEADER, CLAIMS).split(".");
    const twice = Buffer.from('{"sub":"app","sub":"root"}').toString("base64url");
    const good = signed(HEADER, CLAIMS);
    const texts = [
      `${head}.${twice}.${signature}`,
      `${head}.${encode([])}.${signature}`,
      `${good}.`,
      good.slice(0, good.lastIndexOf(".")),
      `${good}=`,
      ` ${good}`,
      "..",
      "",
      `${head}.${"A".repeat(9000)}.${signature}`,
    ];
    for (const text of texts) await refuses("ERR_ISSUER_ASSERTION_FORM", text);
  });

  test("a jti is used once for each client; a store that is full refuses", async () => {
    const replay = once();
    await check(signed(HEADER, CLAIMS), replay);
    await refuses(
      "ERR_ISSUER_ASSERTION_REPLAY",
      signed(HEADER, { ...CLAIMS, exp: NOW + 90 }),
      replay,
    );
    await check(signed(HEADER, { ...CLAIMS, jti: "two" }), replay);
    const full = { use: () => Promise.reject(new StoreError("ERR_STORE_FULL", "full")) };
    await refuses("ERR_ISSUER_REPLAY_STORE", signed(HEADER, CLAIMS), full);
    const share = { use: () => Promise.reject(new StoreError("ERR_STORE_SHARE", "full")) };
    await refuses("ERR_ISSUER_ASSERTION_SHARE", signed(HEADER, CLAIMS), share);
  });

  test("THREAT-39: what is cheap to see costs no signature; where there is no key, one is checked all the same", async () => {
    const free = [
      signed(HEADER, { ...CLAIMS, aud: "x" }),
      signed(HEADER, { ...CLAIMS, iss: "other" }),
      signed(HEADER, { ...CLAIMS, exp: NOW }),
      signed(HEADER, { ...CLAIMS, jti: "x".repeat(257) }),
      signed({ ...HEADER, alg: "none" }, CLAIMS),
      signed({ ...HEADER, alg: "HS256" }, CLAIMS),
    ];
    for (const text of free) assert.deepEqual(await costOf(() => check(text)), [0, 0]);
    const wrong = signed(HEADER, CLAIMS, other.privateKey);
    for (const [text, jwks] of [
      [wrong, [ES_JWK]],
      [wrong, []],
      [signed({ ...HEADER, kid: "no" }, CLAIMS), [ES_JWK]],
      [signed({ ...HEADER, alg: "PS256" }, CLAIMS, rsa.privateKey), [ES_JWK]],
      [signed({ ...HEADER, alg: "RS256" }, CLAIMS, rsa.privateKey), []],
      [signed({ ...HEADER, alg: "Ed25519" }, CLAIMS), []],
    ] as const)
      assert.deepEqual(await costOf(() => check(text, once(), [...jwks])), [1, 1]);
    const full = { use: () => Promise.reject(new StoreError("ERR_STORE_FULL", "full")) };
    const right = signed(HEADER, CLAIMS);
    assert.deepEqual(await costOf(() => check(right)), [1, 0]);
    assert.deepEqual(await costOf(() => check(right, full)), [1, 0]);
  });

  test("an assertion that is refused for another reason uses no jti up", async () => {
    const replay = once();
    await refuses(
      "ERR_ISSUER_ASSERTION_SIGNATURE",
      signed(HEADER, CLAIMS, other.privateKey),
      replay,
    );
    for (const aud of ["x", TOKEN_ENDPOINT])
      await refuses("ERR_ISSUER_ASSERTION_AUDIENCE", signed(HEADER, { ...CLAIMS, aud }), replay);
    await check(signed(HEADER, CLAIMS), replay);
  });

  test("property: parsing throws nothing but OAuthError", () => {
    const part = fc.oneof(
      fc.string(),
      fc.json().map((text) => Buffer.from(text).toString("base64url")),
      fc.constant(encode(HEADER)),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
        try {
          parseAssertion(parts.join("."));
        } catch (error) {
          assert.ok(error instanceof OAuthError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

function from(client: string, aud: string): object {
  return { iss: client, sub: client, aud };
}

async function open(): Promise<System> {
  const system = await System.open();
  await system.putTenant();
  await system.putTenant(OTHER_TENANT);
  await system.putClient();
  await system.putClient({ client: "jwt" }, ofKey(ES_JWK));
  await system.putClient({ client: "jwt", tenant: OTHER_TENANT }, ofKey(ES_JWK));
  return system;
}

function assertion(system: System, change: object = {}, key = ec.privateKey): string {
  const now = system.nowSeconds();
  const own = { iss: "jwt", sub: "jwt", exp: now + 60, iat: now, jti: crypto.randomUUID() };
  return signed(HEADER, { ...CLAIMS, ...own, ...change }, key);
}

describe("THREAT-34: over HTTP", () => {
  const GRANT = {
    grant_type: "client_credentials",
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
  };

  test("replay is refused, also after a restart, until it is worthless", async () => {
    await using system = await open();
    const form = { ...GRANT, client_assertion: assertion(system) };
    assert.equal((await post(system.tokenUrl(), form)).status, 200);
    const replayed = await post(system.tokenUrl(), form);
    assert.deepEqual([replayed.status, replayed.body["error"]], [401, "invalid_client"]);
    await system.stop();
    await system.start();
    await system.issuer.ready;
    assert.equal((await post(system.tokenUrl(), form)).status, 401);
    system.advance(61);
    assert.equal((await post(system.tokenUrl(), form)).status, 401);
    assert.equal(system.signer.asked.length, 1);
  });

  test("an assertion for one tenant's issuer is worthless at another, same keys or not", async () => {
    await using system = await open();
    const form = { ...GRANT, client_assertion: assertion(system) };
    const crossed = await post(system.tokenUrl(OTHER_TENANT), form);
    assert.deepEqual([crossed.status, crossed.body["error"]], [401, "invalid_client"]);
    assert.equal((await post(system.tokenUrl(), form)).status, 200);
    const endpoint = { aud: system.tokenUrl() };
    const forEndpoint = { ...GRANT, client_assertion: assertion(system, endpoint) };
    assert.equal((await post(system.tokenUrl(), forEndpoint)).status, 401);
  });

  test("which audience is expected is said; a stranger does not learn which clients have the unsafe option", async () => {
    await using system = await open();
    const unsafe = { ...ofKey(ES_JWK), unsafeTokenEndpointAudience: true } as const;
    await system.putClient({ client: "unsafe" }, unsafe);
    const answer = (change: object, key?: KeyObject) =>
      post(system.tokenUrl(), { ...GRANT, client_assertion: assertion(system, change, key) });
    const failed = "Client authentication failed";
    const hint = `${failed}: aud of a client assertion must be the issuer identifier`;
    for (const [change, key, status, description] of [
      [from("jwt", "x"), ec.privateKey, 401, hint],
      [from("nobody", "x"), other.privateKey, 401, hint],
      [from("unsafe", "x"), other.privateKey, 401, hint],
      [from("jwt", TOKEN_ENDPOINT), ec.privateKey, 401, hint],
      [from("jwt", TOKEN_ENDPOINT), other.privateKey, 401, failed],
      [from("nobody", TOKEN_ENDPOINT), other.privateKey, 401, failed],
      [from("unsafe", TOKEN_ENDPOINT), other.privateKey, 401, failed],
      [from("unsafe", TOKEN_ENDPOINT), ec.privateKey, 200, undefined],
      [from("unsafe", ISSUER), ec.privateKey, 200, undefined],
    ] as const) {
      const { status: got, body } = await answer(change, key);
      assert.deepEqual([got, body["error_description"]], [status, description]);
    }
  });

  test("an assertion of an hour is taken, and remembered for an hour", async () => {
    await using system = await open();
    const exp = system.nowSeconds() + 3600;
    const form = { ...GRANT, client_assertion: assertion(system, { exp }) };
    assert.equal((await post(system.tokenUrl(), form)).status, 200);
    system.advance(3590);
    assert.equal((await post(system.tokenUrl(), form)).status, 401);
    assert.equal(system.signer.asked.length, 1);
  });

  test("a client authenticates only by a method that it is registered with", async () => {
    await using system = await open();
    const asApp = { iss: "app", sub: "app" };
    const forged = { ...GRANT, client_assertion: assertion(system, asApp) };
    assert.equal((await post(system.tokenUrl(), forged)).status, 401);
    const headers = { authorization: basic("jwt", SECRET) };
    const guessed = await post(system.tokenUrl(), { grant_type: "client_credentials" }, headers);
    assert.equal(guessed.status, 401);
    const named = { ...GRANT, client_id: "app", client_assertion: assertion(system) };
    assert.equal((await post(system.tokenUrl(), named)).body["error"], "invalid_request");
  });

  test("THREAT-39: guessing is bounded for each client and address; others are not touched; waiting helps", async () => {
    await using system = await System.open({ failureLimits: { burst: 5, intervalMs: 2000 } });
    await system.putTenant();
    await system.putClient();
    await system.putClient({ client: "calm" });
    const form = { grant_type: "client_credentials" };
    const guess = (name: string, secret: string) =>
      post(system.tokenUrl(), form, { authorization: basic(name, secret) });
    const codes = (): readonly unknown[] =>
      system.events.map(({ fields }) => ("code" in fields ? fields.code : undefined));
    for (const name of ["app", "nobody"]) {
      for (let i = 0; i < 5; i++) assert.equal((await guess(name, `guess-${i}`)).status, 401);
      assert.equal(codes().at(-1), "ERR_ISSUER_SECRET");
      const limited = await guess(name, "guess-5");
      assert.equal(codes().at(-1), "ERR_ISSUER_AUTH_LIMITED");
      assert.deepEqual([limited.status, limited.body["error"]], [429, "temporarily_unavailable"]);
      assert.ok(Number(limited.headers.get("retry-after")) >= 1);
    }
    assert.equal((await guess("calm", "wrong")).status, 401);
    assert.equal((await guess("calm", SECRET)).status, 200);
    assert.equal((await guess("app", SECRET)).status, 200);
    system.advance(2);
    assert.equal((await guess("app", "guess-6")).status, 401);
    assert.equal((await guess("app", SECRET)).status, 200);
  });
});
