import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { grant, ringKey } from "../testing/unsigned-token.ts";
import { buildToken, JtiSource } from "./token.ts";

const NOW = 1_795_435_200;

describe("token", () => {
  it("no jti comes twice, and each has 128 bits", () => {
    const source = new JtiSource();
    const seen = new Set(Array.from({ length: 10_000 }, () => source.next()));
    assert.equal(seen.size, 10_000);
    for (const jti of seen) assert.match(jti, /^[\w-]{22}$/);
    assert.notEqual(new JtiSource().next(), new JtiSource().next());
  });

  it("no bit of a jti is always the same", () => {
    const source = new JtiSource();
    const ones = Buffer.alloc(16);
    const zeros = Buffer.alloc(16);
    for (let count = 0; count < 300; count += 1)
      for (const [place, byte] of Buffer.from(source.next(), "base64url").entries()) {
        ones[place] = (ones[place] ?? 0) | byte;
        zeros[place] = (zeros[place] ?? 0) | ~byte;
      }
    assert.deepEqual([ones, zeros], [Buffer.alloc(16, 255), Buffer.alloc(16, 255)]);
  });

  it("never outlives the time in which its key verifies", () => {
    const key = ringKey({ signUntil: NOW + 1, verifyUntil: NOW + 100 });
    assert.equal(buildToken(grant({ key, ttlSeconds: 99 }), "issuer", "j", NOW).exp, NOW + 99);
    assert.equal(buildToken(grant({ key, ttlSeconds: 101 }), "issuer", "j", NOW).exp, NOW + 100);
  });
});
