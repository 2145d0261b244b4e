import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chooseCustody, PLAIN_FILES, type CustodyOptions } from "./custody.ts";

const HSM: CustodyOptions = {
  custody: "pkcs11",
  pkcs11Module: "/usr/lib/hsm.so",
  pkcs11Token: "redoubt-{realm}",
  pkcs11PinFile: "hsm/pin-{realm}",
};
const choose = (options: CustodyOptions) => chooseCustody({ typedIn: "/srv" }, options);

test("without a word keys are sealed files", () => {
  assert.deepEqual(choose({}), PLAIN_FILES);
  assert.deepEqual(choose({ custody: "file" }), PLAIN_FILES);
});

test("a token for each realm; files are found where the command was typed", () => {
  const members = choose({ ...HSM, pkcs11Env: ["SOFTHSM2_CONF=/srv/a=b.conf"] });
  assert.deepEqual(members.consumer, {
    custody: {
      kind: "pkcs11",
      module: "/usr/lib/hsm.so",
      tokenLabel: "redoubt-consumer",
      pinFile: "/srv/hsm/pin-consumer",
    },
    custodyNeeds: { environment: { SOFTHSM2_CONF: "/srv/a=b.conf" } },
  });
  assert.match(JSON.stringify(members.enterprise), /"redoubt-enterprise".*pin-enterprise/);
});

test("options that contradict, are missing, or would share one token are refused", () => {
  const cases: readonly CustodyOptions[] = [
    { custody: "pkcs11" },
    { ...HSM, pkcs11Token: "redoubt", pkcs11PinFile: "pin" },
    { ...HSM, pkcs11Env: ["SOFTHSM2_CONF"] },
    { ...HSM, custody: "file" },
    { custody: "no-such-file.json" },
    { pkcs11Module: "/usr/lib/hsm.so" },
  ];
  for (const options of cases)
    assert.throws(() => choose(options), { code: "ERR_OPTION" }, JSON.stringify(options));
});

test("a file with the members of a signer's configuration, for every kind of custody", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "custody-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = (value: unknown) =>
    writeFileSync(
      join(folder, "kms.json"),
      typeof value === "string" ? value : JSON.stringify(value),
    );
  const read = () => chooseCustody({ typedIn: folder }, { custody: "kms.json" });
  write({ custody: { kind: "aws-kms", tags: ["a-{realm}", 1, null] } });
  assert.deepEqual(read().consumer, {
    custody: { kind: "aws-kms", tags: ["a-consumer", 1, null] },
  });
  for (const bad of [
    "{",
    "[]",
    { custodyNeeds: {} },
    { custody: { a: "{realm}" }, budget: {} },
    { custody: {} },
  ]) {
    write(bad);
    assert.throws(read, { code: "ERR_OPTION" }, JSON.stringify(bad));
  }
});
