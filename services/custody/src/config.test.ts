import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeVerifierKey } from "@redoubt/tlog";
import { TestGrantLog } from "@redoubt/lease/testing/test-log";
import { parseConfig } from "./config.ts";

const { origin, logKey, writerKey } = new TestGrantLog();
const log = { origin, key: encodeVerifierKey(logKey), writer: encodeVerifierKey(writerKey) };
const config = {
  v: 1,
  realm: "consumer",
  signer: "signer-consumer",
  log,
  custody: { kind: "file", passphrase: "beside" },
};

test("a gateway's configuration is read, and every problem is named at once", () => {
  const read = parseConfig(config);
  assert.deepEqual(read.log, { origin, logKey, writerKey });
  assert.equal(read.custody.kind, "file");
  for (const [change, problem] of [
    [{ realm: "Consumer" }, /realm/],
    [{ signer: "operator" }, /signer/],
    [{ log: { ...log, key: log.writer } }, /log/],
    [{ log: { ...log, writer: log.key } }, /log/],
    [{ log: { ...log, origin: "redoubt.test/other" } }, /log/],
    [{ log: { ...log, more: 1 } }, /more/],
    [{ custody: { kind: "paper" } }, /custody/],
    [{ more: 1 }, /more/],
    [{ v: 2 }, /v must/],
  ] as const)
    assert.throws(
      () => parseConfig({ ...config, ...change }),
      (error: Error) =>
        "code" in error && error.code === "ERR_CONFIG" && problem.test(error.message),
      String(problem),
    );
  assert.throws(() => parseConfig({ ...config, realm: 1, signer: 2 }), /realm.*signer/s);
});
