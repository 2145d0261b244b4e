import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createSocketPlace, readSocketSecret, socketPlace } from "./place.ts";

const root = mkdtempSync(join(tmpdir(), "redoubt-place-"));
after(() => rmSync(root, { recursive: true }));
let next = 0;
function freshPlace() {
  next += 1;
  return socketPlace(join(root, String(next)), "signer-consumer", "issuer");
}

describe("socket places", () => {
  it("are relative to the data folder", () => {
    assert.deepEqual(socketPlace("", "ledger", "monitor"), {
      folder: "ledger/s/monitor",
      path: "ledger/s/monitor/sock",
      secretFile: "ledger/s/monitor/secret",
    });
  });

  it("cannot lead elsewhere, and fit a socket address with the longest realm", () => {
    for (const name of ["", "..", "../x", "a/b", "A", "-a", "a".repeat(65)]) {
      assert.throws(() => socketPlace("", name, "issuer"), RangeError);
      assert.throws(() => socketPlace("", "signer", name), RangeError);
    }
    const realm = "r".repeat(32);
    assert.ok(socketPlace("", `signer-${realm}`, `issuer-${realm}`).path.length <= 107);
  });

  it("are made once: the same secret ever after", () => {
    const place = freshPlace();
    const secret = createSocketPlace(place);
    assert.equal(statSync(place.folder).mode & 0o777, 0o700);
    assert.equal(statSync(place.secretFile).mode & 0o777, 0o600);
    assert.equal(createSocketPlace(place).reveal(), secret.reveal());
    assert.equal(readSocketSecret(place).reveal(), secret.reveal());
    assert.equal(createSocketPlace(freshPlace()).equals(secret.reveal()), false);
  });

  const spoilt = [
    ["an open folder", "ERR_FILE_MODE", (p: string) => chmodSync(p, 0o711)],
    ["a readable secret", "ERR_FILE_MODE", (p: string) => chmodSync(join(p, "secret"), 0o604)],
    ["an empty secret", "ERR_SOCKET_SECRET", (p: string) => writeFileSync(join(p, "secret"), "")],
    ["a short secret", "ERR_SOCKET_SECRET", (p: string) => writeFileSync(join(p, "secret"), "a")],
    ["no secret", "ENOENT", (p: string) => rmSync(join(p, "secret"))],
  ] as const;
  for (const [what, code, spoil] of spoilt)
    it(`THREAT-32: are refused with ${what}`, () => {
      const place = freshPlace();
      createSocketPlace(place);
      spoil(place.folder);
      assert.throws(() => readSocketSecret(place), { code });
    });

  it("THREAT-32: are refused when a link stands for the folder or the secret", () => {
    const place = freshPlace();
    createSocketPlace(place);
    const squatted = freshPlace();
    mkdirSync(join(squatted.folder, ".."), { recursive: true, mode: 0o700 });
    symlinkSync(place.folder, squatted.folder);
    assert.throws(() => readSocketSecret(squatted), { code: "ERR_FILE_KIND" });
    assert.throws(() => createSocketPlace(squatted), { code: "ERR_FILE_KIND" });
    rmSync(squatted.folder);
    mkdirSync(squatted.folder, { mode: 0o700 });
    symlinkSync(place.secretFile, squatted.secretFile);
    assert.throws(() => createSocketPlace(squatted), { code: "ERR_FILE_KIND" });
  });
});
