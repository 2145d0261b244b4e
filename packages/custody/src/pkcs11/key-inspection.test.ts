import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import type { Custodian, RefusedKey } from "../custody.ts";
import { verifiesAsJws } from "@redoubt/keys/testing/jws";
import { openRawToken, type RawToken } from "../testing/raw-token.ts";
import { createToken, inSoftHsm, SOFTHSM_MODULE, type SoftToken } from "../testing/softhsm.ts";
import { TOKEN_ALGORITHMS } from "./algorithms.ts";
import { readAttribute, findHalves, labelOf } from "./objects.ts";
import { openPkcs11Custodian, type Pkcs11Options } from "./open-custodian.ts";
import {
  CKA,
  CKM,
  CKO_PRIVATE_KEY,
  CKO_PUBLIC_KEY,
  type Attribute,
  type Handle,
} from "./cryptoki.ts";

const CKA_VALUE = 0x11;
const CKK_EC = 3;
const P256 = Buffer.from("06082a8648ce3d030107", "hex");
const input = Buffer.from("header.payload");

function openOn({ label, pin }: SoftToken, more: Partial<Pkcs11Options> = {}): Promise<Custodian> {
  return openPkcs11Custodian({ module: SOFTHSM_MODULE, tokenLabel: label, pin, ...more });
}

async function audit(custodian: Custodian): Promise<readonly RefusedKey[]> {
  const refused = await custodian.audit?.();
  assert.ok(refused);
  return refused;
}

function privateHalf(raw: RawToken, id: string): Handle {
  const [found] = findHalves(raw.cryptoki, raw.session, CKO_PRIVATE_KEY, Buffer.from(id, "hex"));
  assert.ok(found);
  return found.object;
}

function pairOf(id: Buffer, more: readonly Attribute[]) {
  const named = [
    { type: CKA.TOKEN, value: true },
    { type: CKA.LABEL, value: labelOf("ES256") },
    { type: CKA.ID, value: id },
  ];
  return {
    publicKey: [...named, { type: CKA.EC_PARAMS, value: P256 }],
    privateKey: [...named, { type: CKA.PRIVATE, value: true }, ...more],
  };
}

function classOf(value: number): Attribute[] {
  return [
    { type: CKA.CLASS, value },
    { type: CKA.KEY_TYPE, value: CKK_EC },
  ];
}

/** A key made in the token by somebody else, with our label. */
function plant(raw: RawToken, more: readonly Attribute[]): string {
  const id = randomBytes(16);
  const { publicKey, privateKey } = pairOf(id, more);
  const mechanism = { mechanism: CKM.EC_KEY_PAIR_GEN };
  raw.cryptoki.C_GenerateKeyPair(raw.session, mechanism, publicKey, privateKey);
  return id.toString("hex");
}

function destroyHalf(raw: RawToken, kind: number, id: string): void {
  for (const { object } of findHalves(raw.cryptoki, raw.session, kind, Buffer.from(id, "hex")))
    raw.cryptoki.C_DestroyObject(raw.session, object);
}

/** Refused at the audit and at the next opening, by name, and used no more. */
async function assertRefused(custodian: Custodian, id: string, why: RegExp): Promise<void> {
  await assert.rejects(custodian.open(id), { code: "ERR_KEY_REFUSED", message: why });
  const refused = await audit(custodian);
  assert.deepEqual(
    refused.map((key) => key.id),
    [id],
  );
  assert.match(refused[0]?.reason ?? "", why);
  assert.match(refused[0]?.reason ?? "", new RegExp(id));
  await custodian.destroy(id);
  assert.deepEqual(await audit(custodian), []);
}

function replacePublicHalf(raw: RawToken, id: string, point: Buffer): void {
  destroyHalf(raw, CKO_PUBLIC_KEY, id);
  raw.cryptoki.C_CreateObject(raw.session, [
    ...classOf(CKO_PUBLIC_KEY),
    ...pairOf(Buffer.from(id, "hex"), []).publicKey,
    { type: CKA.EC_POINT, value: point },
  ]);
}

function foreignPoint(raw: RawToken, id: string): Buffer {
  const [half] = findHalves(raw.cryptoki, raw.session, CKO_PUBLIC_KEY, Buffer.from(id, "hex"));
  assert.ok(half);
  const point = readAttribute(raw.cryptoki, raw.session, half.object, CKA.EC_POINT);
  assert.ok(point);
  return point;
}

inSoftHsm(import.meta.filename, () => {
  const token = createToken("keys");

  describe("a key in a token", () => {
    for (const alg of ["ES256", "Ed25519", "RS256"] as const)
      it(`P5: cannot be read, of ${alg}`, async () => {
        await using custodian = await openOn(token);
        using raw = await openRawToken(token);
        const { id } = await custodian.generate(alg);
        const key = privateHalf(raw, id);
        for (const secret of alg === "RS256" ? [0x123, 0x124] : [CKA_VALUE])
          assert.throws(() => readAttribute(raw.cryptoki, raw.session, key, secret), {
            message: "CKR_ATTRIBUTE_SENSITIVE",
          });
        const flag = (type: number) =>
          readAttribute(raw.cryptoki, raw.session, key, type)?.toString("hex");
        for (const type of [CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.LOCAL])
          assert.equal(flag(type), "01");
        const { denied } = TOKEN_ALGORITHMS[alg];
        for (const type of [CKA.EXTRACTABLE, CKA.MODIFIABLE, ...denied])
          assert.equal(flag(type), "00");
        assert.deepEqual(await audit(custodian), []);
        await custodian.destroy(id);
      });

    it("that can be extracted is refused, whatever its label says", async () => {
      await using custodian = await openOn(token);
      using raw = await openRawToken(token);
      const sign = { type: CKA.SIGN, value: true };
      const sensitive = { type: CKA.SENSITIVE, value: true };
      const id = plant(raw, [sign, sensitive, { type: CKA.EXTRACTABLE, value: true }]);
      await assertRefused(custodian, id, /CKA_NEVER_EXTRACTABLE is not true/);
    });

    it("that is not sensitive, or does more than sign, is refused", async () => {
      await using custodian = await openOn(token);
      using raw = await openRawToken(token);
      const fine = [
        { type: CKA.SIGN, value: true },
        { type: CKA.SENSITIVE, value: true },
        { type: CKA.EXTRACTABLE, value: false },
        { type: CKA.DERIVE, value: false },
      ];
      const but = (type: number, value: boolean) =>
        plant(raw, [...fine.filter((attribute) => attribute.type !== type), { type, value }]);
      await assertRefused(custodian, but(CKA.SENSITIVE, false), /CKA_SENSITIVE is not true/);
      await assertRefused(custodian, but(CKA.SIGN, false), /CKA_SIGN is not true/);
      await assertRefused(custodian, but(CKA.DERIVE, true), /CKA_DERIVE is true/);
      const control = plant(raw, fine);
      assert.equal((await custodian.open(control)).id, control);
      await custodian.destroy(control);
    });

    it("that was brought from outside is refused", async () => {
      await using custodian = await openOn(token);
      using raw = await openRawToken(token);
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const { x = "", y = "", d = "" } = privateKey.export({ format: "jwk" });
      const id = randomBytes(16);
      const point = [
        "0441",
        "04",
        ...[x, y].map((part) => Buffer.from(part, "base64url").toString("hex")),
      ];
      const templates = pairOf(id, [
        { type: CKA.EC_PARAMS, value: P256 },
        { type: CKA.SENSITIVE, value: true },
        { type: CKA.EXTRACTABLE, value: false },
        { type: CKA.SIGN, value: true },
        { type: CKA_VALUE, value: Buffer.from(d, "base64url") },
      ]);
      raw.cryptoki.C_CreateObject(raw.session, [
        ...classOf(CKO_PRIVATE_KEY),
        ...templates.privateKey,
      ]);
      raw.cryptoki.C_CreateObject(raw.session, [
        ...classOf(CKO_PUBLIC_KEY),
        ...templates.publicKey,
        { type: CKA.EC_POINT, value: Buffer.from(point.join(""), "hex") },
      ]);
      // SoftHSM says of it that it was not always sensitive, too.
      await assertRefused(
        custodian,
        id.toString("hex"),
        /CKA_(ALWAYS_SENSITIVE|LOCAL) is not true/,
      );
    });

    it("whose public half was replaced is refused: that half would be registered as ours", async () => {
      await using custodian = await openOn(token);
      using raw = await openRawToken(token);
      const [ours, other] = [await custodian.generate("ES256"), await custodian.generate("ES256")];
      await ours.sign(input);
      replacePublicHalf(raw, ours.id, foreignPoint(raw, other.id));
      // What was looked at stays good for as long as its sessions do.
      await ours.sign(input);
      raw.cryptoki.C_CloseAllSessions(raw.slot);
      assert.throws(() => ours.sign(input), { code: "ERR_KEY_REFUSED", message: /was replaced/ });
      await assertRefused(custodian, ours.id, /halves are no pair/);
      await custodian.destroy(other.id);
    });

    it("that shares its id with another is refused, and signs no more after an audit", async () => {
      await using custodian = await openOn(token);
      using raw = await openRawToken(token);
      const ours = await custodian.generate("ES256");
      await ours.sign(input);
      const { publicKey, privateKey } = pairOf(Buffer.from(ours.id, "hex"), [
        { type: CKA.EXTRACTABLE, value: true },
      ]);
      const mechanism = { mechanism: CKM.EC_KEY_PAIR_GEN };
      const planted = raw.cryptoki.C_GenerateKeyPair(raw.session, mechanism, publicKey, privateKey);
      raw.cryptoki.C_DestroyObject(raw.session, planted.publicKey);
      assert.equal((await audit(custodian)).length, 1);
      assert.throws(() => ours.sign(input), { code: "ERR_KEY_REFUSED" });
      await assertRefused(custodian, ours.id, /2 private and 1 public halves/);
      assert.throws(() => ours.sign(input), { code: "ERR_KEY_REFUSED" });
    });

    it("of which a crash left one half is none, and is cleared away by its end", async () => {
      await using custodian = await openOn(token);
      using raw = await openRawToken(token);
      const [a, b] = [await custodian.generate("ES256"), await custodian.generate("ES256")];
      destroyHalf(raw, CKO_PRIVATE_KEY, a.id);
      destroyHalf(raw, CKO_PUBLIC_KEY, b.id);
      assert.deepEqual(await custodian.list(), []);
      await assert.rejects(custodian.open(a.id), { code: "ERR_KEY_UNKNOWN" });
      await assert.rejects(custodian.open(b.id), { code: "ERR_KEY_REFUSED" });
      assert.deepEqual(
        (await audit(custodian)).map(({ id }) => id),
        [b.id],
      );
      for (const { id } of [a, b]) {
        await custodian.destroy(id);
        for (const kind of [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY])
          assert.deepEqual(findHalves(raw.cryptoki, raw.session, kind, Buffer.from(id, "hex")), []);
      }
    });

    it("keeps its name, and what it is for, whoever knows the PIN", async () => {
      await using custodian = await openOn(token);
      using raw = await openRawToken(token);
      const { id } = await custodian.generate("ES256");
      const key = privateHalf(raw, id);
      const relabel = [{ type: CKA.LABEL, value: labelOf("PS256") }];
      assert.throws(() => raw.cryptoki.C_SetAttributeValue(raw.session, key, relabel), /CKR_/);
      await custodian.destroy(id);
    });

    it("is seen to be gone when another session ended it", async () => {
      await using custodian = await openOn(token);
      await using other = await openOn(token);
      const key = await custodian.generate("ES256");
      await key.sign(input);
      await other.destroy(key.id);
      assert.throws(() => key.sign(input), { code: "ERR_KEY_UNKNOWN" });
      // The way to the token is as good as before.
      const next = await custodian.generate("ES256");
      assert.equal(verifiesAsJws("ES256", next.publicJwk, input, await next.sign(input)), true);
      await custodian.destroy(next.id);
    });
  });
});
