import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { inspect } from "node:util";
import { errorLine, Secret } from "@redoubt/base";
import { faultyModule } from "../testing/faulty-cryptoki.ts";
import { openRawToken } from "../testing/raw-token.ts";
import { createToken, inSoftHsm } from "../testing/softhsm.ts";
import { openPkcs11Custodian, type Pkcs11Options } from "./open-custodian.ts";

const CKF_USER_PIN_COUNT_LOW = 0x1_0000;
const CKF_USER_PIN_FINAL_TRY = 0x2_0000;
const CKF_USER_PIN_LOCKED = 0x4_0000;
const WRONG = "60606060";
const denied = { name: "KeyError", code: "ERR_KEY_DENIED" };

const folder = mkdtempSync(join(tmpdir(), "redoubt-pin-"));
after(() => rmSync(folder, { recursive: true }));

async function setUp(label: string) {
  const token = createToken(label);
  const faulty = await faultyModule();
  const { module } = faulty;
  const open = (pin: Pkcs11Options["pin"]) =>
    openPkcs11Custodian({ module, tokenLabel: label, pin });
  return { token, faulty, open };
}

function file(name: string, content: string, mode: number): { readonly file: string } {
  const path = join(folder, name);
  writeFileSync(path, content, { mode });
  return { file: path };
}

inSoftHsm(import.meta.filename, () => {
  describe("a wrong PIN", () => {
    it("is tried once, and not again by this process", async () => {
      const { token, faulty, open } = await setUp("once");
      await assert.rejects(open(new Secret(WRONG)), { ...denied, message: /CKR_PIN_INCORRECT/ });
      {
        using raw = await openRawToken(token);
        // That login by hand took the mark away, so another wrong try would set it again.
        assert.equal(raw.cryptoki.C_GetTokenInfo(raw.slot).flags & CKF_USER_PIN_COUNT_LOW, 0);
      }
      assert.equal(faulty.count("C_Login"), 1);
      for (let again = 0; again < 3; again += 1)
        await assert.rejects(open(new Secret(WRONG)), { ...denied, message: /not tried again/ });
      assert.equal(faulty.count("C_Login"), 1);
      {
        using raw = await openRawToken(token);
        assert.equal(raw.cryptoki.C_GetTokenInfo(raw.slot).flags & CKF_USER_PIN_COUNT_LOW, 0);
      }
      assert.equal(faulty.count("C_CloseSession"), faulty.count("C_OpenSession"));
      assert.equal(faulty.count("C_Finalize"), faulty.count("C_Initialize"));
      await using right = await open(token.pin);
      assert.deepEqual(await right.list(), []);
    });

    it("THREAT-19: is in no error, and neither is the right one", async () => {
      const { token, open } = await setUp("silent");
      const error: unknown = await open(new Secret(WRONG)).catch((reason: unknown) => reason);
      const shown = inspect(error, { depth: null, showHidden: true }) + errorLine(error);
      assert.match(shown, /CKR_PIN_INCORRECT/);
      for (const pin of [WRONG, token.pin.reveal()]) assert.equal(shown.includes(pin), false);
    });

    it("after the PIN was changed under way is tried once, too", async () => {
      const { token, faulty, open } = await setUp("changed");
      await using custodian = await open(token.pin);
      const key = await custodian.generate("ES256");
      {
        using raw = await openRawToken(token);
        raw.cryptoki.C_SetPIN(raw.session, token.pin.reveal(), WRONG);
        raw.cryptoki.C_CloseAllSessions(raw.slot);
      }
      const before = faulty.count("C_Login");
      for (let again = 0; again < 3; again += 1)
        await assert.rejects(async () => key.sign(Buffer.from("x")), denied);
      assert.equal(faulty.count("C_Login"), before + 1);
    });

    it("does not come in beside a custodian of this process that is logged in", async () => {
      const { token, open } = await setUp("beside");
      await using custodian = await open(token.pin);
      await assert.rejects(open(new Secret(WRONG)), { ...denied, message: /another PIN/ });
      assert.deepEqual(await custodian.list(), []);
    });
  });

  for (const [name, flag] of [
    ["one try left", CKF_USER_PIN_FINAL_TRY],
    ["a locked PIN", CKF_USER_PIN_LOCKED],
  ] as const)
    it(`a token with ${name} is not logged in to, even with the right PIN`, async () => {
      const { token, faulty, open } = await setUp(name);
      faulty.answers.set("C_GetTokenInfo", (real) => ({ ...Object(real()), flags: flag }));
      await assert.rejects(open(token.pin), denied);
      assert.equal(faulty.count("C_Login"), 0);
      faulty.answers.clear();
      await using custodian = await open(token.pin);
      assert.deepEqual(await custodian.list(), []);
    });

  describe("a PIN file", () => {
    it("of mode 0600 opens the token, with or without a line break at its end", async () => {
      const { token, open } = await setUp("file");
      for (const end of ["", "\n", "\r\n"]) {
        await using custodian = await open(file("right", `${token.pin.reveal()}${end}`, 0o600));
        assert.equal(custodian.label, "pkcs11");
      }
    });

    it("THREAT-32: that others can read is refused before anything is tried", async () => {
      const { token, faulty, open } = await setUp("modes");
      for (const mode of [0o640, 0o604, 0o644]) {
        const loose = file(`mode-${mode}`, token.pin.reveal(), mode);
        await assert.rejects(open(loose), { name: "ServiceError", code: "ERR_FILE_MODE" });
      }
      await assert.rejects(open(file("empty", "\n", 0o600)), { code: "ERR_KEY_PASSPHRASE" });
      await assert.rejects(open({ file: join(folder, "absent") }), {
        code: "ERR_KEY_FILE",
        message: /absent cannot be read: expected a file of mode 0600/,
      });
      assert.equal(faulty.calls.size, 0);
    });
  });
});
