import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Secret } from "@redoubt/base";
import { encodeRootKey, parseRootKey } from "@redoubt/registry";
import { createRootKeyFile, openRootKeyFile } from "./key.ts";

describe("a root key's file", () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-root-key-"));
  after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "alice.root");
  const passphrase = new Secret("correct horse battery");
  const made = createRootKeyFile(path, "alice", passphrase);

  it("opens with its passphrase alone, and signs what its public part says", () => {
    assert.equal(parseRootKey(made).name, "alice");
    assert.deepEqual(encodeRootKey("alice", openRootKeyFile(path, passphrase)), made);
    assert.throws(() => openRootKeyFile(path, new Secret("correct horse")), {
      code: "ERR_KEY_PASSPHRASE",
    });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.match(readFileSync(path, "utf8"), /"kdf":"scrypt","kind":"root-key"/);
  });

  it("is never written over, and has a plain name", () => {
    const before = readFileSync(path);
    assert.throws(() => createRootKeyFile(path, "alice", passphrase), { code: "ERR_KEY_FILE" });
    assert.deepEqual(readFileSync(path), before);
    assert.throws(() => createRootKeyFile(join(folder, "b"), "Bob", passphrase), {
      code: "ERR_ROOT_MEMBER",
    });
  });
});
