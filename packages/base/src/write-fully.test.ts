import assert from "node:assert/strict";
import { test } from "node:test";
import { writeFully } from "./write-fully.ts";

test("THREAT-05: writeFully goes on after a short write, and gives up on one that makes no progress", () => {
  const bytes = Buffer.from("0123456789");
  const taken: Buffer[] = [];
  const short = (atMost: number) => (_: number, all: Uint8Array, offset: number) => {
    const part = Buffer.from(all.subarray(offset, offset + atMost));
    taken.push(part);
    return part.length;
  };
  writeFully(3, bytes, "file", short(4));
  assert.deepEqual(taken.map(String), ["0123", "4567", "89"]);
  writeFully(3, bytes.subarray(0, 0), "file", short(0));
  assert.throws(() => writeFully(3, bytes, "file", short(0)), { code: "ERR_FILE_SHORT_WRITE" });
});
