import { describe, it } from "node:test";
import { claims, mint, staticKey, verifierWith } from "./testing/fixture.ts";
import { assertRefused } from "./testing/refusals.ts";

const ALGORITHM_KEYS = ["ent-es256", "ent-ed25519", "ent-ps256", "ent-rs256"];

describe("header", () => {
  it("THREAT-08: refuses each algorithm that is not ours, by name", async () => {
    const verifier = await verifierWith(ALGORITHM_KEYS.map((name) => staticKey(name)));
    for (const alg of [
      "none",
      "None",
      "nOnE",
      "",
      "HS256",
      "HS512",
      "RS1",
      "RS512",
      "ES384",
      "es256",
      "EdDSA",
      "ML-DSA-44",
      1,
      null,
      ["ES256"],
      undefined,
    ])
      assertRefused(verifier, mint({ header: { alg } }), "ERR_JOSE_ALG_NOT_ALLOWED");
  });

  it("THREAT-08: refuses every member but alg, kid and typ, and names those it knows", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const [name, value] of Object.entries({
      jwk: { kty: "oct" },
      jku: "https://attacker.example/jwks",
      x5u: "https://attacker.example/x",
      x5c: ["MII"],
      x5t: "x",
      "x5t#S256": "x",
      crit: ["exp"],
      b64: false,
      zip: "DEF",
      enc: "A256GCM",
      cty: "JWT",
      iss: "x",
      rcpt: "x",
      nonce: "x",
    }))
      assertRefused(verifier, mint({ header: { [name]: value } }), "ERR_TOKEN_HEADER", name);
    assertRefused(verifier, mint({ header: { x: 1 } }), "ERR_TOKEN_HEADER", "unknown");
    assertRefused(verifier, mint({ header: { constructor: 1 } }), "ERR_TOKEN_HEADER", "unknown");
  });

  it("requires typ at+jwt, exactly", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const typ of [
      undefined,
      "JWT",
      "at+JWT",
      "application/at+jwt",
      "dpop+jwt",
      "logout+jwt",
      "",
      1,
      null,
    ])
      assertRefused(verifier, mint({ header: { typ } }), "ERR_JWT_CLAIM_VALIDATION_FAILED", "typ");
  });

  it("requires a kid of bounded length", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const kid of [undefined, null, "", ["ent-es256"], 1, {}, "k".repeat(257)])
      assertRefused(verifier, mint({ header: { kid } }), "ERR_TOKEN_HEADER", "kid");
    for (const kid of ["k".repeat(256), "__proto__", "constructor", "ent-es256 ", "../ent-es256"])
      assertRefused(verifier, mint({ header: { kid } }), "ERR_JWKS_NO_MATCHING_KEY");
  });

  it("refuses a header or payload that is not an object, or not strict JSON", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const header of ["[]", "null", '"x"', "1"])
      assertRefused(verifier, mint({ header }), "ERR_TOKEN_HEADER", "form");
    for (const payload of ["[]", "null", '"x"', "1"])
      assertRefused(verifier, mint({ payload }), "ERR_JWT_INVALID");
    const twice = '{"alg":"none","alg":"ES256","kid":"ent-es256","typ":"at+jwt"}';
    assertRefused(verifier, mint({ header: twice }), "ERR_TOKEN_DUPLICATE_MEMBER", "header");
    for (const [payload, part] of [
      ["{", "syntax"],
      ['{"s\\u0075b":1}', "escaped_name"],
      ['{"__proto__":1}', "proto"],
      [Buffer.of(0x22, 0xff, 0x22), "utf8"],
      [`${"[".repeat(9)}${"]".repeat(9)}`, "depth"],
      ['{"exp":1e400}', "number"],
      ['{"sub":"\\ud800"}', "surrogate"],
    ] as const)
      assertRefused(verifier, mint({ payload }), "ERR_TOKEN_JSON", part);
    const dup = JSON.stringify(claims()).replace("{", '{"sub":"admin",');
    assertRefused(verifier, mint({ payload: dup }), "ERR_TOKEN_DUPLICATE_MEMBER", "payload");
  });

  it("refuses a segment that is not the one form of its bytes", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const good = mint();
    const [header = "", payload = "", signature = ""] = good.split(".");
    for (const [token, part] of [
      [`${header}=.${payload}.${signature}`, "header"],
      [`${header}.${payload} .${signature}`, "payload"],
      [`${header}.${payload}.${signature}==`, "signature"],
      [`${header}.${payload}.${signature}\n`, "signature"],
      [` ${good}`, "header"],
      [
        `${header}.${payload}.${signature.slice(0, -1)}${signature.endsWith("A") ? "B" : "/"}`,
        "signature",
      ],
    ] as const)
      assertRefused(verifier, token, "ERR_TOKEN_NOT_CANONICAL", part);
  });
});
