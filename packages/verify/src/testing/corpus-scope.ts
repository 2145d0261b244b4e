import { createHmac } from "node:crypto";
import type { CorpusCase } from "./fixture.ts";
import {
  AUDIENCE,
  CONSUMER_ISSUER,
  CONSUMER_TENANT,
  DAY,
  ENTERPRISE_ISSUER,
  mint,
  NOW,
  TENANT_B,
  type Forgery,
} from "./fixture.ts";
import { publicPem, signPss, signWith, testKey, type TestKey } from "./keys.ts";

type Signer = (signingInput: string, key: TestKey) => Uint8Array;

/** Where two algorithms meet. */
export function algorithmCases(): readonly CorpusCase[] {
  const notAllowed = { code: "ERR_JOSE_ALG_NOT_ALLOWED" } as const;
  const badSignature = { code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" } as const;
  const pem = publicPem(testKey("ent-rs256"));
  const order = Buffer.from(
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "hex",
  );
  return [
    { name: "alg none, no signature", token: rs("none", () => Buffer.alloc(0)), ...notAllowed },
    { name: "alg nOnE", token: rs("nOnE", () => Buffer.alloc(0)), ...notAllowed },
    { name: "alg none, real signature", token: mint({ header: { alg: "none" } }), ...notAllowed },
    { name: "HS256 with the public key as PEM", token: rs("HS256", hmac(pem)), ...notAllowed },
    {
      name: "HS256 with the JWK as secret",
      token: rs("HS256", hmac(JSON.stringify(testKey("ent-rs256").publicJwk))),
      ...notAllowed,
    },
    { name: "HS256 with an empty secret", token: rs("HS256", hmac("")), ...notAllowed },
    { name: "RS512", token: rs("RS512", (input, key) => signWith(key, input)), ...notAllowed },
    {
      name: "EdDSA instead of Ed25519",
      token: mint({ key: "ent-ed25519", header: { alg: "EdDSA" } }),
      ...notAllowed,
    },
    {
      name: "PS256 for an RS256 key",
      token: rs("PS256", (input, key) => signWith(key, input, "PS256")),
      code: "ERR_KEY_SCOPE",
      part: "alg",
    },
    {
      name: "PSS signature for an RS256 key",
      token: rs("RS256", (input, key) => signWith(key, input, "PS256")),
      ...badSignature,
    },
    {
      name: "PKCS #1 signature for a PS256 key",
      token: mint({ key: "ent-ps256", sign: (input, key) => signWith(key, input, "RS256") }),
      ...badSignature,
    },
    {
      name: "PSS with a salt of 0",
      token: mint({
        key: "ent-ps256",
        sign: (input, key) => signPss(key, Buffer.from(input), "sha256", 0),
      }),
      ...badSignature,
    },
    {
      name: "PSS with SHA-512",
      token: mint({
        key: "ent-ps256",
        sign: (input, key) => signPss(key, Buffer.from(input), "sha512", 32),
      }),
      ...badSignature,
    },
    {
      name: "psychic signature r = s = n",
      token: mint({ sign: () => Buffer.concat([order, order]) }),
      ...badSignature,
    },
    { name: "ECDSA signature as DER", token: mint({ sign: derSignature }), ...badSignature },
  ];
}

/** THREAT-01, THREAT-02: real signatures by real keys, where they must not count. */
export function scopeCases(): readonly CorpusCase[] {
  const issuerB = ENTERPRISE_ISSUER.replace("{tenantid}", TENANT_B);
  const ownConsumer = CONSUMER_ISSUER.replace("{tenantid}", CONSUMER_TENANT);
  const then = NOW - 850 * DAY;
  return [
    scope("consumer key, enterprise token (Storm-0558)", { key: "con-es256" }, "tenant"),
    scope(
      "consumer key, enterprise issuer",
      { key: "con-es256", payload: { tid: CONSUMER_TENANT } },
      "issuer",
    ),
    scope(
      "consumer key, enterprise tenant",
      { key: "con-es256", payload: { iss: ownConsumer } },
      "tenant",
    ),
    scope(
      "enterprise key, consumer tenant",
      { payload: { tid: CONSUMER_TENANT, iss: ownConsumer } },
      "tenant",
    ),
    scope("iss of another tenant than tid", { payload: { iss: issuerB } }, "issuer"),
    scope("iss is the template itself", { payload: { iss: ENTERPRISE_ISSUER } }, "issuer"),
    scope("iss of somebody else", { payload: { iss: "https://attacker.example" } }, "issuer"),
    scope("key for ID tokens", { key: "oidc-es256" }, "class"),
    scope(
      "an audience that the key may not name",
      { payload: { aud: [AUDIENCE, "api://vault"] } },
      "audience",
    ),
    scope("retired key", { key: "old-es256" }, "window"),
    scope(
      "retired key, token of its time",
      { key: "old-es256", payload: { iat: then, nbf: then, exp: then + 3600 } },
      "window",
    ),
    scope("pre-published key that signs too early", { key: "next-ed25519" }, "window"),
    scope("lifetime one second too long", { payload: { exp: NOW - 5 + 3601 } }, "lifetime"),
    scope("lifetime of ten years", { payload: { exp: NOW + 3650 * DAY } }, "lifetime"),
  ];
}

export function boundaryCases(): readonly CorpusCase[] {
  const token = mint();
  const exp = NOW + 3595;
  const early = mint({ payload: { iat: NOW + 60, nbf: NOW + 60 } });
  const window = mint({ payload: { iat: NOW - DAY, nbf: NOW - DAY, exp: NOW - DAY + 3600 } });
  const invalid = "ERR_JWT_CLAIM_VALIDATION_FAILED";
  return [
    {
      name: "valid: lifetime exactly the key's",
      token: mint({ payload: { exp: NOW - 5 + 3600 } }),
    },
    { name: "valid: one second before exp and tolerance", token, now: exp + 59 },
    {
      name: "boundary: at exp and tolerance",
      token,
      now: exp + 60,
      code: "ERR_JWT_EXPIRED",
      part: "exp",
    },
    { name: "valid: iat and nbf ahead by the tolerance", token: early },
    {
      name: "boundary: iat ahead by the tolerance and a second",
      token: early,
      now: NOW - 1,
      code: invalid,
      part: "iat",
    },
    { name: "valid: iat at the first second of the window", token: window, now: NOW - DAY },
    {
      name: "boundary: iat one second before the window",
      token: mint({ payload: { iat: NOW - DAY - 1, nbf: NOW - DAY, exp: NOW - DAY + 3599 } }),
      now: NOW - DAY,
      code: "ERR_KEY_SCOPE",
      part: "window",
    },
  ];
}

function rs(alg: string, sign: Signer): string {
  return mint({ key: "ent-rs256", header: { alg }, sign });
}

function hmac(secret: string): Signer {
  return (input) => createHmac("sha256", secret).update(input).digest();
}

function scope(name: string, forgery: Forgery, part: string): CorpusCase {
  return { name: `scope: ${name}`, token: mint(forgery), code: "ERR_KEY_SCOPE", part };
}

const derSignature: Signer = (input, key) => {
  const raw = signWith(key, input);
  const body = Buffer.concat([derInteger(raw.subarray(0, 32)), derInteger(raw.subarray(32))]);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
};

function derInteger(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.of(2, 33, 0), bytes]);
}
