import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { isOutOfSpace, openWhenSpace, readSpace, spaceOf } from "./disk-space.ts";
import { ServiceError } from "./errors.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

test("space is low below a tenth or 10 GiB, and critical below a fiftieth or 1 GiB", () => {
  const cases = [
    [10 * MIB, 100 * MIB, "enough"],
    [10 * MIB - 1, 100 * MIB, "low"],
    [4 * MIB, 200 * MIB, "low"],
    [4 * MIB - 1, 200 * MIB, "critical"],
    [2 * MIB, 200 * MIB, "critical"],
    [2 * MIB - 1, 200 * MIB, "none"],
    [10 * GIB, 1000 * GIB, "enough"],
    [10 * GIB - 1, 1000 * GIB, "low"],
    [GIB - 1, 1000 * GIB, "critical"],
    [0, 1000 * GIB, "none"],
    [0, 0, "unknown"],
  ] as const;
  for (const [free, size, level] of cases)
    assert.deepEqual(spaceOf(free, size), { freeBytes: free, level });
  assert.ok(readSpace(tmpdir()).freeBytes > 0);
  assert.deepEqual(readSpace("/no/such/folder"), { freeBytes: 0, level: "unknown" });
});

function failureOf(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("It did not fail");
}

test("a full disk is told from every other failure, however deep it lies", () => {
  using database = new DatabaseSync(":memory:");
  database.exec("create table t (x); pragma max_page_count = 3");
  const full = failureOf(() => database.exec("insert into t values (zeroblob(100000))"));
  const wrapped = new ServiceError("ERR_X", "Wrapped", {
    cause: new Error("again", { cause: full }),
  });
  for (const error of [full, wrapped, { code: "ENOSPC" }, { code: "EDQUOT" }])
    assert.equal(isOutOfSpace(error, tmpdir()), true);
  const other = failureOf(() => database.exec("select nonsense"));
  const elsewhere = failureOf(() => new DatabaseSync("/no/such/folder/db"));
  for (const error of [other, elsewhere, { code: "EACCES" }, new Error("x"), "ENOSPC", undefined])
    assert.equal(isOutOfSpace(error, tmpdir()), false);
  const ring: { cause?: unknown } = {};
  ring.cause = ring;
  assert.equal(isOutOfSpace(ring, tmpdir()), false);
});

test("what needs room is opened when there is some, and every other failure ends it", async () => {
  const reasons: string[] = [];
  const { signal } = new AbortController();
  const wait = { folder: tmpdir(), signal, retryMs: 1, onWait: (why: string) => reasons.push(why) };
  let left = 3;
  const opened = await openWhenSpace(async () => {
    left -= 1;
    if (left > 0) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
    return "open";
  }, wait);
  assert.equal(opened, "open");
  assert.deepEqual(reasons, Array(2).fill("ERR_DISK_FULL: no space left"));
  await assert.rejects(
    openWhenSpace(() => Promise.reject(new ServiceError("ERR_X", "other")), wait),
    { code: "ERR_X" },
  );
});

test("waiting for room ends with the signal", async () => {
  const stop = new AbortController();
  const waiting = openWhenSpace(() => Promise.reject({ code: "ENOSPC" }), {
    folder: tmpdir(),
    signal: stop.signal,
    retryMs: 60_000,
    onWait: () => undefined,
  });
  setImmediate(() => stop.abort());
  assert.equal(await waiting, undefined);
});
