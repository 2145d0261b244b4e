import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { TestClock } from "@redoubt/testkit";
import { MetadataFile } from "./metadata-file.ts";
import { SOFT_AAGUID } from "@redoubt/testkit";
import { blobOf, BODY, ENTRY, HOST, PUBLISHER, TRUST } from "./passkeys/testing/metadata-blob.ts";

/** A folder, a clock, and what was said. */
class Place implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "mds-"));
  readonly clock = new TestClock();
  readonly said: unknown[] = [];

  constructor() {
    // The certificates of the tests are of their own time.
    this.clock.set((TRUST.now - this.clock.now()) / 1000);
  }

  put(body: object, from = PUBLISHER): void {
    writeFileSync(join(this.folder, "mds.jwt"), blobOf(body, { authority: from }));
  }

  open(): MetadataFile {
    return new MetadataFile({
      folder: this.folder,
      source: { file: "mds.jwt", roots: TRUST.roots, host: HOST },
      clock: this.clock,
      failed: (code) => this.said.push(code),
      read: (fields) => this.said.push(fields),
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

const REVOKED = { ...ENTRY, statusReports: [{ status: "REVOKED", effectiveDate: "2025-02-01" }] };

describe("FIDO metadata from a file", () => {
  it("is read at the start, and a newer file from a minute after it was put there", () => {
    using place = new Place();
    place.put(BODY);
    const file = place.open();
    assert.equal(file.current()?.number, 7);
    place.put({ ...BODY, no: 8, entries: [REVOKED] });
    place.clock.forward(59);
    assert.equal(file.current()?.number, 7);
    place.clock.forward(1);
    assert.deepEqual(file.current()?.models.get(SOFT_AAGUID)?.statuses, ["REVOKED"]);
    assert.deepEqual(place.said, [
      { number: 7, isStale: false },
      { number: 8, isStale: false },
    ]);
  });

  it("is null, and said, while there is none; and then it is taken", () => {
    using place = new Place();
    const file = place.open();
    assert.equal(file.current(), null);
    place.put(BODY);
    place.clock.forward(60);
    assert.equal(file.current()?.number, 7);
    assert.deepEqual(place.said, ["ENOENT", { number: 7, isStale: false }]);
  });

  it("a file that does not verify changes nothing, and is said once", () => {
    using place = new Place();
    place.put(BODY);
    const file = place.open();
    writeFileSync(join(place.folder, "mds.jwt"), "no metadata");
    for (let minute = 0; minute < 3; minute += 1) {
      place.clock.forward(60);
      assert.equal(file.current()?.number, 7);
    }
    assert.deepEqual(place.said.slice(1), ["ERR_PASSKEY_METADATA_FORM"]);
  });

  it("THREAT-30: an older file brings no revoked model back, not after a restart either", () => {
    using place = new Place();
    place.put({ ...BODY, no: 8, entries: [REVOKED] });
    place.open();
    place.put(BODY);
    const again = place.open();
    assert.equal(again.current(), null);
    assert.equal(place.said.at(-1), "ERR_PASSKEY_METADATA_ROLLBACK");
  });

  it("one whose next release is overdue counts on, and is said to be stale once", () => {
    using place = new Place();
    place.put(BODY);
    const file = place.open();
    place.clock.forward(86_400 * 400);
    for (let minute = 0; minute < 2; minute += 1) {
      place.clock.forward(60);
      assert.equal(file.current()?.number, 7);
    }
    assert.deepEqual(place.said.slice(1), [{ number: 7, isStale: true }]);
  });
});
