import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Secret } from "@redoubt/base";
import { openFileCustodian } from "./file-custodian.ts";
import { custodyContract } from "./testing/custody-contract.ts";

const root = mkdtempSync(join(tmpdir(), "redoubt-custody-"));
after(() => rmSync(root, { recursive: true }));
function freshFolder(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

const besideFolder = freshFolder("contract-beside");
custodyContract("file, passphrase beside it", async () =>
  openFileCustodian({ folder: besideFolder, passphrase: "beside" }),
);
const humanFolder = freshFolder("contract-human");
// Fewer algorithms: each use of this passphrase costs 0.2 s by design.
custodyContract(
  "file, a human's passphrase",
  async () => openFileCustodian({ folder: humanFolder, passphrase: new Secret("correct horse") }),
  ["ES256"],
);

describe("file custody", () => {
  it("says what it is", () => {
    const folder = freshFolder("labels");
    assert.equal(openFileCustodian({ folder, passphrase: "beside" }).label, "plain-file");
    assert.equal(openFileCustodian({ folder, passphrase: new Secret("x") }).label, "sealed-file");
  });

  it("without its folder is away: no key is called unknown, made or ended, and what is open signs", async () => {
    const folder = freshFolder("goes");
    await using custodian = openFileCustodian({ folder, passphrase: "beside" });
    const key = await custodian.generate("ES256");
    renameSync(folder, `${folder}.away`);
    const message = /goes is not there: expected the 0700 folder/;
    await assert.rejects(custodian.list(), { code: "ERR_KEY_FILE", message });
    for (const call of [
      () => custodian.open(key.id),
      () => custodian.generate("ES256"),
      () => custodian.destroy(key.id),
    ])
      await assert.rejects(call, { name: "KeyError", code: "ERR_KEY_BUSY", message });
    assert.throws(() => openFileCustodian({ folder, passphrase: "beside" }), {
      code: "ERR_KEY_FILE",
      message,
    });
    await key.sign(Buffer.from("x"));
    renameSync(`${folder}.away`, folder);
    assert.deepEqual(await custodian.list(), [key.id]);
  });

  it("THREAT-32: refuses a folder that others can enter, and closes every file", async () => {
    const folder = freshFolder("modes");
    chmodSync(folder, 0o750);
    const open = () => openFileCustodian({ folder, passphrase: "beside" });
    assert.throws(open, { code: "ERR_FILE_MODE" });
    assert.deepEqual(readdirSync(folder), []);
    chmodSync(folder, 0o700);
    await using custodian = open();
    await custodian.generate("Ed25519");
    assert.equal(readdirSync(folder).length, 2);
    for (const name of readdirSync(folder))
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
  });

  it("opens with the right passphrase only, so that no key is sealed with a mistyped one", async () => {
    const folder = freshFolder("mistyped");
    await using custodian = openFileCustodian({ folder, passphrase: new Secret("right") });
    await custodian.generate("Ed25519");
    const files = readdirSync(folder);
    const mistyped = () => openFileCustodian({ folder, passphrase: new Secret("wrong") });
    assert.throws(mistyped, { code: "ERR_KEY_PASSPHRASE" });
    assert.deepEqual(readdirSync(folder), files);
  });

  it("never replaces a lost passphrase while there are keys", async () => {
    const folder = freshFolder("lost");
    await using custodian = openFileCustodian({ folder, passphrase: "beside" });
    await custodian.generate("Ed25519");
    rmSync(join(folder, "passphrase"));
    const open = () => openFileCustodian({ folder, passphrase: "beside" });
    assert.throws(open, { code: "ERR_KEY_PASSPHRASE" });
    assert.equal(readdirSync(folder).includes("passphrase"), false);
  });

  it("goes on with the other keys when one file went bad", async () => {
    const folder = freshFolder("rotten");
    await using custodian = openFileCustodian({ folder, passphrase: "beside" });
    const made = [await custodian.generate("Ed25519"), await custodian.generate("Ed25519")];
    const [bad = "", good = ""] = made.map(({ id }) => id).toSorted();
    writeFileSync(join(folder, `${bad}.Ed25519.key`), "{}");
    await using again = openFileCustodian({ folder, passphrase: "beside" });
    await assert.rejects(again.open(bad), { code: "ERR_KEY_FILE" });
    assert.equal((await again.open(good)).id, good);
  });

  it("lists no file that is not a whole key", async () => {
    const folder = freshFolder("foreign");
    await using custodian = openFileCustodian({ folder, passphrase: "beside" });
    const { id } = await custodian.generate("ES256");
    const whole = readFileSync(join(folder, `${id}.ES256.key`));
    const other = "0".repeat(32);
    for (const name of [
      `${other}.ES256.key.new`,
      `${other}.HS256.key`,
      `${other}.ES256.pem`,
      "x.ES256.key",
    ])
      writeFileSync(join(folder, name), whole, { mode: 0o600 });
    assert.deepEqual(await custodian.list(), [id]);
  });

  it("takes no key for one of another algorithm", async () => {
    const folder = freshFolder("renamed");
    await using custodian = openFileCustodian({ folder, passphrase: "beside" });
    const { id } = await custodian.generate("Ed25519");
    renameSync(join(folder, `${id}.Ed25519.key`), join(folder, `${id}.ES256.key`));
    await assert.rejects(custodian.open(id), { code: "ERR_KEY_FILE" });
  });
});
