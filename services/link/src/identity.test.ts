import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { initialiseLink, openIdentity } from "./identity.ts";

const root = mkdtempSync(join(tmpdir(), "redoubt-link-identity-"));
after(() => rmSync(root, { recursive: true }));
let next = 0;
function fresh(): string {
  next += 1;
  return join(root, String(next));
}
const LINK = { name: "link", algorithm: "Ed25519" } as const;

describe("the key of a link", () => {
  it("is made once, for its user alone", () => {
    const folder = fresh();
    const { pin, isNew } = initialiseLink(folder, LINK);
    assert.equal(isNew, true);
    for (const file of ["link.key", "link.pem"])
      assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600);
    assert.equal(openIdentity(folder, "link").pin, pin);
    assert.deepEqual(initialiseLink(folder, LINK), { pin, isNew: false });
    assert.notEqual(initialiseLink(folder, { name: "next", algorithm: "ES256" }).pin, pin);
  });

  it("gets its certificate again after a crash between the two", () => {
    const folder = fresh();
    const { pin } = initialiseLink(folder, LINK);
    rmSync(join(folder, "link.pem"));
    assert.deepEqual(initialiseLink(folder, LINK), { pin, isNew: false });
  });

  const spoilt = [
    [
      "a key that others can read",
      "ERR_FILE_MODE",
      (f: string) => chmodSync(join(f, "link.key"), 0o604),
    ],
    ["no key in its file", "ERR_LINK_KEY", (f: string) => writeFileSync(join(f, "link.key"), "x")],
    [
      "no certificate in its file",
      "ERR_LINK_KEY",
      (f: string) => writeFileSync(join(f, "link.pem"), "x"),
    ],
    ["no file", "ENOENT", (f: string) => rmSync(join(f, "link.key"))],
    [
      "the certificate of another key",
      "ERR_LINK_KEY",
      (f: string) => {
        initialiseLink(f, { ...LINK, name: "other" });
        copyFileSync(join(f, "other.pem"), join(f, "link.pem"));
      },
    ],
  ] as const;
  for (const [what, code, spoil] of spoilt)
    it(`THREAT-32: is refused with ${what}`, () => {
      const folder = fresh();
      initialiseLink(folder, LINK);
      spoil(folder);
      assert.throws(() => openIdentity(folder, "link"), { code });
    });
});
