import assert from "node:assert/strict";
import { readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import type { Custodian, CustodyKey } from "../custody.ts";
import { isCustodyAway } from "../custody.ts";
import { faultyModule } from "../testing/faulty-cryptoki.ts";
import { verifiesAsJws } from "@redoubt/keys/testing/jws";
import { openRawToken } from "../testing/raw-token.ts";
import { createToken, inSoftHsm, SOFTHSM_MODULE, type SoftToken } from "../testing/softhsm.ts";
import { openPkcs11Custodian, type Pkcs11Options } from "./open-custodian.ts";
import type { Pkcs11Module } from "./module.ts";

const input = Buffer.from("header.payload");
const busy = { name: "KeyError", code: "ERR_KEY_BUSY" };

const clock = { at: 0, now: () => 0, monotonic: () => clock.at };
function openOn(
  { label, pin }: SoftToken,
  module: string | Pkcs11Module = SOFTHSM_MODULE,
  more: Partial<Pkcs11Options> = {},
): Promise<Custodian> {
  return openPkcs11Custodian({ module, tokenLabel: label, pin, clock, ...more });
}

async function assertSigns(key: CustodyKey): Promise<void> {
  const signature = await key.sign(input);
  assert.equal(verifiesAsJws(key.alg, key.publicJwk, input, signature), true);
}

async function signs(key: CustodyKey): Promise<Buffer> {
  return key.sign(input);
}

const tokens = join(dirname(process.env.SOFTHSM2_CONF ?? ""), "tokens");

function onlyFolder(before: readonly string[]): string {
  const [name, ...others] = readdirSync(tokens).filter((folder) => !before.includes(folder));
  assert.ok(name !== undefined && others.length === 0);
  return name;
}

inSoftHsm(import.meta.filename, () => {
  describe("sessions closed behind the custodian's back", () => {
    const token = createToken("sessions");
    for (const alg of ["ES256", "RS256"] as const)
      it(`are opened anew within the call that finds out, ${alg}`, async () => {
        await using custodian = await openOn(token);
        const key = await custodian.generate(alg);
        await assertSigns(key);
        using raw = await openRawToken(token);
        raw.cryptoki.C_CloseAllSessions(raw.slot);
        await assertSigns(key);
        raw.cryptoki.C_CloseAllSessions(raw.slot);
        assert.deepEqual(await custodian.list(), [key.id]);
        raw.cryptoki.C_CloseAllSessions(raw.slot);
        await custodian.destroy(key.id);
      });

    it("do not end the login of another custodian of this process", async () => {
      await using stays = await openOn(token);
      const key = await stays.generate("ES256");
      const leaves = await openOn(token);
      await leaves[Symbol.asyncDispose]();
      await leaves[Symbol.asyncDispose]();
      await assertSigns(key);
      await stays.destroy(key.id);
    });

    it("are left behind by no custodian", async () => {
      const faulty = await faultyModule();
      {
        await using custodian = await openOn(token, faulty.module, { signing: "async" });
        const key = await custodian.generate("ES256");
        await Promise.all(Array.from({ length: 8 }, async () => key.sign(input)));
        await custodian.destroy(key.id);
      }
      assert.ok(faulty.count("C_OpenSession") >= 4);
      assert.equal(faulty.count("C_CloseSession"), faulty.count("C_OpenSession"));
      assert.deepEqual([faulty.count("C_Logout"), faulty.count("C_Finalize")], [1, 1]);
    });
  });

  it("THREAT-05: a token that is away fails calls at once, and is found again when it is back", async () => {
    const before = readdirSync(tokens);
    const token = createToken("travels");
    const folder = join(tokens, onlyFolder(before));
    const faulty = await faultyModule();
    await using custodian = await openOn(token, faulty.module);
    const key = await custodian.generate("ES256");
    renameSync(folder, `${tokens}.away`);
    const error: unknown = await signs(key).catch((reason: unknown) => reason);
    assert.equal(isCustodyAway(error), true);
    // Not "unknown", not "none": a signer would take such keys for lost and end them.
    for (const call of [
      () => custodian.list(),
      () => custodian.open(key.id),
      () => custodian.destroy("0".repeat(32)),
      () => custodian.generate("ES256"),
    ])
      await assert.rejects(call, busy);

    // In the pause the module is not troubled.
    const calls = [...faulty.calls.values()].reduce((sum, count) => sum + count, 0);
    await assert.rejects(signs(key), busy);
    assert.equal(
      [...faulty.calls.values()].reduce((sum, count) => sum + count, 0),
      calls,
    );
    // The pause doubles.
    clock.at += 1000;
    await assert.rejects(signs(key), busy);
    renameSync(`${tokens}.away`, folder);
    clock.at += 1999;
    await assert.rejects(signs(key), busy);
    clock.at += 1;
    await assertSigns(key);
    assert.deepEqual(await custodian.list(), [key.id]);
  });

  it("a token that is away is never taken for one without keys, whatever is asked first", async () => {
    const before = readdirSync(tokens);
    const token = createToken("asked");
    const folder = join(tokens, onlyFolder(before));
    await using custodian = await openOn(token);
    const key = await custodian.generate("ES256");
    for (const call of [
      () => custodian.list(),
      () => custodian.open(key.id),
      () => custodian.destroy("0".repeat(32)),
      () => custodian.generate("ES256"),
      () => custodian.audit?.() ?? assert.fail("no audit"),
    ]) {
      renameSync(folder, `${tokens}.away`);
      await assert.rejects(call, busy);
      renameSync(`${tokens}.away`, folder);
      clock.at += 30_000;
      await assertSigns(key);
    }
    assert.deepEqual(await custodian.list(), [key.id]);
  });

  it("a new start of the module leaves nobody with a session that is somebody else's by now", async () => {
    const [idles, stays] = [createToken("idles"), createToken("stays")];
    const before = readdirSync(tokens);
    const goes = createToken("goes");
    const folder = join(tokens, onlyFolder(before));
    const faulty = await faultyModule();
    const idle = await openOn(idles, faulty.module);
    await using first = await openOn(stays, faulty.module);
    await using second = await openOn(goes, faulty.module);
    const [key, other] = [await first.generate("ES256"), await second.generate("ES256")];
    renameSync(folder, `${tokens}.away`);
    await assert.rejects(signs(other), busy);
    renameSync(`${tokens}.away`, folder);
    clock.at += 30_000;
    // Its session gets the number that the first one's had before.
    await assertSigns(other);
    const tries = faulty.count("C_SignInit");
    await assertSigns(key);
    assert.equal(faulty.count("C_SignInit"), tries + 1);
    // One that leaves does not log out, or close, what has its number now.
    const [logins, opened] = [faulty.count("C_Login"), faulty.count("C_OpenSession")];
    await idle[Symbol.asyncDispose]();
    await assertSigns(other);
    assert.deepEqual([faulty.count("C_Login"), faulty.count("C_OpenSession")], [logins, opened]);
  });

  it("a custodian that cannot be opened whole leaves nothing open", async () => {
    const token = createToken("half-open");
    const faulty = await faultyModule();
    faulty.fail("C_GetSlotInfo", "CKR_FUNCTION_FAILED", 2);
    await assert.rejects(openOn(token, faulty.module), busy);
    assert.equal(faulty.count("C_CloseSession"), faulty.count("C_OpenSession"));
    assert.equal(faulty.count("C_Finalize"), 1);
  });

  it("a token is changed by one call at a time", async () => {
    const token = createToken("changes");
    const faulty = await faultyModule();
    await using one = await openOn(token, faulty.module, { signing: "async" });
    await using other = await openOn(token, faulty.module, { signing: "async" });
    const gates: PromiseWithResolvers<void>[] = [];
    faulty.answers.set("C_GenerateKeyPairAsync", async (real) => {
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      await gate.promise;
      return real();
    });
    const ended: string[] = [];
    const note = (name: string) => () => void ended.push(name);
    const changes = [
      one.generate("ES256").then(note("one")),
      other.generate("ES256").then(note("other")),
      other.destroy("0".repeat(32)).then(note("end")),
    ];
    for (const done of [0, 1]) {
      await new Promise(setImmediate);
      assert.deepEqual([gates.length, ended.length], [done + 1, done]);
      gates[done]?.resolve();
      await changes[done];
    }
    await Promise.all(changes);
    assert.deepEqual(ended, ["one", "other", "end"]);
  });

  it("keys do not come back with another token of the same name", async () => {
    const before = readdirSync(tokens);
    const token = createToken("replaced");
    const folder = join(tokens, onlyFolder(before));
    await using custodian = await openOn(token);
    const key = await custodian.generate("ES256");
    rmSync(folder, { recursive: true });
    createToken("replaced");
    await assert.rejects(signs(key), { code: "ERR_KEY_UNKNOWN" });
    assert.deepEqual(await custodian.list(), []);
  });

  it("two tokens of one name are refused, at once and when the second one comes later", async () => {
    const token = createToken("twin");
    const faulty = await faultyModule();
    await using custodian = await openOn(token, faulty.module);
    const key = await custodian.generate("ES256");
    createToken("twin");
    faulty.fail("C_SignInit", "CKR_DEVICE_REMOVED");
    faulty.fail("C_OpenSession", "CKR_DEVICE_REMOVED");
    await assert.rejects(signs(key), { code: "ERR_KEY_CUSTODY", message: /2 tokens/ });
    await assert.rejects(openOn(token), { code: "ERR_KEY_CUSTODY", message: /2 tokens/ });
  });

  it("no token of that name is no reason to wait for ever", async () => {
    const absent = { ...createToken("present"), label: "absent" };
    await assert.rejects(openOn(absent), busy);
  });

  describe("a call that fails", () => {
    const token = createToken("faults");
    it("for the way to the token is made again once, and told the second time", async () => {
      const faulty = await faultyModule();
      const custodian = await openOn(token, faulty.module);
      const key = await custodian.generate("ES256");
      for (const returnValue of [
        "CKR_SESSION_HANDLE_INVALID",
        "CKR_USER_NOT_LOGGED_IN",
        "CKR_OPERATION_ACTIVE",
        "CKR_DEVICE_REMOVED",
        "CKR_TOKEN_NOT_PRESENT",
        "CKR_GENERAL_ERROR",
        "CKR_KEY_HANDLE_INVALID",
        "CKR_VENDOR_DEFINED",
      ])
        for (const name of ["C_SignInit", "C_Sign"] as const) {
          faulty.fail(name, returnValue);
          await assertSigns(key);
          faulty.fail(name, returnValue, 2);
          await assert.rejects(signs(key), { ...busy, message: new RegExp(returnValue) });
          await assertSigns(key);
        }
      await custodian.destroy(key.id);
      await custodian[Symbol.asyncDispose]();
      assert.equal(faulty.count("C_CloseSession"), faulty.count("C_OpenSession"));
    });

    it("for a reason of its own is not made again, and keeps its sessions", async () => {
      const faulty = await faultyModule();
      await using custodian = await openOn(token, faulty.module);
      const key = await custodian.generate("ES256");
      const opened = faulty.count("C_OpenSession");
      faulty.fail("C_SignInit", "CKR_KEY_FUNCTION_NOT_PERMITTED");
      await assert.rejects(signs(key), { code: "ERR_KEY_CUSTODY", message: /NOT_PERMITTED/ });
      await assertSigns(key);
      assert.equal(faulty.count("C_OpenSession"), opened);
      await custodian.destroy(key.id);
    });

    it("together with many others in the pool heals once", async () => {
      const faulty = await faultyModule();
      await using custodian = await openOn(token, faulty.module, { signing: "async" });
      const key = await custodian.generate("ES256");
      const logins = faulty.count("C_Login");
      faulty.fail("C_SignAsync", "CKR_DEVICE_ERROR", 3);
      const made = await Promise.all(Array.from({ length: 12 }, async () => key.sign(input)));
      for (const signature of made)
        assert.equal(verifiesAsJws("ES256", key.publicJwk, input, signature), true);
      assert.equal(faulty.count("C_Login"), logins + 1);
      await custodian.destroy(key.id);
    });

    it("while a key is made leaves at most a whole one", async () => {
      const faulty = await faultyModule();
      await using custodian = await openOn(token, faulty.module);
      // Made, and then the answer was lost.
      faulty.answers.set("C_GenerateKeyPair", (real) => {
        real();
        faulty.answers.delete("C_GenerateKeyPair");
        throw new Error("CKR_DEVICE_ERROR:48");
      });
      const key = await custodian.generate("ES256");
      await assertSigns(key);
      const ids = await custodian.list();
      assert.equal(ids.length, 2);
      for (const id of ids) {
        await assertSigns(await custodian.open(id));
        await custodian.destroy(id);
      }
    });

    it("P5: a token that makes another key than it was asked for keeps none", async () => {
      const faulty = await faultyModule();
      await using custodian = await openOn(token, faulty.module);
      let reads = 0;
      faulty.answers.set("C_GetAttributeValue", (real) => {
        reads += 1;
        // The first is CKA_TOKEN of the new key.
        return reads === 1 ? [{ value: Buffer.from([0]) }] : real();
      });
      await assert.rejects(custodian.generate("ES256"), {
        code: "ERR_KEY_REFUSED",
        message: /CKA_TOKEN is not true/,
      });
      faulty.answers.clear();
      assert.deepEqual(await custodian.list(), []);
    });

    it("with a signature of another length, or one that is wrong, releases none", async () => {
      const faulty = await faultyModule();
      await using custodian = await openOn(token, faulty.module);
      const [ec, rsa] = [await custodian.generate("ES256"), await custodian.generate("RS256")];
      faulty.answers.set("C_Sign", () => Buffer.alloc(63));
      await assert.rejects(signs(ec), { code: "ERR_KEY_SIGNATURE" });
      faulty.answers.set("C_SignAsync", () => Promise.resolve(Buffer.alloc(384, 1)));
      await assert.rejects(signs(rsa), { code: "ERR_KEY_SIGNATURE" });
      faulty.answers.clear();
      for (const { id } of [ec, rsa]) await custodian.destroy(id);
    });

    it("without end is given up in time, and the module is not ended under it", async (t) => {
      const faulty = await faultyModule();
      const hung = Promise.withResolvers<Buffer>();
      const more = { signing: "async", sessions: 1, timeoutMs: 10_000 } as const;
      const custodian = await openOn(token, faulty.module, more);
      const key = await custodian.generate("ES256");
      faulty.answers.set("C_SignAsync", () => hung.promise);
      t.mock.timers.enable({ apis: ["setTimeout"] });
      // One hangs, the other waits for its session.
      const both = Promise.allSettled([signs(key), signs(key)]);
      await new Promise(setImmediate);
      t.mock.timers.tick(10_000);
      for (const one of await both)
        assert.equal(one.status === "rejected" && isCustodyAway(one.reason), true);
      await custodian.destroy(key.id);
      const closed = custodian[Symbol.asyncDispose]();
      await new Promise(setImmediate);
      t.mock.timers.tick(10_000);
      await closed;
      assert.equal(faulty.count("C_Finalize"), 0);
      hung.resolve(Buffer.alloc(64));
      await new Promise(setImmediate);
      assert.equal(faulty.count("C_Finalize"), 1);
    });

    it("for want of a mechanism says so before anything is made", async () => {
      const faulty = await faultyModule();
      await using custodian = await openOn(token, faulty.module);
      const EDDSA = 0x1057;
      const offered = faulty.cryptoki.C_GetMechanismList(
        faulty.cryptoki.C_GetSlotList(true)[0] ?? Buffer.alloc(8),
      );
      assert.equal(offered.includes(EDDSA), true);
      faulty.answers.set("C_GetMechanismList", () => offered.filter((one) => one !== EDDSA));
      await assert.rejects(custodian.generate("Ed25519"), { code: "ERR_KEY_ALG" });
      assert.equal(faulty.count("C_GenerateKeyPair"), 0);
    });
  });

  it("on hardware EC keys sign in the thread pool", async () => {
    const token = createToken("hardware");
    const faulty = await faultyModule();
    faulty.answers.set("C_GetSlotInfo", () => ({ flags: 0x5 }));
    await using custodian = await openOn(token, faulty.module);
    await assertSigns(await custodian.generate("ES256"));
    assert.deepEqual([faulty.count("C_Sign"), faulty.count("C_SignAsync")], [0, 2]);
  });
});
