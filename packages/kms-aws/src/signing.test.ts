import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import { derOf, ecdsaOfDigest } from "@redoubt/custody/testing/sign-digest";
import { answering, describeKms, failing, openTestCustodian } from "./testing/fixture.ts";
import { KmsServer } from "./testing/kms-server.ts";

const INPUT = Buffer.from("header.payload");
const DIGEST = createHash("sha256").update(INPUT).digest();
const ANSWER = { name: "KeyError", code: "ERR_KEY_CUSTODY" };
const SIGNATURE = { name: "KeyError", code: "ERR_KEY_SIGNATURE" };
const CLOSED = { name: "KeyError", code: "ERR_KEY_UNKNOWN" };

function base64(...parts: (number | Buffer)[]): string {
  const buffers = parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : part));
  return Buffer.concat(buffers).toString("base64");
}

/** Times that a request may take, and the shorter one that a test may. */
const PATIENT = { attemptTimeoutMs: 60_000, callTimeoutMs: 60_000 };
const QUICK = { timeout: 45_000 };

describeKms("AWS KMS: signatures", () => {
  it("sees a digest of what is signed, for Ed25519 the whole", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    for (const [alg, algorithm, type, message] of [
      ["ES256", "ECDSA_SHA_256", "DIGEST", DIGEST],
      ["RS256", "RSASSA_PKCS1_V1_5_SHA_256", "DIGEST", DIGEST],
      ["PS256", "RSASSA_PSS_SHA_256", "DIGEST", DIGEST],
      ["Ed25519", "ED25519_SHA_512", "RAW", INPUT],
    ] as const) {
      const key = await custodian.generate(alg);
      await key.sign(INPUT);
      assert.deepEqual(server.seen.at(-1)?.input, {
        KeyId: server.state.keys.get(key.id)?.arn,
        Message: message.toString("base64"),
        MessageType: type,
        SigningAlgorithm: algorithm,
      });
    }
  });

  it("of Ed25519 are of 4096 bytes, and not of one more", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const key = await custodian.generate("Ed25519");
    assert.equal((await key.sign(Buffer.alloc(4096))).length, 64);
    await assert.rejects(async () => key.sign(Buffer.alloc(4097)), { code: "ERR_KEY_CUSTODY" });
    assert.equal(server.count("Sign"), 1);
    const other = await custodian.generate("ES256");
    assert.equal((await other.sign(Buffer.alloc(100_000))).length, 64);
  });

  it("of ES256 come out as r and s of 32 bytes, however short the numbers are", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const key = await custodian.generate("ES256");
    const privateKey = server.state.keys.get(key.id)?.privateKey;
    assert.ok(privateKey);
    const lengths = new Set<number>();
    // One number in 256 is short; 70 to 72 bytes are the usual ones.
    while (!lengths.has(69) || lengths.size < 4) {
      const der = derOf(ecdsaOfDigest(DIGEST, privateKey));
      if (lengths.has(der.length)) continue;
      lengths.add(der.length);
      server.fault = answering("Sign", { Signature: der.toString("base64") });
      assert.equal((await key.sign(INPUT)).length, 64);
    }
  });

  it("of ES256 are refused in any form but DER, and with any number that does not fit", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const key = await custodian.generate("ES256");
    const privateKey = server.state.keys.get(key.id)?.privateKey;
    assert.ok(privateKey);
    // Both with a leading zero, so that each part has its place.
    let der = derOf(ecdsaOfDigest(DIGEST, privateKey));
    while (der.length !== 72) der = derOf(ecdsaOfDigest(DIGEST, privateKey));
    const [r, s] = [der.subarray(5, 37), der.subarray(40, 72)];
    const one = Buffer.from([0x02, 1, 1]);
    for (const [name, signature] of Object.entries({
      "r and s alone": base64(r, s),
      "a byte after it": base64(der, 0),
      "a byte less": der.subarray(0, 71).toString("base64"),
      "no sequence": base64(0x31, der.subarray(1)),
      "length in two bytes": base64(0x30, 0x81, der.subarray(1)),
      "r negative": base64(0x30, 69, 0x02, 32, r, 0x02, 33, 0, s),
      "r with a zero too many": base64(0x30, 71, 0x02, 34, 0, 0, r, 0x02, 33, 0, s),
      "r of 33 bytes": base64(0x30, 70, 0x02, 33, 1, r, 0x02, 33, 0, s),
      "r is no integer": base64(0x30, 70, 0x03, 33, 0, r, 0x02, 33, 0, s),
      "r empty": base64(0x30, 37, 0x02, 0, 0x02, 33, 0, s),
      "r zero": base64(0x30, 38, 0x02, 1, 0, 0x02, 33, 0, s),
      "s zero": base64(0x30, 38, 0x02, 33, 0, r, 0x02, 1, 0),
      "three numbers": base64(0x30, 73, der.subarray(2), one),
      "both one": base64(0x30, 6, one, one),
      "r and s exchanged": base64(0x30, 70, 0x02, 33, 0, s, 0x02, 33, 0, r),
    })) {
      server.fault = answering("Sign", { Signature: signature });
      await assert.rejects(async () => key.sign(INPUT), SIGNATURE, name);
    }
    server.fault = answering("Sign", { Signature: der.toString("base64") });
    assert.deepEqual(await key.sign(INPUT), Buffer.concat([r, s]));
  });

  it("are not released unless they verify under this key, over this input", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    for (const alg of ["ES256", "Ed25519", "RS256", "PS256"] as const) {
      const [key, other] = [await custodian.generate(alg), await custodian.generate(alg)];
      const wrong = await Promise.all(
        (
          [
            [other, INPUT],
            [key, Buffer.from("another")],
          ] as const
        ).map(async ([signer, input]) => {
          await signer.sign(input);
          const last = server.seen.at(-1)?.input ?? {};
          return server.state.run("Sign", last).Signature;
        }),
      );
      for (const signature of [...wrong, base64(Buffer.alloc(64)), base64(Buffer.alloc(384, 1))]) {
        server.fault = answering("Sign", { Signature: signature });
        await assert.rejects(async () => key.sign(INPUT), SIGNATURE, `${alg} ${String(signature)}`);
      }
      server.fault = () => undefined;
      await key.sign(INPUT);
    }
  });

  it("of one algorithm are not taken for those of the other that the key can do", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const key = await custodian.generate("RS256");
    server.fault = failing("Sign", {
      change: () => ({
        ...server.state.run("Sign", {
          ...server.seen.at(-1)?.input,
          SigningAlgorithm: "RSASSA_PSS_SHA_256",
        }),
        SigningAlgorithm: "RSASSA_PKCS1_V1_5_SHA_256",
      }),
    });
    await assert.rejects(async () => key.sign(INPUT), SIGNATURE);
  });

  it("are refused with an answer about another key or algorithm, whatever they are", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const [key, other] = [await custodian.generate("ES256"), await custodian.generate("ES256")];
    for (const members of [
      { KeyId: server.state.keys.get(other.id)?.arn },
      { KeyId: key.id },
      { KeyId: undefined },
      { SigningAlgorithm: "ECDSA_SHA_384" },
      { SigningAlgorithm: undefined },
      { Signature: undefined },
      { Signature: "" },
      { Signature: "not base64!" },
      { Signature: 7 },
      { Signature: Buffer.alloc(1025).toString("base64") },
    ]) {
      server.fault = answering("Sign", members);
      await assert.rejects(async () => key.sign(INPUT), ANSWER, inspect(members));
    }
  });

  it(
    "that come after the key was ended, or the custody closed, are not released",
    QUICK,
    async () => {
      await using server = await KmsServer.start();
      const custodian = await openTestCustodian(server, { limits: PATIENT });
      const key = await custodian.generate("ES256");
      server.fault = failing("Sign", {
        change: (answer) => {
          // Within this process, while the answer is on its way.
          ended = custodian.destroy(key.id);
          return answer;
        },
      });
      let ended = Promise.resolve();
      await assert.rejects(async () => key.sign(INPUT), CLOSED);
      await ended;
      const next = await custodian.generate("ES256");
      server.fault = failing("Sign", { hang: true });
      const sign = async () => assert.rejects(async () => next.sign(INPUT), CLOSED);
      const asked = server.count("Sign");
      const atServer = sign();
      while (server.count("Sign") === asked) await turn();
      const onItsWay = sign();
      // At once, not when its time is up: that is later than this test's limit.
      await custodian[Symbol.asyncDispose]();
      await Promise.all([atServer, onItsWay]);
      await assert.rejects(custodian.generate("ES256"), CLOSED);
      await assert.rejects(custodian.list(), CLOSED);
    },
  );
});
