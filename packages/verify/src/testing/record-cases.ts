import { encodeBase64url } from "../base64url.ts";
import {
  CONSUMER_TENANT,
  recordBytes,
  recordFields,
  TENANT_A,
  TENANT_B,
  type Claims,
} from "./fixture.ts";
import { signWith, testKey } from "./keys.ts";

/** One line of key-records.json. */
export interface RecordCase {
  readonly name: string;
  readonly record: string;
  readonly ring: string;
  readonly result: "valid" | "invalid";
  /** Of a refusal. */
  readonly code?: string;
}

export function recordCases(): readonly RecordCase[] {
  return [
    ...["ent-es256", "ent-ed25519", "ent-ps256", "ent-rs256"].map((name) =>
      makeCase(`valid: ${name}`, recordBytes(recordFields(name))),
    ),
    ...goodChanges().map(([name, changes]) =>
      makeCase(`valid: ${name}`, recordBytes(recordFields("ent-es256", changes))),
    ),
    ...Object.keys(recordFields("ent-es256")).map((name) =>
      makeCase(
        `missing ${name}`,
        recordBytes(recordFields("ent-es256", { [name]: undefined })),
        "ERR_RECORD_MEMBER",
      ),
    ),
    ...badChanges().map(([name, changes, code = "ERR_RECORD_MEMBER"]) =>
      makeCase(name, recordBytes(recordFields("ent-es256", changes)), code),
    ),
    ...badForms().map(([name, text]) => makeCase(name, Buffer.from(text), "ERR_RECORD_FORM")),
    {
      ...makeCase(
        "signed by another ring",
        recordBytes(recordFields("ent-es256")),
        "ERR_KEY_UNTRUSTED",
        "ring-consumer",
      ),
    },
  ];
}

function makeCase(
  name: string,
  bytes: Buffer,
  code?: string,
  ring = "ring-enterprise",
): RecordCase {
  const message = Buffer.concat([Buffer.from("redoubt/key-record/v1\n"), bytes]);
  return {
    name,
    record: encodeBase64url(bytes),
    ring: encodeBase64url(signWith(testKey(ring), message)),
    result: code === undefined ? "valid" : "invalid",
    ...(code === undefined ? {} : { code }),
  };
}

function goodChanges(): readonly (readonly [string, Claims])[] {
  return [
    ["one tenant", { tenants: { ids: [TENANT_A] } }],
    ["1000 tenants", { tenants: { ids: manyTenants(1000) } }],
    ["bucket of many", { tenants: { bucket: 65_535, of: 65_536, except: [] } }],
    ["any audience, said aloud", { audiences: "any" }],
    ["256 audiences", { audiences: Array.from({ length: 256 }, (_, i) => `api://${i}`) }],
    ["issuer without tenant", { issuer: "https://id.example" }],
    ["issuer on loopback", { issuer: "http://127.0.0.1:8080/{tenantid}" }],
    ["lifetime of a second", { maxLifetimeSeconds: 1 }],
    ["lifetime of a day", { maxLifetimeSeconds: 86_400 }],
    ["shortest window", { signFrom: 0, signUntil: 1, verifyUntil: 2 }],
    ["class oidc", { class: "oidc" }],
    ["RSA of 2048 bits", rsaWith([0x80], 255)],
    ["RSA of 4096 bits", rsaWith([0xff], 511)],
    ["audience of 512 characters", { audiences: ["a".repeat(512)] }],
    ["log of 512 characters", { log: "l".repeat(512) }],
    ["floor stapled", { issuanceFloor: "stapled" }],
    ["realm of 32 characters", { realm: `a${"0-".repeat(15)}9` }],
  ];
}

function badChanges(): readonly (readonly [string, Claims, string?])[] {
  const { publicJwk } = testKey("ent-es256");
  const ed = testKey("ent-ed25519").publicJwk;
  const rsa = { alg: "RS256" };
  const key = "ERR_KEY_INVALID";
  return [
    ["unknown member", { admin: true }],
    ["version 2", { v: 2 }],
    ["alg none", { alg: "none" }],
    ["alg EdDSA", { alg: "EdDSA" }],
    ["alg of another key type", { alg: "Ed25519" }, key],
    ["private member", { publicKey: { ...publicJwk, d: "AA" } }],
    ["kid inside the public key", { publicKey: { ...publicJwk, kid: "x" } }],
    ["point not on the curve", { publicKey: { ...publicJwk, x: "A".repeat(43) } }, key],
    ["coordinate too short", { publicKey: { ...publicJwk, x: "AAAA" } }, key],
    ["key type of another algorithm", { publicKey: { ...publicJwk, kty: "OKP" } }, key],
    ["curve P-384", { publicKey: { ...publicJwk, crv: "P-384" } }, key],
    ["Ed25519 key type EC", { alg: "Ed25519", publicKey: { ...ed, kty: "EC" } }, key],
    ["Ed25519 curve Ed448", { alg: "Ed25519", publicKey: { ...ed, crv: "Ed448" } }, key],
    [
      "RSA key type oct",
      { ...rsa, publicKey: { ...testKey("ent-rs256").publicJwk, kty: "oct" } },
      key,
    ],
    ["RSA of 2047 bits", rsaWith([0x7f], 255), key],
    ["RSA with a leading zero", rsaWith([0, 0xff], 256), key],
    ["RSA of 4104 bits", rsaWith([0xff], 512), key],
    ["RSA with an even modulus", rsaWith([0xff], 255, 0xfe), key],
    ["RSA of 1024 bits", { ...rsa, publicKey: testKey("weak-rs256").publicJwk }, key],
    ["RSA with e = 3", { ...rsa, publicKey: { ...testKey("ent-rs256").publicJwk, e: "Aw" } }, key],
    ["realm in capitals", { realm: "Enterprise" }],
    ["realm of 33 characters", { realm: "a".repeat(33) }],
    ["realm starting with a digit", { realm: "1a" }],
    ["issuer with two places", { issuer: "https://id.example/{tenantid}/{tenantid}" }],
    ["issuer with another place", { issuer: "https://id.example/{tenant}" }],
    ["issuer with query", { issuer: "https://id.example/?a=b" }],
    ["issuer with fragment", { issuer: "https://id.example/#a" }],
    ["issuer with user", { issuer: "https://user@id.example/" }],
    ["issuer of another scheme", { issuer: "ftp://id.example/" }],
    ["issuer that is no URL", { issuer: "https://[x/" }],
    ["issuer too long", { issuer: `https://id.example/${"a".repeat(500)}` }],
    ["tenants any", { tenants: "any" }],
    ["no tenant", { tenants: { ids: [] } }],
    ["1001 tenants", { tenants: { ids: manyTenants(1001) } }],
    ["tenant in capitals", { tenants: { ids: [TENANT_A.toUpperCase()] } }],
    ["tenants not sorted", { tenants: { ids: [TENANT_B, TENANT_A] } }],
    ["tenant twice", { tenants: { ids: [TENANT_A, TENANT_A] } }],
    ["tenants and bucket", { tenants: { ids: [TENANT_A], bucket: 0, of: 1, except: [] } }],
    ["bucket without except", { tenants: { bucket: 0, of: 1 } }],
    ["bucket beyond of", { tenants: { bucket: 2, of: 2, except: [] } }],
    ["negative bucket", { tenants: { bucket: -1, of: 2, except: [] } }],
    ["too many buckets", { tenants: { bucket: 0, of: 65_537, except: [] } }],
    [
      "exceptions not sorted",
      { tenants: { bucket: 0, of: 1, except: [CONSUMER_TENANT, TENANT_A] } },
    ],
    ["class rt", { class: "rt" }],
    ["no audience", { audiences: [] }],
    ["257 audiences", { audiences: Array.from({ length: 257 }, (_, i) => `api://${i}`) }],
    ["audience any inside a text", { audiences: "api://orders" }],
    ["empty audience", { audiences: [""] }],
    ["audience twice", { audiences: ["a", "a"] }],
    ["audience too long", { audiences: ["a".repeat(513)] }],
    ["lifetime 0", { maxLifetimeSeconds: 0 }],
    ["lifetime of a day and a second", { maxLifetimeSeconds: 86_401 }],
    ["lifetime a fraction", { maxLifetimeSeconds: 1.5 }],
    ["lifetime text", { maxLifetimeSeconds: "3600" }],
    ["signUntil at signFrom", { signFrom: 10, signUntil: 10, verifyUntil: 12 }],
    ["verifyUntil at signUntil", { signFrom: 10, signUntil: 11, verifyUntil: 11 }],
    ["time before the epoch", { signFrom: -1 }],
    ["time beyond safe integers", { verifyUntil: 2 ** 53 }],
    ["custody unknown", { custody: "hsm" }],
    ["floor none", { issuanceFloor: "none" }],
    ["log empty", { log: "" }],
    ["log too long", { log: "l".repeat(513) }],
  ];
}

/** An RSA key whose modulus begins so, goes on for `more` bytes, and ends so; not a real one. */
function rsaWith(first: readonly number[], more: number, last = 0xff): Claims {
  const n = Buffer.concat([Buffer.from(first), Buffer.alloc(more, 0xff)]);
  n[n.length - 1] = last;
  return { alg: "RS256", publicKey: { kty: "RSA", n: encodeBase64url(n), e: "AQAB" } };
}

function badForms(): readonly (readonly [string, string])[] {
  const text = recordBytes(recordFields("ent-es256")).toString("utf8");
  return [
    ["space inside", text.replace("{", "{ ")],
    ["line end", `${text}\n`],
    ["members in another order", `{"v":1,${text.slice(1).replace(',"v":1', "")}`],
    ["duplicate member", text.replace("{", '{"alg":"ES256",')],
    ["escape in a member name", text.replace('"alg"', '"\\u0061lg"')],
    ["needless escape in a text", text.replace('"enterprise"', '"\\u0065nterprise"')],
    [
      "number in another form",
      text.replace('"maxLifetimeSeconds":3600', '"maxLifetimeSeconds":3.6e3'),
    ],
    ["array", `[${text}]`],
    ["cut off", text.slice(0, -1)],
    ["nothing", ""],
  ];
}

function manyTenants(count: number): readonly string[] {
  return Array.from(
    { length: count },
    (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`,
  );
}
