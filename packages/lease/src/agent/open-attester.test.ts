import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { appraise, parseEvidence } from "@redoubt/evidence";
import { makeSnp } from "@redoubt/evidence/testing/snp-evidence";
import { pem } from "@redoubt/evidence/testing/tdx-evidence";
import { openAttester, softImageValue } from "./index.ts";
import { readIfThere } from "./read-bounded.ts";
import { readSnpChain } from "./snp-chain.ts";

const NOTHING = Buffer.alloc(0);

test("a soft attester with the same seed is the same machine, and measures its image", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-attester-"));
  try {
    const seedFile = join(folder, "seed");
    writeFileSync(seedFile, Buffer.alloc(32, 7).toString("base64url"), { mode: 0o600 });
    const data = Buffer.alloc(32, 1);
    const names = new Set<string>();
    for (const image of ["redoubt 1", "redoubt 1", "redoubt 2"]) {
      await using attester = await openAttester({ kind: "soft", seedFile }, image);
      const evidence = parseEvidence(await attester.evidence(data));
      const refused = (() => {
        try {
          return appraise(evidence, { now: 0, expected: data });
        } catch (error) {
          return error;
        }
      })();
      assert.ok(refused instanceof Error && "found" in refused);
      const [name = ""] = String(refused.found).split(",");
      names.add(name);
      const { claims } = appraise(evidence, {
        now: 0,
        expected: data,
        enrolledKeys: new Map([[name, "soft"]]),
      });
      assert.equal(Object(claims["pcrs"])["11"], softImageValue(image));
      assert.deepEqual([claims["platform"], claims["hardware"]], ["soft", false]);
    }
    assert.equal(names.size, 1);
    // The same 32 bytes in hexadecimal are the same machine.
    writeFileSync(seedFile, `${"07".repeat(32)}\n`, { mode: 0o600 });
    await using again = await openAttester({ kind: "soft", seedFile }, "redoubt 1");
    const evidence = parseEvidence(await again.evidence(data));
    const enrolledKeys = new Map([...names].map((name) => [name, "soft"] as const));
    appraise(evidence, { now: 0, expected: data, enrolledKeys });
    for (const text of ["short", "07".repeat(31), `${"07".repeat(31)}0x`]) {
      writeFileSync(seedFile, text, { mode: 0o600 });
      // One after the other: there is one file.
      await assert.rejects(openAttester({ kind: "soft", seedFile }, "x"), (error: Error) => {
        assert.ok("code" in error && error.code === "ERR_CONFIG");
        assert.ok(!error.message.includes(text) && error.cause === undefined);
        return true;
      });
    }
    writeFileSync(seedFile, "07".repeat(40), { mode: 0o600 });
    await assert.rejects(openAttester({ kind: "soft", seedFile }, "x"), { code: "ERR_FILE_SIZE" });
    writeFileSync(seedFile, "07".repeat(32));
    chmodSync(seedFile, 0o644);
    await assert.rejects(openAttester({ kind: "soft", seedFile }, "x"), { code: "ERR_FILE_MODE" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const TPM = { kind: "tpm", platform: "tpm2", device: "/dev/no-such-tpm" } as const;
const AZURE = { kind: "azure", device: "/dev/no-such-tpm", chain: ["thim.json"] } as const;

test("settings of an attester are held to their form, and a TPM that is not there is a code", async () => {
  for (const settings of [
    {},
    { kind: "paper" },
    { kind: "soft" },
    { kind: "soft", seedFile: "" },
    { kind: "soft", seedFile: "x", device: "y" },
    { kind: "tpm", platform: "tpm2" },
    { kind: "tpm", platform: "swtpm" },
    { ...TPM, platform: "soft" },
    { ...TPM, socket: "x" },
    { ...TPM, more: "x" },
    { ...TPM, eventLog: 5 },
    { kind: "tpm", platform: "tpm2", socket: "x" },
    { kind: "tsm", device: "/dev/tpmrm0" },
    { kind: "tsm", privilegeLevel: 4 },
    { kind: "tsm", privilegeLevel: -1 },
    { kind: "tsm", privilegeLevel: "0" },
    { kind: "tsm", chain: "vcek.pem" },
    { kind: "tsm", chain: [] },
    { kind: "tsm", chain: ["a", "b", "c", "d"] },
    { kind: "tsm", chain: ["a\0b"] },
    { kind: "tsm", userspaceLog: "x" },
    { kind: "azure", device: "/dev/tpmrm0" },
    { ...AZURE, chain: [] },
    { ...AZURE, platform: "tpm2" },
    { ...AZURE, socket: "x" },
  ])
    await assert.rejects(
      openAttester(settings, "x"),
      { code: "ERR_CONFIG" },
      JSON.stringify(settings),
    );
  for (const settings of [
    TPM,
    AZURE,
    { kind: "tpm", platform: "swtpm", socket: "/no/such/socket" },
    { ...TPM, eventLog: "a", userspaceLog: "b" },
  ])
    await assert.rejects(openAttester(settings, "x"), { code: "ERR_TPM_TRANSPORT" });
});

test("a machine whose kernel makes no reports opens, and says so when it is asked", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-attester-"));
  try {
    const data = Buffer.alloc(32, 1);
    await using nowhere = await openAttester({ kind: "tsm", folder: join(folder, "none") }, "x");
    await assert.rejects(nowhere.evidence(data), { code: "ERR_ATTESTER_TSM" });
    assert.equal("openCredential" in nowhere, false);
    // A folder of a disk: nothing makes attributes there. What was made in it is gone.
    await using plain = await openAttester({ kind: "tsm", folder, chain: ["x"] }, "x");
    await assert.rejects(plain.evidence(data), { code: "ERR_ATTESTER_TSM" });
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a file that may be missing, and one that cannot be read", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-attester-"));
  try {
    const path = join(folder, "CCEL");
    assert.equal(await readIfThere(path), undefined);
    writeFileSync(path, "log");
    assert.deepEqual(await readIfThere(path), Buffer.from("log"));
    await assert.rejects(readIfThere(folder), { code: "EISDIR" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("certificates are read from PEM, DER and what Azure's host writes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-chain-"));
  try {
    const chain = makeSnp().evidence.chain.map((der) => Buffer.from(der));
    const [key = NOTHING, issuer = NOTHING, root = NOTHING] = chain;
    const file = (name: string, content: string | Buffer): string => {
      const path = join(folder, name);
      writeFileSync(path, content);
      return path;
    };
    const thim = { vcekCert: pem(key), certificateChain: pem(issuer, root), tcbm: "00" };
    for (const files of [
      [file("all.pem", pem(...chain))],
      [file("key.der", key), file("issuers.pem", pem(issuer, root))],
      [file("key.der", key), file("issuer.der", issuer), file("root.der", root)],
      [file("thim.json", JSON.stringify(thim))],
    ])
      assert.deepEqual(await readSnpChain(files), chain);
    for (const content of [
      "",
      "text",
      "{",
      "{}",
      JSON.stringify({ ...thim, vcekCert: 5 }),
      JSON.stringify({ vcekCert: thim.vcekCert }),
      pem(...chain, root),
      Buffer.alloc(65_537, 0x30),
    ])
      await assert.rejects(readSnpChain([file("wrong", content)]), { code: "ERR_ATTESTER_FILE" });
    await assert.rejects(readSnpChain([join(folder, "missing")]), { code: "ERR_ATTESTER_FILE" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
