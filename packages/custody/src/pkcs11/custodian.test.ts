import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { it } from "node:test";
import { inspect } from "node:util";
import type { Custodian } from "../custody.ts";
import { custodyContract } from "../testing/custody-contract.ts";
import { openRawToken } from "../testing/raw-token.ts";
import { createToken, inSoftHsm, SOFTHSM_MODULE, type SoftToken } from "../testing/softhsm.ts";
import { CKA, CKM } from "./cryptoki.ts";
import { openPkcs11Custodian, type Pkcs11Options } from "./open-custodian.ts";

const P256 = Buffer.from("06082a8648ce3d030107", "hex");

function openOn({ label, pin }: SoftToken, more: Partial<Pkcs11Options> = {}): Promise<Custodian> {
  return openPkcs11Custodian({ module: SOFTHSM_MODULE, tokenLabel: label, pin, ...more });
}

inSoftHsm(import.meta.filename, () => {
  const token = createToken("contract");
  custodyContract("PKCS#11", () => openOn(token));
  custodyContract(
    "PKCS#11, every signature in the thread pool",
    () => openOn(token, { sessions: 2, signing: "async" }),
    ["ES256", "Ed25519"],
  );

  it("other objects in the token are none of ours", async () => {
    await using custodian = await openOn(token);
    using raw = await openRawToken(token);
    const id = randomBytes(16);
    const named = [
      { type: CKA.TOKEN, value: true },
      { type: CKA.ID, value: id },
      { type: CKA.LABEL, value: "somebody else's" },
    ];
    const mechanism = { mechanism: CKM.EC_KEY_PAIR_GEN };
    const params = { type: CKA.EC_PARAMS, value: P256 };
    raw.cryptoki.C_GenerateKeyPair(raw.session, mechanism, [...named, params], named);
    assert.deepEqual(await custodian.list(), []);
    await assert.rejects(custodian.open(id.toString("hex")), { code: "ERR_KEY_UNKNOWN" });
    await custodian.destroy(id.toString("hex"));
    raw.cryptoki.C_FindObjectsInit(raw.session, named);
    assert.equal(raw.cryptoki.C_FindObjects(raw.session, 10).length, 2);
    raw.cryptoki.C_FindObjectsFinal(raw.session);
  });

  it("THREAT-19: the PIN is in nothing that is shown", async () => {
    await using custodian = await openOn(token);
    const key = await custodian.generate("ES256");
    const error: unknown = await custodian.open("0".repeat(32)).catch((reason: unknown) => reason);
    const shown = inspect([custodian, key, error], { depth: null, showHidden: true });
    assert.equal(shown.includes(token.pin.reveal()), false);
    await custodian.destroy(key.id);
  });
});
