import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { appraise, parseEvidence } from "@redoubt/evidence";
import { openAttester, softImageValue } from "./index.ts";

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
    writeFileSync(seedFile, "short", { mode: 0o600 });
    await assert.rejects(openAttester({ kind: "soft", seedFile }, "x"));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("settings of an attester are held to their form, and a TPM that is not there is a code", async () => {
  for (const settings of [
    { kind: "paper" },
    { kind: "soft" },
    { kind: "soft", seedFile: "x", device: "y" },
    { kind: "tpm", platform: "tpm2" },
    { kind: "tpm", platform: "soft", device: "/dev/tpmrm0" },
    { kind: "tpm", platform: "tpm2", device: "/dev/tpmrm0", socket: "x" },
    { kind: "tpm", platform: "tpm2", device: "/dev/tpmrm0", more: "x" },
  ])
    await assert.rejects(openAttester(settings, "x"), (error: Error) => {
      return "code" in error && /^ERR_(?:CONFIG|REQUEST_MEMBER)$/.test(String(error.code));
    });
  await assert.rejects(
    openAttester({ kind: "tpm", platform: "tpm2", device: "/dev/no-such-tpm" }, "x"),
    { code: "ERR_TPM_TRANSPORT" },
  );
});
