import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { activateCredential, quote, readTpmKey, seal, unseal } from "../tpm/client.ts";
import { TPM_RH } from "../tpm/command.ts";
import { makeCredential } from "../tpm/make-credential.ts";
import { parsePublicArea } from "../tpm/public-area.ts";
import { AK_P256, EK_P384, EK_RSA_2048, STORAGE_P256 } from "../tpm/templates.ts";
import { verifyQuote } from "../tpm/verify-quote.ts";
import { createSoftTpm } from "./create-soft-tpm.ts";
import { firstScalar } from "./primary-seed.ts";

const SEED = Buffer.alloc(32, 7);
const SECRET = Buffer.from("a secret of 32 bytes, no more...");
const SIXTEEN = { bank: "sha256", indices: [16] } as const;

/** Made by a soft TPM with `SEED`, below its storage key. */
const SEALED = {
  privateArea: Buffer.from(
    "88a731763c65935a54fbed0677c20b7f02e7a6711af4bbd94caa198fac65ee16ae1683bb538b08fb489ed8c8547ce22dba49d2cbceddb83109c579df",
    "hex",
  ),
  publicArea: Buffer.from(
    "0008000b000004120020bff2d58e9813f97cefc14f72ad8133bc7092d652b7c877959254af140c841f360010002009d5b573e73e9e2043416811fcf615c7cde1bcd8b9dae614d3ef66803814e3bf",
    "hex",
  ),
};

describe("a soft TPM with a seed", () => {
  it("has the same keys after every start, by seed, hierarchy and template", async () => {
    const names = new Set<string>();
    const tpms = [SEED, SEED, Buffer.alloc(32, 8), undefined, undefined];
    const counts: number[] = [];
    for (const seed of tpms) {
      const tpm = createSoftTpm(seed === undefined ? {} : { seed });
      for (const template of [
        EK_P384,
        AK_P256,
        STORAGE_P256,
        { ...STORAGE_P256, hierarchy: TPM_RH.endorsement },
      ]) {
        // One TPM, one command after the other.
        const { name } = parsePublicArea(await readTpmKey(tpm, template));
        names.add(name.toString("hex"));
      }
      counts.push(names.size);
    }
    assert.deepEqual(counts, [4, 4, 8, 12, 16]);
  });

  it("has these keys, and opens this: another derivation would lose what is sealed", async () => {
    const tpm = createSoftTpm({ seed: SEED });
    const names = [];
    for (const template of [EK_P384, AK_P256, STORAGE_P256]) {
      // One TPM, one command after the other.
      names.push(parsePublicArea(await readTpmKey(tpm, template)).name.toString("hex"));
    }
    assert.deepEqual(names, [
      "000cbada42355b7611b6d5a9d9b7b40d68f5d627e57446ccf9d640363ed4e08ac04f838a3aa33e14513be741001a5b44784a",
      "000b8c67d27d0ddcc8e1b24bf44631121b922a0cd94952335156b5c93e4d2e9971ce",
      "000b359dcf3360d50fbd5d08cd4b89826a9bdb90654c0da3f3ab7c6ae020a131b6fb",
    ]);
    assert.deepEqual(await unseal(tpm, SEALED, SIXTEEN), SECRET);
  });

  it("keeps its seed when the caller's is overwritten", async () => {
    const seed = Buffer.from(SEED);
    const tpm = createSoftTpm({ seed });
    seed.fill(0);
    const expected = await readTpmKey(createSoftTpm({ seed: SEED }), AK_P256);
    assert.deepEqual(await readTpmKey(tpm, AK_P256), expected);
  });

  it("loads again what it sealed, and nothing that another one sealed", async () => {
    const sealed = await seal(createSoftTpm({ seed: SEED }), SECRET, SIXTEEN);
    assert.deepEqual(await unseal(createSoftTpm({ seed: SEED }), sealed, SIXTEEN), SECRET);
    for (const tpm of [createSoftTpm({ seed: Buffer.alloc(32, 8) }), createSoftTpm()])
      await assert.rejects(unseal(tpm, sealed, SIXTEEN), { found: "0x1df TPM_RC_INTEGRITY" });
  });

  it("quotes and opens credentials with its keys", async () => {
    const tpm = createSoftTpm({ seed: SEED });
    const first = await readTpmKey(tpm, AK_P256);
    const ek = parsePublicArea(await readTpmKey(tpm, EK_P384));
    const credential = makeCredential(ek, parsePublicArea(first).name, SECRET);
    const again = createSoftTpm({ seed: SEED });
    const keys = { ek: EK_P384, ak: AK_P256 };
    assert.deepEqual(await activateCredential(again, keys, credential), SECRET);
    const signed = await quote(again, AK_P256, SIXTEEN, SECRET);
    const evidence = { ...signed, ak: { publicArea: first } };
    const expected = { selection: SIXTEEN, qualifyingData: SECRET };
    assert.equal(verifyQuote(evidence, expected).pcrs.size, 1);
  });

  it("has new keys in the null hierarchy after every start, as every TPM", async () => {
    const template = { ...AK_P256, hierarchy: TPM_RH.null };
    const tpm = createSoftTpm({ seed: SEED });
    const first = await readTpmKey(tpm, template);
    assert.deepEqual(await readTpmKey(tpm, template), first);
    assert.notDeepEqual(await readTpmKey(createSoftTpm({ seed: SEED }), template), first);
  });

  it("makes no RSA key, which would be another one after the next start", async () => {
    const tpm = createSoftTpm({ seed: SEED });
    await assert.rejects(readTpmKey(tpm, EK_RSA_2048), { found: "0x2c4 TPM_RC_VALUE" });
  });

  it("takes a seed of 32 bytes and no other", () => {
    for (const size of [0, 31, 33])
      assert.throws(() => createSoftTpm({ seed: Buffer.alloc(size) }), RangeError);
  });
});

describe("private keys from a seed", () => {
  for (const [curve, order] of [
    ["P-256", "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"],
    [
      "P-384",
      "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ],
  ] as const)
    it(`of ${curve} are 1 to the order less one; others are passed over`, () => {
      const n = BigInt(`0x${order}`);
      const candidates = [0n, n, n + 1n, n - 1n, 1n].map((value) =>
        Buffer.from(value.toString(16).padStart(order.length, "0"), "hex"),
      );
      assert.deepEqual(
        firstScalar(curve, (count) => candidates[count] ?? Buffer.alloc(0)),
        candidates[3],
      );
      assert.deepEqual(
        firstScalar(curve, (count) => candidates[count * 4] ?? Buffer.alloc(0)),
        candidates[4],
      );
    });
});
