import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeBase64url } from "./base64url.ts";
import { claims, mint, staticKey, TENANT_A, verifierWith } from "./testing/fixture.ts";
import { signPss, signWith, testKey } from "./testing/keys.ts";
import { assertRefused } from "./testing/refusals.ts";

const ALGORITHM_KEYS = ["ent-es256", "ent-ed25519", "ent-ps256", "ent-rs256"];

describe("signatures", () => {
  it("refuses a signature of another key, over other data, or of another length", async () => {
    const verifier = await verifierWith(ALGORITHM_KEYS.map((name) => staticKey(name)));
    const code = "ERR_JWS_SIGNATURE_VERIFICATION_FAILED";
    for (const key of ALGORITHM_KEYS) {
      const good = mint({ key });
      const [header = "", payload = "", signature = ""] = good.split(".");
      const bytes = Buffer.from(signature, "base64url");
      const other = encodeBase64url(Buffer.from(JSON.stringify(claims({ sub: "admin" }))));
      assertRefused(verifier, `${header}.${other}.${signature}`, code);
      for (const wrong of [
        bytes.subarray(1),
        bytes.subarray(0, -1),
        Buffer.concat([bytes, Buffer.of(0)]),
        Buffer.concat([Buffer.of(0), bytes]),
        Buffer.alloc(0),
        Buffer.alloc(bytes.length),
        Buffer.alloc(bytes.length, 0xff),
        Buffer.from(bytes.map((byte, i) => (i === 7 ? byte ^ 1 : byte))),
      ])
        assertRefused(verifier, `${header}.${payload}.${encodeBase64url(wrong)}`, code);
    }
    const attacker = testKey("attacker-es256");
    assertRefused(verifier, mint({ sign: (input) => signWith(attacker, input) }), code);
  });

  it("THREAT-08: refuses psychic ECDSA signatures", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const order = Buffer.from(
      "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
      "hex",
    );
    const zero = Buffer.alloc(32);
    const one = Buffer.concat([Buffer.alloc(31), Buffer.of(1)]);
    for (const r of [zero, order, one])
      for (const s of [zero, order])
        assertRefused(
          verifier,
          mint({ sign: () => Buffer.concat([r, s]) }),
          "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        );
  });

  it("verifies ECDSA signatures whose r or s is short, or just negative as DER", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")], { cache: { max: 0 } });
    const met = new Set<string>();
    // Each of these shapes comes once in a few hundred signatures.
    for (let i = 0; i < 5000 && met.size < 4; i += 1) {
      const token = mint({ payload: { jti: `n-${i}` } });
      const bytes = Buffer.from(token.slice(token.lastIndexOf(".") + 1), "base64url");
      const shapes = [bytes, bytes.subarray(32)].map(integerShape).filter((shape) => shape !== "");
      if (shapes.length === 0) continue;
      for (const shape of shapes) met.add(shape);
      assert.equal(verifier.verify(token).tenantId, TENANT_A);
    }
    assert.equal(met.size, 4, [...met].join());
  });

  it("holds PS256 to SHA-256 and a salt of 32 bytes, and RS256 to PKCS #1 v1.5", async () => {
    const verifier = await verifierWith([staticKey("ent-ps256"), staticKey("ent-rs256")]);
    const code = "ERR_JWS_SIGNATURE_VERIFICATION_FAILED";
    for (const [hashName, salt] of [
      ["sha256", 0],
      ["sha256", 20],
      ["sha256", 64],
      ["sha512", 32],
      ["sha1", 32],
    ] as const) {
      const token = mint({
        key: "ent-ps256",
        sign: (input, key) => signPss(key, Buffer.from(input), hashName, salt),
      });
      assertRefused(verifier, token, code);
    }
    const pkcs1 = mint({ key: "ent-ps256", sign: (input, key) => signWith(key, input, "RS256") });
    assertRefused(verifier, pkcs1, code);
    const pss = mint({ key: "ent-rs256", sign: (input, key) => signWith(key, input, "PS256") });
    assertRefused(verifier, pss, code);
  });

  it("gives both forms of one ECDSA signature the same digest", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const token = mint();
    const at = token.lastIndexOf(".") + 1;
    const bytes = Buffer.from(token.slice(at), "base64url");
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const s = order - BigInt(`0x${bytes.subarray(32).toString("hex")}`);
    const twin = Buffer.concat([
      bytes.subarray(0, 32),
      Buffer.from(s.toString(16).padStart(64, "0"), "hex"),
    ]);
    const found = verifier.verify(token.slice(0, at) + encodeBase64url(twin));
    assert.equal(found.digest, verifier.verify(token).digest);
  });
});

/** Where the DER form of a number is not just its 32 bytes, or almost is not. */
function integerShape([first = 0, second = 0]: Uint8Array): string {
  if (first === 0) return second < 0x80 ? "short" : "short and high";
  return first === 0x80 || first === 0x7f ? String(first) : "";
}
