import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { encodeEntryBundle, logId } from "@redoubt/tlog";
import { joinBlobs } from "@redoubt/wire";
import { EntryJournal, readJournal, removeJournal } from "./entry-journal.ts";

const LOG = "redoubt.test/enterprise/2026q4";

class Place implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "jrn-"));
  readonly failures: string[] = [];
  readonly origin = LOG;

  open(maxBytes?: number): EntryJournal {
    const events = { journalFailed: (code: string) => this.failures.push(code) };
    const { folder, origin } = this;
    return new EntryJournal({
      folder,
      origin,
      events,
      ...(maxBytes !== undefined && { maxBytes }),
    });
  }

  files(): string[] {
    const folder = join(this.folder, logId(LOG));
    return readdirSync(folder).map((name) => join(folder, name));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

function batch(first: number, count: number, blobBytes = 100) {
  const entries = Array.from({ length: count }, (_, i) => Buffer.alloc(65, first + i));
  const blobs = [Buffer.alloc(blobBytes, first), Buffer.alloc(3, 1)];
  return { first, count, entries: encodeEntryBundle(entries), blobs: joinBlobs(blobs) };
}

function firsts(place: Place): number[] {
  return readJournal(place).map(({ first }) => first);
}

describe("what no witness has cosigned yet", () => {
  it("is read as it was written, by the next process too", () => {
    using place = new Place();
    using journal = place.open();
    assert.deepEqual(readJournal(place), []);
    journal.append(batch(0, 3));
    journal.append(batch(3, 1));
    using second = place.open();
    second.append(batch(4, 2));
    const read = readJournal(place);
    assert.deepEqual(
      read.map(({ first, sealed }) => [first, sealed.entries.length, sealed.blobs.length]),
      [
        [0, 3, 2],
        [3, 1, 2],
        [4, 2, 2],
      ],
    );
    assert.deepEqual(read[1]?.sealed.entries, [Buffer.alloc(65, 3)]);
    assert.deepEqual(read[1]?.sealed.blobs, [Buffer.alloc(100, 3), Buffer.alloc(3, 1)]);
  });

  it("goes when it is cosigned, and not before", () => {
    using place = new Place();
    using journal = place.open();
    journal.append(batch(0, 3));
    journal.cosigned(2);
    assert.deepEqual(firsts(place), [0]);
    journal.cosigned(3);
    assert.deepEqual(place.files(), []);
    journal.append(batch(3, 2));
    using second = place.open();
    second.append(batch(5, 2));
    second.cosigned(5);
    assert.deepEqual(firsts(place), [5]);
    second.cosigned(7);
    assert.deepEqual(firsts(place), []);
  });

  it("a record that was cut short or changed ends what is read of its file, and no other", () => {
    for (const damage of ["cut", "flip"] as const) {
      using place = new Place();
      using journal = place.open();
      journal.append(batch(0, 1));
      journal.append(batch(1, 1));
      const [file = ""] = place.files();
      if (damage === "cut") truncateSync(file, 300);
      else appendFileSync(file, Buffer.alloc(5000, 1));
      using second = place.open();
      second.append(batch(2, 1));
      assert.deepEqual(firsts(place), damage === "cut" ? [0, 2] : [0, 1, 2]);
      second.cosigned(3);
      assert.deepEqual(place.files(), []);
    }
  });

  it("THREAT-05: what a full disk kept from it is written when there is room", () => {
    using place = new Place();
    using journal = place.open();
    journal.append(batch(0, 1));
    journal.cosigned(1);
    // As where no file can be made.
    removeJournal(place);
    for (let first = 1; first < 4; first += 1) journal.append(batch(first, 1));
    journal.cosigned(2);
    mkdirSync(join(place.folder, logId(LOG)), { mode: 0o700 });
    journal.append(batch(4, 1));
    assert.deepEqual(firsts(place), [2, 3, 4]);
    assert.deepEqual(place.failures, ["ENOENT"]);
    for (let first = 5; first < 8; first += 1) journal.append(batch(first, 1));
    assert.deepEqual(firsts(place), [2, 3, 4, 5, 6, 7]);
  });

  it("THREAT-05: what cannot be written is said once, and is tried again", () => {
    using place = new Place();
    using journal = place.open(20_000);
    for (let first = 0; first < 6; first += 1) journal.append(batch(first, 1, 9000));
    assert.deepEqual(place.failures, ["ERR_JOURNAL_FULL"]);
    assert.deepEqual(firsts(place), [0, 1]);
    journal.cosigned(6);
    journal.append(batch(6, 1));
    assert.deepEqual(firsts(place), [6]);
    // Whatever happens to its folder, signing does not hang on it.
    removeJournal(place);
    journal.cosigned(7);
    journal.append(batch(7, 1));
    assert.deepEqual(place.failures, ["ERR_JOURNAL_FULL", "ENOENT"]);
  });
});
