import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  createSoftHsm,
  createToken,
  NO_SOFTHSM,
  runChild,
  softHsmEnv,
  SOFTHSM_MODULE,
} from "../testing/softhsm.ts";
import { verifiesAsJws } from "@redoubt/keys/testing/jws";
import { signBehindTheSigner } from "../testing/raw-token.ts";
import { loadPkcs11 } from "./module.ts";

const folder = mkdtempSync(join(tmpdir(), "redoubt-module-"));
after(() => rmSync(folder, { recursive: true }));
const refused = (message: RegExp) => ({ name: "KeyError", code: "ERR_KEY_MODULE", message });
const input = "header.payload";

/** Runs a script as a process of its own; what it prints last is JSON. */
async function runScript(
  softHsm: string,
  flags: readonly string[],
  lines: readonly string[],
): Promise<{ readonly [name: string]: unknown }> {
  const script = join(folder, "script.mjs");
  writeFileSync(script, lines.join("\n"));
  const { code, output } = await runChild(script, softHsmEnv(softHsm), flags);
  assert.equal(code, 0, output);
  return JSON.parse(output.trim().split("\n").at(-1) ?? "");
}

const imports = [
  `import { createRequire } from "node:module";`,
  `import { Secret } from ${JSON.stringify(import.meta.resolve("@redoubt/base"))};`,
  `import { loadPkcs11, openPkcs11Custodian } from ${JSON.stringify(import.meta.resolve("./index.ts"))};`,
  `const code = async (use) => { try { await use(); return "done"; } catch (error) { return error.code; } };`,
];

describe("a PKCS#11 module", () => {
  it("THREAT-32: is named whole, exists, and only its owner can write it", async () => {
    const path = join(folder, "module.so");
    await assert.rejects(loadPkcs11("libsofthsm2.so"), refused(/absolute/));
    await assert.rejects(loadPkcs11(path), refused(/cannot be examined/));
    await assert.rejects(loadPkcs11(folder), refused(/must be a file/));
    writeFileSync(path, "not a module");
    for (const mode of [0o620, 0o602]) {
      chmodSync(path, mode);
      await assert.rejects(loadPkcs11(path), refused(/only root or this user/));
    }
  });

  it("that is none does not load", { skip: NO_SOFTHSM }, async () => {
    const path = join(folder, "text.so");
    writeFileSync(path, "not a module", { mode: 0o600 });
    await assert.rejects(loadPkcs11(path), refused(/does not load/));
  });

  it("is loaded once", { skip: NO_SOFTHSM }, async () => {
    const [one, other] = await Promise.all([
      loadPkcs11(SOFTHSM_MODULE),
      loadPkcs11(SOFTHSM_MODULE),
    ]);
    assert.equal(one, other);
  });
});

describe("in a process of its own", { skip: NO_SOFTHSM }, () => {
  it("without pkcs11js the code says so", async () => {
    const hook = `import{registerHooks}from"node:module";registerHooks({resolve(s,c,n){if(s==="pkcs11js")throw new Error("absent");return n(s,c)}})`;
    const seen = await runScript(
      folder,
      [`--import=data:text/javascript,${encodeURIComponent(hook)}`],
      [
        ...imports,
        `const load = () => loadPkcs11(${JSON.stringify(SOFTHSM_MODULE)});`,
        `console.log(JSON.stringify({ code: await code(load) }));`,
      ],
    );
    assert.deepEqual(seen, { code: "ERR_KEY_MODULE" });
  });

  it("may not load native code unless it is allowed to", async () => {
    const seen = await runScript(
      folder,
      ["--permission", "--allow-fs-read=*"],
      [
        ...imports,
        `const load = () => loadPkcs11(${JSON.stringify(SOFTHSM_MODULE)});`,
        `console.log(JSON.stringify({ code: await code(load) }));`,
      ],
    );
    assert.deepEqual(seen, { code: "ERR_KEY_MODULE" });
  });

  it("goes on when the permission is dropped after loading, and THREAT-03: a thief's signature verifies", async () => {
    const softHsm = createSoftHsm();
    try {
      const token = createToken("dropped", "73519264", { ...process.env, ...softHsmEnv(softHsm) });
      const seen = await runScript(
        softHsm,
        ["--permission", "--allow-addons", "--allow-fs-read=*"],
        [
          ...imports,
          `const module = await loadPkcs11(${JSON.stringify(SOFTHSM_MODULE)});`,
          `process.permission.drop("addon");`,
          `const pin = new Secret(${JSON.stringify(token.pin.reveal())});`,
          `const custodian = await openPkcs11Custodian({ module, tokenLabel: "dropped", pin });`,
          `const keys = [await custodian.generate("ES256"), await custodian.generate("Ed25519")];`,
          `const native = createRequire(${JSON.stringify(import.meta.filename)}).resolve("pkcs11js/build/Release/pkcs11.node");`,
          `const again = await code(() => process.dlopen({ exports: {} }, native));`,
          `const signed = [];`,
          `for (const { alg, publicJwk, sign } of keys) {`,
          `  const signature = await sign(Buffer.from(${JSON.stringify(input)}));`,
          `  signed.push({ alg, publicJwk, signature: signature.toString("hex") });`,
          `}`,
          `await custodian[Symbol.asyncDispose]();`,
          `console.log(JSON.stringify({ again, signed }));`,
        ],
      );
      assert.equal(seen.again, "ERR_ACCESS_DENIED");
      const { signed } = seen;
      assert.ok(Array.isArray(signed) && signed.length === 2);
      for (const { alg, publicJwk, signature } of signed) {
        const made = Buffer.from(signature, "hex");
        assert.equal(verifiesAsJws(alg, publicJwk, Buffer.from(input), made), true);
        const stolen = await signBehindTheSigner({
          softHsm,
          token,
          publicJwk,
          input: Buffer.from("stolen"),
        });
        assert.equal(verifiesAsJws(alg, publicJwk, Buffer.from("stolen"), stolen), true);
      }
    } finally {
      rmSync(softHsm, { recursive: true });
    }
  });
});
