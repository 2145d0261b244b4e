import { encodeBase64url } from "../base64url.ts";
import type { StaticKey } from "../static-trust.ts";
import type { TokenErrorCode } from "../token-error.ts";
import { algorithmCases, boundaryCases, scopeCases } from "./corpus-scope.ts";
import {
  AUDIENCE,
  claims,
  CONSUMER_ISSUER,
  CONSUMER_TENANT,
  consumerKey,
  DAY,
  ENTERPRISE_ISSUER,
  mint,
  NOW,
  staticKey,
  TENANT_A,
  type Forgery,
  type CorpusCase,
} from "./fixture.ts";
import { signWith, testKey, type TestKey } from "./keys.ts";

type Signer = (signingInput: string, key: TestKey) => Uint8Array;

/** Keys that the corpus trusts, with their scopes. */
export function corpusKeys(): readonly StaticKey[] {
  return [
    ...["ent-es256", "ent-ed25519", "ent-ps256", "ent-rs256"].map((name) => staticKey(name)),
    consumerKey(),
    staticKey("old-es256", {
      signFrom: NOW - 900 * DAY,
      signUntil: NOW - 800 * DAY,
      verifyUntil: NOW - 799 * DAY,
    }),
    staticKey("next-ed25519", { signFrom: NOW + DAY }),
    staticKey("oidc-es256", { class: "oidc" }),
  ];
}

export function corpusCases(): readonly CorpusCase[] {
  return [
    ...goodCases(),
    ...["ent-es256", "ent-ed25519", "ent-ps256", "ent-rs256"].flatMap(hostileCases),
    ...algorithmCases(),
    ...scopeCases(),
    ...boundaryCases(),
  ];
}

function goodCases(): readonly CorpusCase[] {
  const consumer = {
    tid: CONSUMER_TENANT,
    iss: CONSUMER_ISSUER.replace("{tenantid}", CONSUMER_TENANT),
  };
  return [
    ...["ent-es256", "ent-ed25519", "ent-ps256", "ent-rs256"].map((key) => ({
      name: `valid: ${key}`,
      token: mint({ key }),
    })),
    { name: "valid: consumer", token: mint({ key: "con-es256", payload: consumer }) },
    { name: "valid: audience list", token: mint({ payload: { aud: ["api://mail", AUDIENCE] } }) },
    { name: "valid: text beyond ASCII", token: mint({ payload: { name: "Zoë 😀" } }) },
    {
      name: "valid: numbers and spaces in another form",
      token: mint({ payload: spacedPayload() }),
    },
  ];
}

function spacedPayload(): string {
  return JSON.stringify(claims(), null, 1).replace(String(NOW + 3595), "1.800003595e9");
}

function hostileCases(key: string): readonly CorpusCase[] {
  const bad = (
    name: string,
    forgery: Forgery | string,
    code: TokenErrorCode,
    part?: string,
  ): CorpusCase => ({
    name: `${key}: ${name}`,
    token: typeof forgery === "string" ? forgery : mint({ key, ...forgery }),
    code,
    ...(part === undefined ? {} : { part }),
  });
  return [
    ...formCases(key).map(([name, token, code, part]) => bad(name, token, code, part)),
    ...jsonCases(key).map(([name, payload, code, part]) => bad(name, { payload }, code, part)),
    ...headerCases().map(([name, header, code, part]) => bad(name, { header }, code, part)),
    ...claimCases().map(([name, payload, part]) =>
      bad(name, { payload }, "ERR_JWT_CLAIM_VALIDATION_FAILED", part),
    ),
    bad("bound token (cnf)", { payload: { cnf: { jkt: "x" } } }, "ERR_BINDING_UNSUPPORTED"),
    bad("all-zero signature", { sign: zeros }, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
    bad(
      "empty signature",
      { sign: () => Buffer.alloc(0) },
      "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
    ),
    bad("signature with one byte more", { sign: oneMore }, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
    bad("same kid, attacker's key", { sign: attacker }, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
  ];
}

const zeros: Signer = (input, key) => Buffer.alloc(signWith(key, input).length);
const oneMore: Signer = (input, key) => Buffer.concat([signWith(key, input), Buffer.of(0)]);
const attacker: Signer = (input, key) => {
  const forged = testKey(key.publicJwk.kty === "RSA" ? "attacker-rs256" : "attacker-es256");
  return signWith(forged, input);
};

type TextCase = readonly [string, string, TokenErrorCode, string?];

function formCases(key: string): readonly TextCase[] {
  const good = mint({ key });
  const [header = "", payload = "", signature = ""] = good.split(".");
  const other = encodeBase64url(Buffer.from(JSON.stringify(claims({ sub: "admin" }))));
  const form = "ERR_TOKEN_NOT_CANONICAL";
  return [
    [
      "payload of another token",
      `${header}.${other}.${signature}`,
      "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
    ],
    ["two segments", `${header}.${payload}`, "ERR_JWS_INVALID"],
    ["four segments", `${good}.`, "ERR_JWS_INVALID"],
    ["five segments", `${good}.${payload}.${signature}`, "ERR_JWS_INVALID"],
    [
      "JSON serialisation",
      JSON.stringify({ payload, protected: header, signature }),
      "ERR_JWS_INVALID",
    ],
    ["padding", `${header}.${payload}.${signature}=`, form, "signature"],
    ["line end", `${good}\n`, form, "signature"],
    ["leading space", ` ${good}`, form, "header"],
    [
      "foreign character inside",
      `${header}.${payload}.${signature.slice(0, 9)}!${signature.slice(9)}`,
      form,
      "signature",
    ],
    [
      "letter that folds to A",
      `${header}.${payload}.${signature.slice(0, 8)}\u0141${signature.slice(9)}`,
      form,
      "signature",
    ],
    [
      "other base64 alphabet",
      `${header}.${payload}.${signature.slice(0, 8)}+${signature.slice(9)}`,
      form,
      "signature",
    ],
    [
      "spare bits set in the signature",
      `${header}.${payload}.${setSpareBit(signature)}`,
      form,
      "signature",
    ],
    ["too long", mint({ key, payload: { pad: "x".repeat(16_384) } }), "ERR_TOKEN_TOO_LARGE"],
  ];
}

// Signatures of 64 and 256 bytes leave four or two spare bits in the last character.
function setSpareBit(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(text.slice(-1));
  return text.slice(0, -1) + (alphabet[last + 1] ?? "");
}

type PayloadCase = readonly [string, string | Uint8Array, TokenErrorCode, string?];

function jsonCases(key: string): readonly PayloadCase[] {
  const text = JSON.stringify(claims());
  const json = "ERR_TOKEN_JSON";
  const duplicate = text.replace("{", '{"sub":"admin",');
  return [
    ["duplicate member", duplicate, "ERR_TOKEN_DUPLICATE_MEMBER", "payload"],
    [
      "duplicate member behind an escape",
      text.replace("{", '{"s\\u0075b":"admin",'),
      json,
      "escaped_name",
    ],
    ["__proto__", text.replace("{", '{"__proto__":{"roles":["admin"]},'), json, "proto"],
    ["payload is an array", `[${text}]`, "ERR_JWT_INVALID"],
    ["payload is null", "null", "ERR_JWT_INVALID"],
    [
      "invalid UTF-8",
      Buffer.concat([Buffer.from(text.slice(0, -2)), Buffer.of(0xff, 0x22, 0x7d)]),
      json,
      "utf8",
    ],
    ["byte order mark", `\ufeff${text}`, json, "syntax"],
    ["trailing comma", text.replace(/\}$/, ",}"), json, "syntax"],
    [
      "nested 1000 deep",
      text.replace("{", `{"x":${"[".repeat(1000)}${"]".repeat(1000)},`),
      json,
      "depth",
    ],
    ["exp 1e400", text.replace(String(NOW + 3595), "1e400"), json, "number"],
    ["lone surrogate", text.replace("user-1", "\\ud800"), json, "surrogate"],
    [`not JSON (${key})`, "hello", json, "syntax"],
  ];
}

type HeaderCase = readonly [string, NonNullable<Forgery["header"]>, TokenErrorCode, string?];

function headerCases(): readonly HeaderCase[] {
  const { publicJwk } = testKey("attacker-es256");
  const member = "ERR_TOKEN_HEADER";
  const url = "https://attacker.example/keys";
  return [
    ["embedded jwk", { jwk: publicJwk }, member, "jwk"],
    ["jku", { jku: url }, member, "jku"],
    ["x5u", { x5u: url }, member, "x5u"],
    ["x5c", { x5c: ["MIIB"] }, member, "x5c"],
    ["crit with an unknown extension", { crit: ["exp"], exp: 1 }, member, "crit"],
    ["crit empty", { crit: [] }, member, "crit"],
    ["b64 false", { b64: false }, member, "b64"],
    ["zip", { zip: "DEF" }, member, "zip"],
    ["enc", { enc: "A256GCM" }, member, "enc"],
    ["kid missing", { kid: undefined }, member, "kid"],
    ["kid in an array", { kid: ["ent-es256"] }, member, "kid"],
    ["kid __proto__", { kid: "__proto__" }, "ERR_JWKS_NO_MATCHING_KEY"],
    ["kid of nobody", { kid: "nobody" }, "ERR_JWKS_NO_MATCHING_KEY"],
    ["typ JWT", { typ: "JWT" }, "ERR_JWT_CLAIM_VALIDATION_FAILED", "typ"],
    ["typ missing", { typ: undefined }, "ERR_JWT_CLAIM_VALIDATION_FAILED", "typ"],
    ["alg missing", { alg: undefined }, "ERR_JOSE_ALG_NOT_ALLOWED"],
    ["alg in an array", { alg: ["ES256"] }, "ERR_JOSE_ALG_NOT_ALLOWED"],
    ["header is an array", "[]", member, "form"],
  ];
}

function claimCases(): readonly (readonly [string, Readonly<Record<string, unknown>>, string])[] {
  return [
    ["exp missing", { exp: undefined }, "exp"],
    ["exp text", { exp: String(NOW + 100) }, "exp"],
    ["exp fraction", { exp: NOW + 0.5 }, "exp"],
    ["exp not after iat", { exp: NOW - 5 }, "exp"],
    ["iat missing", { iat: undefined }, "iat"],
    ["iat null", { iat: null }, "iat"],
    ["iat in an hour", { iat: NOW + 3600, exp: NOW + 3700 }, "iat"],
    ["nbf in an hour", { nbf: NOW + 3600 }, "nbf"],
    ["nbf text", { nbf: "0" }, "nbf"],
    ["aud missing", { aud: undefined }, "aud"],
    ["aud of another service", { aud: "api://mail" }, "aud"],
    ["aud with an object", { aud: [{}, AUDIENCE] }, "aud"],
    ["iss missing", { iss: undefined }, "iss"],
    ["iss array", { iss: [ENTERPRISE_ISSUER.replace("{tenantid}", TENANT_A)] }, "iss"],
    ["sub missing", { sub: undefined }, "sub"],
    ["jti number", { jti: 1 }, "jti"],
    ["tid missing", { tid: undefined }, "tid"],
    ["tid in capitals", { tid: TENANT_A.toUpperCase() }, "tid"],
  ];
}
