import assert from "node:assert/strict";
import { test } from "node:test";
import { verifyNitro } from "./nitro.ts";
import { attestationVector, WITHOUT_VECTORS } from "./testing/tpm-vectors.ts";

const expected = { nonce: null, userData: null, publicKey: null };

const DOCUMENTS = [
  {
    file: "nitro/prod-doc.cose",
    signedAt: "2021-03-17T22:01:55.685Z",
    pcr0: "2d151586641b790f",
    publicKeyBytes: undefined,
  },
  {
    file: "nitro/prod-doc-publickey.cose",
    signedAt: "2021-03-24T16:10:41.734Z",
    pcr0: "672cd3c91b7ac756",
    publicKeyBytes: 294,
  },
] as const;

for (const { file, signedAt, pcr0, publicKeyBytes } of DOCUMENTS) {
  test(
    `${file} verifies when it was signed, up to the pinned root`,
    { skip: WITHOUT_VECTORS },
    () => {
      const encoded = attestationVector(file);
      const now = Date.parse(signedAt);
      const document = verifyNitro(encoded, { now, expected });
      assert.equal(document.pcrs.get(0)?.toString("hex", 0, 8), pcr0);
      assert.equal(new Date(document.timestamp).toISOString(), signedAt);
      assert.deepEqual([document.debug, document.pcrs.size], [false, 16]);
      assert.equal(document.publicKey?.length, publicKeyBytes);
      assert.throws(() => verifyNitro(encoded, { now: now + 10_800_000, expected }), {
        code: "ERR_EVIDENCE_TIME",
      });
    },
  );
}
