import assert from "node:assert/strict";
import { chmodSync, copyFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { errorLine, Secret } from "@redoubt/base";
import type { CustodyKey } from "@redoubt/custody";
import type { KeyErrorCode } from "@redoubt/keys";
import { openPkcs11Custodian, type Pkcs11Options } from "@redoubt/custody/pkcs11";
import { faultyModule } from "@redoubt/custody/testing/faulty-cryptoki";
import { openRawToken } from "@redoubt/custody/testing/raw-token";
import { createToken, inSoftHsm, SOFTHSM_MODULE } from "@redoubt/custody/testing/softhsm";
import { Deployment, refusalOf, WANTED } from "../testing/deployment.ts";
import { TestClock } from "@redoubt/testkit";
import { SignerCustody } from "./signer-custody.ts";

type Faulty = Awaited<ReturnType<typeof faultyModule>>;
type CallName = Parameters<Faulty["fail"]>[0];

const input = Buffer.from("header.payload");
/** Longer than every pause: what is well again is found by the next call. */
const LONGEST_PAUSE_SECONDS = 30;
/** Longer than the moment for which absence is not told. */
const MOMENT_SECONDS = 3;

interface Step {
  /** How far the way to a signature has come. */
  readonly state: string;
  readonly call: CallName;
  /** What the call fails with, each time until it is well again. */
  readonly failures: readonly string[];
  readonly code: KeyErrorCode;
  /** Whether a list, as the look of a signer without requests makes it, meets the failure too. */
  readonly isListed: boolean;
}

const GONE = ["CKR_DEVICE_REMOVED", "CKR_DEVICE_ERROR", "CKR_TOKEN_NOT_PRESENT"] as const;
const VOID = ["CKR_SESSION_HANDLE_INVALID", "CKR_SESSION_CLOSED", "CKR_CRYPTOKI_NOT_INITIALIZED"];
const UNSAID = ["CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "CKR_HOST_MEMORY", "CKR_DEVICE_MEMORY"];
const NO_OBJECT = ["CKR_OBJECT_HANDLE_INVALID", "CKR_KEY_HANDLE_INVALID"];

const away = { code: "ERR_KEY_BUSY", isListed: true } as const;
const STEPS: readonly Step[] = [
  { ...away, state: "loaded", call: "C_Initialize", failures: UNSAID },
  {
    ...away,
    state: "loaded",
    call: "C_Initialize",
    failures: ["CKR_CANT_LOCK", "CKR_NEED_TO_CREATE_THREADS"],
    code: "ERR_KEY_MODULE",
  },
  { ...away, state: "initialised", call: "C_GetSlotList", failures: [...UNSAID, ...VOID] },
  {
    ...away,
    state: "initialised",
    call: "C_GetTokenInfo",
    failures: [...GONE, ...UNSAID, "CKR_SLOT_ID_INVALID", "CKR_TOKEN_NOT_RECOGNIZED"],
  },
  {
    ...away,
    state: "slot found",
    call: "C_OpenSession",
    failures: [...GONE, ...UNSAID, "CKR_SESSION_COUNT", "CKR_SLOT_ID_INVALID"],
  },
  {
    ...away,
    state: "session open",
    call: "C_Login",
    failures: [...GONE, ...UNSAID, ...VOID, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN"],
  },
  {
    ...away,
    state: "session open",
    call: "C_Login",
    failures: ["CKR_PIN_LOCKED", "CKR_PIN_EXPIRED", "CKR_USER_PIN_NOT_INITIALIZED"],
    code: "ERR_KEY_DENIED",
  },
  {
    ...away,
    state: "logged in",
    call: "C_FindObjectsInit",
    failures: [...GONE, ...UNSAID, ...VOID, "CKR_USER_NOT_LOGGED_IN", "CKR_OPERATION_ACTIVE"],
  },
  { ...away, state: "logged in", call: "C_FindObjects", failures: [...GONE, ...UNSAID, ...VOID] },
  {
    ...away,
    state: "key found",
    call: "C_GetAttributeValue",
    failures: [...GONE, ...UNSAID, ...VOID, ...NO_OBJECT],
  },
  {
    ...away,
    state: "key found",
    call: "C_SignInit",
    failures: [...GONE, ...UNSAID, ...VOID, ...NO_OBJECT, "CKR_USER_NOT_LOGGED_IN"],
    isListed: false,
  },
  ...(["C_Sign", "C_SignAsync"] as const).map((call) => ({
    ...away,
    state: "signing",
    call,
    failures: [...GONE, ...UNSAID, ...VOID, "CKR_OPERATION_NOT_INITIALIZED"],
    isListed: false,
  })),
];

async function codeOf(call: () => unknown): Promise<string> {
  return await refusalOf(Promise.resolve().then(call));
}

class Machine implements AsyncDisposable {
  readonly faulty: Faulty;
  readonly clock: TestClock;
  readonly custody: SignerCustody;

  private constructor(faulty: Faulty, clock: TestClock, custody: SignerCustody) {
    this.faulty = faulty;
    this.clock = clock;
    this.custody = custody;
  }

  static async open(options: Omit<Pkcs11Options, "module" | "clock">, step?: Step, failure = "") {
    const faulty = await faultyModule();
    if (step) faulty.fail(step.call, failure, Infinity);
    const clock = new TestClock();
    const open = () => openPkcs11Custodian({ ...options, module: faulty.module, clock });
    return new Machine(faulty, clock, await SignerCustody.open({ label: "pkcs11", open, clock }));
  }

  /** The module is ended behind our back: each step of the way is taken anew. */
  startOver(): void {
    this.faulty.module.cryptoki.C_Finalize();
  }

  /** Readiness, once what fails is more than a moment. */
  async problem(use: () => unknown): Promise<string | undefined> {
    await codeOf(use);
    this.clock.forward(MOMENT_SECONDS);
    return this.custody.failure?.code;
  }

  async assertBack(key: () => Promise<CustodyKey>): Promise<void> {
    this.faulty.answers.clear();
    this.clock.forward(LONGEST_PAUSE_SECONDS);
    await (await key()).sign(input);
    this.custody.check();
    assert.equal(this.custody.failure, undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.custody[Symbol.asyncDispose]();
  }
}

inSoftHsm(import.meta.filename, () => {
  const folder = dirname(process.env["SOFTHSM2_CONF"] ?? "");
  const token = createToken("returns");
  const pinFile = join(folder, "pin");
  writeFileSync(pinFile, token.pin.reveal(), { mode: 0o600 });
  const options = { tokenLabel: token.label, pin: { file: pinFile } };

  describe("THREAT-05: states × failures × return", () => {
    for (const step of STEPS)
      it(`${step.state}: ${step.call} fails: ${step.code}`, async () => {
        const signing = step.call === "C_SignAsync" ? "async" : "sync";
        for (const failure of step.failures) {
          const place = `${step.call} ${failure}`;
          const running = await Machine.open({ ...options, signing });
          const key = await running.custody.generate("ES256");
          running.startOver();
          running.faulty.fail(step.call, failure, Infinity);
          assert.equal(await codeOf(() => key.sign(input)), step.code, place);
          if (step.isListed)
            assert.equal(await codeOf(() => running.custody.list()), step.code, place);
          assert.equal(await running.problem(() => key.sign(input)), step.code, place);
          await running.assertBack(async () => key);
          await running[Symbol.asyncDispose]();

          await using starting = await Machine.open({ ...options, signing }, step, failure);
          const { custody } = starting;
          // Not `unknown`, which would be the end of the key.
          assert.equal(await codeOf(() => custody.open(key.id)), step.code, place);
          if (step.isListed)
            assert.equal(await starting.problem(() => custody.list()), step.code, place);
          await starting.assertBack(() => custody.open(key.id));
          await custody.destroy(key.id);
        }
      });

    it("not loaded: the module is absent, open to others, none at all: ERR_KEY_MODULE", async () => {
      const clock = new TestClock();
      const module = join(folder, "module.so");
      let loaded = 0;
      await using custody = await SignerCustody.open({
        label: "pkcs11",
        open: () => openPkcs11Custodian({ ...options, module, clock }),
        clock,
        onLoaded: () => (loaded += 1),
      });
      for (const prepare of [
        () => undefined,
        () => writeFileSync(module, "none"),
        () => chmodSync(module, 0o602),
        () => rmSync(module),
      ]) {
        prepare();
        assert.equal(await codeOf(() => custody.list()), "ERR_KEY_MODULE");
        assert.equal(custody.failure?.code, "ERR_KEY_MODULE");
        // The permission to load native code is kept for as long as it is needed, and no longer.
        assert.equal(loaded, 0);
      }
      copyFileSync(SOFTHSM_MODULE, module);
      clock.forward(LONGEST_PAUSE_SECONDS);
      const key = await custody.generate("ES256");
      await key.sign(input);
      assert.deepEqual([custody.failure, loaded], [undefined, 1]);
      await custody.destroy(key.id);
    });

    it("session open: a PIN that is refused is tried once, and another one once it is in the file", async () => {
      const pins = [token.pin.reveal(), "60606060", "61616161"] as const;
      await using machine = await Machine.open(options);
      const { custody, faulty, clock } = machine;
      const key = await custody.generate("ES256");
      {
        using raw = await openRawToken(token);
        raw.cryptoki.C_SetPIN(raw.session, pins[0], pins[1]);
      }
      machine.startOver();
      const refused = async (logins: number) => {
        const before = faulty.count("C_Login");
        for (let again = 0; again < 4; again += 1) {
          assert.equal(await machine.problem(() => key.sign(input)), "ERR_KEY_DENIED");
          clock.forward(LONGEST_PAUSE_SECONDS);
        }
        assert.equal(faulty.count("C_Login") - before, logins);
      };
      await refused(1);
      rmSync(pinFile);
      await refused(0);
      assert.match(errorLine(custody.failure), /no other can be read: .*pin cannot be read/);
      writeFileSync(pinFile, pins[2], { mode: 0o600 });
      await refused(1);
      writeFileSync(pinFile, pins[1], { mode: 0o600 });
      await machine.assertBack(async () => key);
      await custody.destroy(key.id);
      using raw = await openRawToken({ ...token, pin: new Secret(pins[1]) });
      raw.cryptoki.C_SetPIN(raw.session, pins[1], pins[0]);
      writeFileSync(pinFile, pins[0], { mode: 0o600 });
    });

    it("loaded: a module that does not end is ended by a later try, never under a call", async () => {
      await using machine = await Machine.open({ ...options, signing: "async" });
      const { custody, faulty } = machine;
      const key = await custody.generate("ES256");
      const hung = Promise.withResolvers<Buffer>();
      faulty.answers.set("C_SignAsync", () => hung.promise);
      const signing = codeOf(() => key.sign(input));
      await new Promise(setImmediate);
      faulty.answers.delete("C_SignAsync");
      faulty.fail("C_GetSlotList", "CKR_DEVICE_REMOVED", Infinity);
      faulty.fail("C_OpenSession", "CKR_DEVICE_REMOVED", Infinity);
      const ended = faulty.count("C_Finalize");
      assert.equal(await codeOf(() => key.sign(input)), "ERR_KEY_BUSY");
      assert.equal(faulty.count("C_Finalize"), ended);
      hung.resolve(Buffer.alloc(64));
      await signing;
      faulty.fail("C_Finalize", "CKR_GENERAL_ERROR", Infinity);
      assert.equal(await machine.problem(() => key.sign(input)), "ERR_KEY_BUSY");
      machine.clock.forward(LONGEST_PAUSE_SECONDS);
      assert.equal(await codeOf(() => key.sign(input)), "ERR_KEY_BUSY");
      assert.ok(faulty.count("C_Finalize") > ended);
      await machine.assertBack(async () => key);
      await custody.destroy(key.id);
    });
  });

  it("THREAT-05: a running signer whose tokens' folder goes and comes back signs again by itself", async () => {
    await using deployment = await Deployment.start();
    const { clock, events, monitor } = deployment;
    const custody = { kind: "pkcs11", module: SOFTHSM_MODULE, tokenLabel: token.label, pinFile };
    const signer = await deployment.openReady({ custodian: undefined }, { custody });
    const client = deployment.client();
    const [{ head }, size] = [await client.request(WANTED), deployment.ledger.registry.size];
    const tokens = join(folder, "tokens");
    const isReady = async () => (await client.request({ op: "metadata" })).head["ready"];

    renameSync(tokens, `${tokens}.away`);
    for (let seconds = 0; seconds < 10; seconds += 1) {
      assert.equal(await refusalOf(client.request(WANTED)), "ERR_KEY_BUSY");
      clock.forward(1);
      await signer.tick().catch(() => undefined);
      if (seconds > MOMENT_SECONDS) assert.equal(await isReady(), false);
    }
    assert.match(String(Reflect.get(await signer.status(), "reason")), /^ERR_KEY_BUSY: /);
    await monitor.told.first(({ kind }) => kind === "custody-trouble");
    renameSync(`${tokens}.away`, tokens);
    for (let seconds = 0; (await isReady()) !== true; seconds += 1) {
      assert.ok(seconds <= LONGEST_PAUSE_SECONDS, "not back in time");
      clock.forward(1);
      await signer.tick().catch(() => undefined);
      await new Promise(setImmediate);
    }
    assert.equal((await client.request(WANTED)).head["kid"], head["kid"]);
    // One line each way, and nothing was said of any key.
    await events.named("custody_back");
    assert.deepEqual([events.count("custody_trouble"), events.count("custody_back")], [1, 1]);
    assert.equal(deployment.ledger.registry.size, size);
  });
});
