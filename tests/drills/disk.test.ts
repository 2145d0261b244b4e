import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { compose } from "./compose.ts";

/** Most bytes of the ledger's database for each token, when so many are issued at one time (ARCHITECTURE §8). */
const CASES = [
  [1, 540],
  [4, 250],
  [64, 150],
] as const;
const TOKENS = 1280;
const WAL_BYTES = 6 * 1024 * 1024;

test("P12: what a token takes of the ledger's disk is bounded", async (t) => {
  await using system = await compose({ withoutIssuers: true });
  const { demo, folder, operator } = system;
  const { client, tenant, audience } =
    demo.clients.find(({ realm }) => realm === "enterprise") ?? {};
  const item = {
    handle: { realm: "enterprise", tenant, class: "at" },
    client,
    sub: client,
    audience,
  };
  const path = join(folder, "ledger", "ledger.db");
  using database = new DatabaseSync(path, { readOnly: true });
  const numberOf = (sql: string): number => Number(database.prepare(sql).get()?.["number"]);
  const bytes = (): number => numberOf("select sum(pgsize) number from dbstat");
  const entries = (): number => numberOf("select sum(n) number from batch");
  const signer = operator.client("signer-enterprise", "issuer");
  for (const [atOnce, most] of CASES)
    await t.test(`${atOnce} at one time`, async () => {
      const before = { bytes: bytes(), entries: entries() };
      for (let issued = 0; issued < TOKENS; issued += atOnce) {
        const items = Array.from({ length: atOnce }, () => item);
        await signer.request({ op: "issueBatch", items });
      }
      assert.equal(entries() - before.entries, TOKENS);
      const each = (bytes() - before.bytes) / TOKENS;
      t.diagnostic(`${atOnce} at one time: ${each.toFixed(0)} bytes for each token`);
      assert.ok(each > 64 && each <= most, `${each} bytes for each token`);
      assert.ok(statSync(`${path}-wal`).size < WAL_BYTES);
    });
});
