import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import { type Custodian } from "@redoubt/custody";
import { KeyError, type KeyErrorCode } from "@redoubt/keys";
import { CountingCustodian } from "../testing/counting-custodian.ts";
import { TestClock } from "@redoubt/testkit";
import { isCustodyFailure } from "./custody-health.ts";
import { openCustody } from "./open-custody.ts";
import { SignerCustody } from "./signer-custody.ts";

function opened(open: () => Promise<Custodian>, clock = new TestClock()): Promise<SignerCustody> {
  return SignerCustody.open({ label: "pkcs11", open, clock });
}

describe("SignerCustody", () => {
  it("is opened as soon as it can be, and once", async () => {
    const inner = new CountingCustodian();
    let tries = 0;
    const custody = await opened(async () => {
      tries += 1;
      if (tries < 3) throw new KeyError("ERR_KEY_BUSY", "Away");
      return inner;
    });
    assert.equal(custody.label, "pkcs11");
    await assert.rejects(custody.list(), { code: "ERR_KEY_BUSY" });
    const [list] = await Promise.all([custody.list(), custody.list(), custody.audit()]);
    assert.deepEqual([list, tries], [[], 3]);
    await custody[Symbol.asyncDispose]();
  });

  it("what is not installed is looked for again, and what ends a start is trouble once it runs", async () => {
    const inner = new CountingCustodian();
    let error: Error | undefined = new KeyError("ERR_KEY_MODULE", "Not there");
    let loaded = 0;
    const open = async () => {
      if (error) throw error;
      return inner;
    };
    const clock = new TestClock();
    const onLoaded = () => (loaded += 1);
    const custody = await SignerCustody.open({ label: "pkcs11", open, clock, onLoaded });
    await assert.rejects(custody.generate("ES256"), { code: "ERR_KEY_MODULE" });
    assert.deepEqual([custody.failure?.code, loaded], ["ERR_KEY_MODULE", 0]);
    for (error of [
      new KeyError("ERR_KEY_FILE", "/pin cannot be read"),
      new ServiceError("ERR_FILE_MODE", "/pin is open to others"),
    ]) {
      await assert.rejects(custody.list(), { code: "ERR_KEY_CUSTODY", cause: error });
      assert.equal(custody.failure?.code, "ERR_KEY_CUSTODY");
    }
    error = undefined;
    assert.deepEqual(await custody.list(), []);
    assert.deepEqual([custody.failure, loaded], [undefined, 1]);
  });

  it("does not start with what no waiting mends", async () => {
    for (const error of [
      new KeyError("ERR_KEY_PASSPHRASE", "Wrong"),
      new KeyError("ERR_KEY_FILE", "/pin cannot be read"),
      new ServiceError("ERR_FILE_MODE", "Open to others"),
    ])
      await assert.rejects(
        opened(() => Promise.reject(error)),
        { code: error.code },
      );
  });

  it("a cloud that is not installed, or set up wrongly, is a code to be shown", async () => {
    const clock = new TestClock();
    const codes: Record<string, KeyErrorCode | undefined> = {};
    for (const kind of ["aws-kms", "azure-keyvault", "google-kms"] as const) {
      const config = { custody: { kind, settings: { kind } } };
      const custody = await openCustody({ config, folder: "", clock });
      codes[kind] = custody.failure?.code;
    }
    assert.deepEqual(codes, {
      "aws-kms": "ERR_KEY_CUSTODY",
      "azure-keyvault": "ERR_KEY_CUSTODY",
      "google-kms": "ERR_KEY_CUSTODY",
    });
  });

  it("a key signs at once where custody does, and later where it does not", async () => {
    const inner = new CountingCustodian();
    await using custody = await opened(async () => inner);
    const key = await custody.generate("ES256");
    assert.equal(key.sign(Buffer.from("a")) instanceof Promise, false);
    await using slow = await opened(async () => ({
      label: "kms",
      generate: async (alg) => {
        const made = await inner.generate(alg);
        return { ...made, sign: async (input) => made.sign(input) };
      },
      open: (id) => inner.open(id),
      list: () => inner.list(),
      destroy: (id) => inner.destroy(id),
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    }));
    const later = (await slow.generate("ES256")).sign(Buffer.from("a"));
    assert.ok(later instanceof Promise);
    assert.equal((await later).length, 64);
    assert.deepEqual(await slow.audit(), []);
  });

  it("an error that is not custody's says nothing outside, and that the entry is committed", async () => {
    const inner = new CountingCustodian();
    await using custody = await opened(async () => inner);
    const key = await custody.generate("ES256");
    inner.before = () => {
      throw new RangeError("/secret/path");
    };
    assert.throws(() => key.sign(Buffer.from("a")), {
      code: "ERR_INTERNAL",
      message: "Custody did not sign",
      fields: { committed: true },
    });
    assert.equal(custody.failure, undefined);
    custody.check();
  });

  it("a pause is no shorter than custody asks, 1 s at least and 30 s at most", async () => {
    const inner = new CountingCustodian();
    const clock = new TestClock();
    await using custody = await opened(async () => inner, clock);
    const key = await custody.generate("ES256");
    for (const [asked, pause] of [
      [0.2, 1],
      [7, 7],
      [3600, 30],
      [undefined, 5],
    ] as const) {
      inner.before = () => {
        const options = asked === undefined ? {} : { retryAfterSeconds: asked };
        throw new KeyError("ERR_KEY_BUSY", "Busy", options);
      };
      assert.throws(() => key.sign(Buffer.from("a")), { code: "ERR_KEY_BUSY" });
      clock.forward(pause - 0.001);
      assert.throws(() => custody.check(), { code: "ERR_KEY_BUSY" });
      clock.forward(0.001);
      custody.check();
      inner.before = () => undefined;
      await key.sign(Buffer.from("a"));
      custody.check();
    }
  });

  it("a signature that was under way ends no pause: custody still asks for it", async () => {
    const inner = new CountingCustodian();
    const clock = new TestClock();
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    let isFirst = true;
    await using custody = await opened(async () => {
      const made = await inner.generate("ES256");
      const sign = (input: Uint8Array) => {
        if (!isFirst) return made.sign(input);
        isFirst = false;
        return promise;
      };
      return Object.assign(inner, { open: async () => ({ ...made, sign }) });
    }, clock);
    const key = await custody.open("any");
    const early = key.sign(Buffer.from("a"));
    inner.before = () => {
      throw new KeyError("ERR_KEY_BUSY", "Busy", { retryAfterSeconds: 9 });
    };
    assert.throws(() => key.sign(Buffer.from("b")), { code: "ERR_KEY_BUSY" });
    clock.forward(2);
    resolve(Buffer.alloc(64));
    await early;
    assert.throws(() => custody.check(), { code: "ERR_KEY_BUSY" });
    // It is there, though: readiness counts from its last success.
    const code = () => custody.failure?.code;
    clock.forward(2.999);
    assert.equal(code(), undefined);
    clock.forward(0.001);
    assert.equal(code(), "ERR_KEY_BUSY");
  });

  it("a list that succeeds ends no trouble of signatures before 10 s without one", async () => {
    const inner = new CountingCustodian();
    const clock = new TestClock();
    await using custody = await opened(async () => inner, clock);
    const key = await custody.generate("ES256");
    const code = () => custody.failure?.code;
    inner.before = (call) => {
      if (call === "sign") throw new KeyError("ERR_KEY_DENIED", "Denied");
    };
    const fails = () => assert.throws(() => key.sign(Buffer.from("a")), { code: "ERR_KEY_DENIED" });
    fails();
    clock.forward(9.999);
    await custody.list();
    assert.equal(code(), "ERR_KEY_DENIED");
    fails();
    clock.forward(9.999);
    await custody.list();
    assert.equal(code(), "ERR_KEY_DENIED");
    clock.forward(0.001);
    await custody.list();
    assert.equal(code(), undefined);
    fails();
    inner.before = () => undefined;
    await key.sign(Buffer.from("a"));
    assert.equal(code(), undefined);
  });

  it("closes what it opened, also while it opens, and opens nothing afterwards", async () => {
    let closed = 0;
    const inner = new CountingCustodian();
    const { promise, resolve } = Promise.withResolvers<Custodian>();
    let isAway = true;
    const custody = await opened(() => {
      if (isAway) return Promise.reject(new KeyError("ERR_KEY_BUSY", "Away"));
      return promise;
    });
    isAway = false;
    const list = custody.list();
    const over = custody[Symbol.asyncDispose]();
    resolve(Object.assign(inner, { [Symbol.asyncDispose]: async () => void (closed += 1) }));
    await over;
    await list;
    assert.equal(closed, 1);
    const late = await opened(() => Promise.reject(new KeyError("ERR_KEY_BUSY", "Away")));
    await late[Symbol.asyncDispose]();
    await assert.rejects(late.list(), { code: "ERR_KEY_UNKNOWN" });
  });

  it("what is said of one key is no fault of custody", () => {
    for (const code of ["ERR_KEY_UNKNOWN", "ERR_KEY_REFUSED", "ERR_KEY_DISABLED"] as const)
      assert.equal(isCustodyFailure(new KeyError(code, "One key")), false);
    assert.equal(isCustodyFailure(new ServiceError("ERR_KEY_BUSY", "Not of custody")), false);
  });
});
