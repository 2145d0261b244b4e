import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { DeliveryJournal } from "./delivery-journal.ts";

const BOOT = 1_795_000_000;
const digest = (): string => randomBytes(32).toString("base64url");

describe("what a receiver of tokens received outlives its process", () => {
  let folder = "";
  let failures: string[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "rdt-journal-"));
    failures = [];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const path = (): string => join(folder, "deliveries.journal");
  const open = (boot = BOOT): DeliveryJournal =>
    new DeliveryJournal({
      path: path(),
      events: { journalFailed: (code) => failures.push(code) },
      bootSeconds: () => boot,
    });

  it("begins empty, and not as if it knew of an earlier process", () => {
    using journal = open();
    assert.deepEqual([journal.found, journal.isComplete], [[], false]);
  });

  it("holds what was added, in order, whenever the process is killed; a record that was cut short does not count", () => {
    const digests = [digest(), digest(), digest()];
    {
      using journal = open();
      for (const one of digests) journal.add(one);
    }
    for (const tail of [0, 1, 31]) {
      appendFileSync(path(), Buffer.alloc(tail));
      using again = open(BOOT + 4);
      assert.deepEqual([again.found, again.isComplete], [digests, true]);
    }
  });

  it("is not complete after the machine was started again, or with another file in its place", () => {
    const one = digest();
    {
      using journal = open();
      journal.add(one);
    }
    {
      using after = open(BOOT + 6);
      assert.deepEqual([after.found, after.isComplete], [[one], false]);
    }
    writeFileSync(path(), Buffer.alloc(80, 7), { mode: 0o600 });
    using other = open();
    assert.deepEqual([other.found, other.isComplete], [[], false]);
  });

  it("is gone when everything is reported, and does not grow while it is", () => {
    using journal = open();
    for (let i = 0; i < 40_000; i++) journal.add(digest());
    assert.ok(statSync(path()).size > 1024 * 1024);
    const waiting = [digest()];
    journal.acknowledged(() => waiting);
    assert.equal(statSync(path()).size, 48);
    journal.acknowledged(() => assert.fail("a small file is not written anew"));
    using again = open();
    assert.deepEqual(again.found, waiting);
    journal.finished();
    assert.equal(statSync(path(), { throwIfNoEntry: false }), undefined);
  });

  it("THREAT-05: where it cannot be written the file goes, because it would not be complete, and comes back later", () => {
    {
      using journal = open();
      journal.add(digest());
    }
    // Nothing can be made here: the next process finds it, and cannot replace it.
    rmSync(folder, { recursive: true });
    {
      using journal = open();
      assert.deepEqual(failures, ["ENOENT"]);
      journal.add(digest());
      mkdirSync(folder);
      const waiting = [digest()];
      journal.acknowledged(() => waiting);
      using again = open();
      assert.deepEqual([again.found, again.isComplete], [waiting, true]);
    }
  });

  it("THREAT-32: a file that others can read is not taken", () => {
    writeFileSync(path(), "RDTDELV1", { mode: 0o600 });
    chmodSync(path(), 0o644);
    assert.throws(() => open(), { code: "ERR_FILE_MODE" });
  });
});
