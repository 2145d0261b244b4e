import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fromStaticKeys, type StaticKey } from "./static-trust.ts";
import { DAY } from "./testing/fixture.ts";
import { outcome } from "./testing/outcome.ts";
import type { TokenErrorCode } from "./token-error.ts";
import { createVerifier, type Verifier } from "./verifier.ts";

interface HostileFile {
  readonly now: number;
  readonly audience: string;
  readonly keys: readonly { readonly jwk: StaticKey["jwk"]; readonly issuer: string }[];
  readonly tests: readonly {
    readonly id: number;
    readonly name: string;
    readonly token: string;
    readonly result: "valid" | "invalid";
  }[];
}

const FILE = new URL(
  "../../../../shared/vectors/verifier/hostile-tokens-RS256.json",
  import.meta.url,
);
const ENTERPRISE = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const CONSUMER = "9188040d-6c67-4c5b-b112-36a304b66dad";

type Expected = "valid" | readonly [TokenErrorCode, string?];

const NOT_ALLOWED: Expected = ["ERR_JOSE_ALG_NOT_ALLOWED"];
const BAD_SIGNATURE: Expected = ["ERR_JWS_SIGNATURE_VERIFICATION_FAILED"];
const NO_KEY: Expected = ["ERR_JWKS_NO_MATCHING_KEY"];
const SEGMENTS: Expected = ["ERR_JWS_INVALID"];

// What each test is about must be what its refusal names.
const EXPECTED: Readonly<Record<number, Expected>> = {
  1: "valid",
  2: "valid",
  3: NOT_ALLOWED,
  4: NOT_ALLOWED,
  5: NOT_ALLOWED,
  6: BAD_SIGNATURE,
  7: SEGMENTS,
  8: NOT_ALLOWED,
  9: NOT_ALLOWED,
  10: NOT_ALLOWED,
  11: NOT_ALLOWED,
  12: BAD_SIGNATURE,
  13: BAD_SIGNATURE,
  14: BAD_SIGNATURE,
  15: header("jwk"),
  16: header("jku"),
  17: header("x5u"),
  18: header("x5c"),
  19: header("kid"),
  20: NO_KEY,
  21: NO_KEY,
  22: header("kid"),
  23: header("crit"),
  24: header("crit"),
  25: header("crit"),
  // The payload is not encoded and holds dots.
  26: SEGMENTS,
  27: header("zip"),
  28: header("enc"),
  29: form("signature"),
  30: form("signature"),
  31: form("signature"),
  32: form("signature"),
  33: form("signature"),
  34: form("signature"),
  35: SEGMENTS,
  36: SEGMENTS,
  37: ["ERR_TOKEN_DUPLICATE_MEMBER", "header"],
  38: ["ERR_TOKEN_DUPLICATE_MEMBER", "payload"],
  39: json("escaped_name"),
  40: json("proto"),
  41: ["ERR_JWT_INVALID"],
  42: ["ERR_JWT_INVALID"],
  43: json("utf8"),
  44: json("syntax"),
  45: ["ERR_TOKEN_TOO_LARGE"],
  46: json("depth"),
  47: claim("exp"),
  48: claim("exp"),
  49: json("number"),
  50: claim("exp"),
  51: ["ERR_JWT_EXPIRED", "exp"],
  52: scope("lifetime"),
  53: claim("nbf"),
  54: claim("nbf"),
  55: claim("iat"),
  56: claim("iat"),
  57: claim("aud"),
  58: claim("aud"),
  59: claim("aud"),
  60: claim("aud"),
  61: claim("iss"),
  62: claim("iss"),
  63: scope("issuer"),
  64: claim("typ"),
  65: claim("typ"),
  66: claim("typ"),
  67: claim("typ"),
  68: scope("tenant"),
  69: scope("tenant"),
  70: scope("tenant"),
  71: NOT_ALLOWED,
  72: scope("alg"),
  73: BAD_SIGNATURE,
};

describe("hostile tokens", () => {
  it("THREAT-08: refuses each of the shared RS256 set for its reason, and takes the good ones", async (t) => {
    if (!existsSync(FILE)) {
      t.skip("the shared vectors are not on this machine");
      return;
    }
    const file: HostileFile = JSON.parse(readFileSync(FILE, "utf8"));
    const verifier = await verifierFor(file);
    for (const { id, name, token, result } of file.tests) {
      const found = outcome(() => verifier.verify(token));
      assert.equal(found === "valid", result === "valid", `${id} ${name}`);
      const [code, part] = EXPECTED[id] ?? [];
      assert.deepEqual(found, EXPECTED[id] === "valid" ? "valid" : [code, part], `${id} ${name}`);
    }
    assert.equal(file.tests.length, Object.keys(EXPECTED).length);
  });
});

/** Two issuers in one key set, both accepted, as in the multi-tenant services that were attacked. */
function verifierFor(file: HostileFile): Promise<Verifier> {
  const realms = ["enterprise", "consumer"];
  const keys = file.keys.map(({ jwk, issuer }, i) => ({
    jwk,
    issuer,
    realm: realms[i] ?? "",
    tenants: { ids: [[ENTERPRISE, CONSUMER][i] ?? ""] },
    class: "at" as const,
    audiences: "any" as const,
    maxLifetimeSeconds: 3605,
    signFrom: file.now - DAY,
    signUntil: file.now + 30 * DAY,
    verifyUntil: file.now + 31 * DAY,
  }));
  return createVerifier({
    trust: fromStaticKeys({ keys }),
    audience: file.audience,
    accept: keys.map(({ issuer, realm }) => ({ issuer, realm, tenants: "any" })),
    issuance: "off",
    now: () => file.now * 1000,
  });
}

function header(part: string): Expected {
  return ["ERR_TOKEN_HEADER", part];
}

function form(part: string): Expected {
  return ["ERR_TOKEN_NOT_CANONICAL", part];
}

function json(part: string): Expected {
  return ["ERR_TOKEN_JSON", part];
}

function claim(part: string): Expected {
  return ["ERR_JWT_CLAIM_VALIDATION_FAILED", part];
}

function scope(part: string): Expected {
  return ["ERR_KEY_SCOPE", part];
}
