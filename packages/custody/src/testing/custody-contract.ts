import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from "@redoubt/keys";
import type { Custodian, CustodyKey } from "../custody.ts";
import { KeyError } from "@redoubt/keys";
import { verifiesAsJws } from "@redoubt/keys/testing/jws";

const input = Buffer.from("header.payload");
const MEMBERS = { ES256: "crv,kty,x,y", Ed25519: "crv,kty,x", RS256: "e,kty,n", PS256: "e,kty,n" };

async function isUnknown(use: () => unknown): Promise<void> {
  await assert.rejects(async () => use(), { name: "KeyError", code: "ERR_KEY_UNKNOWN" });
}

async function assertSigns(key: CustodyKey): Promise<void> {
  const signature = await key.sign(input);
  assert.equal(verifiesAsJws(key.alg, key.publicJwk, input, signature), true);
  assert.equal(verifiesAsJws(key.alg, key.publicJwk, Buffer.from("other"), signature), false);
}

/**
 * What every custody adapter does. `open` opens one and the same store each time it is called, as a process that
 * starts again would; the store belongs to whoever calls this.
 */
export function custodyContract(
  name: string,
  open: () => Promise<Custodian>,
  algorithms: readonly SignatureAlgorithm[] = SIGNATURE_ALGORITHMS,
): void {
  describe(`custody: ${name}`, () => {
    for (const alg of algorithms)
      it(`makes a key of ${alg} that signs, also in a later session, and can be ended`, async () => {
        await using first = await open();
        const made = await first.generate(alg);
        assert.equal(made.alg, alg);
        assert.equal(Object.keys(made.publicJwk).toSorted().join(), MEMBERS[alg]);
        await assertSigns(made);
        assert.equal((await first.list()).includes(made.id), true);

        await using later = await open();
        const opened = await later.open(made.id);
        assert.deepEqual([opened.id, opened.alg, opened.publicJwk], [made.id, alg, made.publicJwk]);
        await assertSigns(opened);

        await later.destroy(made.id);
        assert.equal((await later.list()).includes(made.id), false);
        await isUnknown(() => later.open(made.id));
        await isUnknown(() => opened.sign(input));
        // Again, as after a crash between the two.
        await later.destroy(made.id);
      });

    it("makes a new key each time, and lists exactly those that it holds", async () => {
      await using custodian = await open();
      const before = await custodian.list();
      const keys = [await custodian.generate("ES256"), await custodian.generate("ES256")];
      assert.notDeepEqual(keys[0]?.publicJwk, keys[1]?.publicJwk);
      const ids = keys.map(({ id }) => id);
      assert.deepEqual((await custodian.list()).toSorted(), [...before, ...ids].toSorted());
      for (const id of ids) await custodian.destroy(id);
      assert.deepEqual(await custodian.list(), before);
    });

    it("keeps signatures apart that are asked for at once", async () => {
      await using custodian = await open();
      const key = await custodian.generate("ES256");
      const inputs = Array.from({ length: 20 }, (_, i) => Buffer.from(`input ${i}`));
      const signatures = await Promise.all(inputs.map(async (bytes) => key.sign(bytes)));
      for (const [i, signature] of signatures.entries())
        assert.equal(
          verifiesAsJws("ES256", key.publicJwk, inputs[i] ?? input, signature),
          true,
          String(i),
        );
      await custodian.destroy(key.id);
    });

    it("refuses none of the keys that it made itself", async () => {
      await using custodian = await open();
      const key = await custodian.generate("ES256");
      assert.deepEqual((await custodian.audit?.()) ?? [], []);
      await assertSigns(key);
      await custodian.destroy(key.id);
    });

    it("knows no key by a name that is none of its own", async () => {
      await using custodian = await open();
      for (const id of ["", "0".repeat(32), "../passphrase", "x/../y", "\u0000", "A".repeat(32)])
        await isUnknown(() => custodian.open(id));
    });

    it("signs no more once it is closed", async () => {
      const custodian = await open();
      const key = await custodian.generate(algorithms[0] ?? "Ed25519");
      await assertSigns(key);
      await custodian[Symbol.asyncDispose]();
      await isUnknown(() => key.sign(input));
      await using again = await open();
      await again.destroy(key.id);
    });

    it("THREAT-19: shows nothing of a key but its public part", async () => {
      await using custodian = await open();
      const key = await custodian.generate("ES256");
      const shown = inspect([key, custodian], { depth: null, showHidden: true });
      assert.equal(/PRIVATE|pkcs8|PrivateKeyObject|"d":|\bd: '/.test(shown), false);
      await custodian.destroy(key.id);
      const error: unknown = await custodian.open(key.id).catch((reason: unknown) => reason);
      assert.ok(error instanceof KeyError);
    });
  });
}
