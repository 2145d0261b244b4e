import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { reporterPublicKey } from "@redoubt/registry";
import { buildConsistencyProof, CompactRange, hashLeaf, hashNode } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { createDeployment, refusalOf, REGISTRY, type Deployment } from "./testing/deployment.ts";

const COUNT = 5;

interface Kept {
  readonly note: string;
  readonly items: readonly { readonly statement: string; readonly envelope: string }[];
  readonly entries: readonly Buffer[];
}

/** A registry of five statements, cosigned; what somebody else kept of it. */
async function fill(deployment: Deployment): Promise<Kept> {
  await using ledger = await deployment.open();
  await using operator = deployment.connect("operator");
  const items = [];
  const entries = [];
  for (let i = 0; i < COUNT; i += 1) {
    const publicKey = reporterPublicKey(encodeBase64url(Buffer.alloc(32, i)));
    const reporter = `reporter-${i}`;
    const signed = deployment.statement({
      type: "reporter",
      reporter,
      publicKey,
      status: "active",
    });
    const item = {
      statement: encodeBase64url(signed.statement),
      envelope: encodeBase64url(signed.envelope),
    };
    await operator.request({ op: "append", log: REGISTRY, ...item });
    items.push(item);
    entries.push(signed.entry);
  }
  await ledger.publish();
  const log = ledger.logs.get(REGISTRY);
  while (log?.cosigned?.size !== COUNT) await new Promise((resolve) => setImmediate(resolve));
  return { note: log.cosigned.note, items, entries };
}

function proofFrom({ entries }: Kept, size: number): string[] {
  const node = (level: number, index: number): Buffer => {
    if (level === 0) return hashLeaf(entries[index] ?? Buffer.alloc(0));
    return hashNode(node(level - 1, 2 * index), node(level - 1, 2 * index + 1));
  };
  return buildConsistencyProof(node, size, COUNT).map(encodeBase64url);
}

function tamper(deployment: Deployment, sql: string): void {
  const database = new DatabaseSync(join(deployment.folder, "ledger.db"));
  database.prepare(sql).run(REGISTRY);
  database.close();
}

const DAMAGE: Readonly<Record<string, readonly [sql: string[], size: number]>> = {
  "a lost tail": [
    [
      "delete from batch where log=(select id from coord where log=?) and first>=2",
      "update coord set next=2 where log=?",
      "delete from cosigned where log=?",
    ],
    2,
  ],
  "a flipped bit": [
    [
      "update batch set entries=zeroblob(67) where log=(select id from coord where log=?) and first=1",
    ],
    0,
  ],
};

for (const [what, [sql, size]] of Object.entries(DAMAGE))
  test(`the registry after ${what} comes back from a copy that hashes to its cosigned root, and from no other`, async () => {
    await using deployment = await createDeployment();
    const kept = await fill(deployment);
    for (const one of sql) tamper(deployment, one);
    rmSync(join(deployment.folder, "published"), { recursive: true });
    {
      await using ledger = await deployment.open();
      await using operator = deployment.connect("operator");
      await using monitor = deployment.connect("monitor");
      const log = ledger.logs.get(REGISTRY);
      await deployment.event("log_halted");
      assert.ok(log);
      assert.equal(log.size, size);
      const restore = (change: object) =>
        operator.request({
          op: "restore",
          log: REGISTRY,
          note: kept.note,
          from: size,
          items: kept.items.slice(size),
          proof: [],
          ...change,
        });
      const other = kept.items.with(COUNT - 1, kept.items[0] ?? assert.fail());
      assert.equal(await refusalOf(restore({ items: other.slice(size) })), "ERR_LEDGER_RESTORE");
      const short = restore({ items: kept.items.slice(size, COUNT - 1) });
      assert.equal(await refusalOf(short), "ERR_LEDGER_RESTORE");
      const more = [...kept.items.slice(size), ...kept.items.slice(0, 1)];
      assert.equal(await refusalOf(restore({ items: more })), "ERR_LEDGER_RESTORE");
      assert.equal(await refusalOf(restore({ from: size + 1 })), "ERR_LEDGER_SIZE");
      const uncosigned = kept.note.split("\n").slice(0, -2).join("\n") + "\n";
      assert.equal(await refusalOf(restore({ note: uncosigned })), "ERR_LEDGER_RESTORE");
      const denied = monitor.request({
        op: "restore",
        log: REGISTRY,
        note: kept.note,
        from: size,
        items: [],
        proof: [],
      });
      assert.equal(await refusalOf(denied), "ERR_LEDGER_DENIED");
      assert.equal(log.size, size);
      // In two pages.
      const first = { items: kept.items.slice(size, size + 1), proof: proofFrom(kept, size + 1) };
      assert.deepEqual({ ...(await restore(first)).head }, { size: size + 1, wanted: COUNT });
      const rest = { from: size + 1, items: kept.items.slice(size + 1) };
      assert.deepEqual({ ...(await restore(rest)).head }, { size: COUNT, wanted: COUNT });
      // What is there now is judged at the next start.
      assert.equal(
        await refusalOf(operator.request({ op: "state", log: REGISTRY })),
        "ERR_LEDGER_HALTED",
      );
    }
    await using ledger = await deployment.open();
    await using operator = deployment.connect("operator");
    const { head } = await operator.request({ op: "state", log: REGISTRY });
    const range = CompactRange.empty();
    range.appendEntries(kept.entries);
    assert.equal(head.size, COUNT);
    assert.deepEqual(ledger.logs.get(REGISTRY)?.head.range.root(), range.root());
    const again = operator.request({
      op: "restore",
      log: REGISTRY,
      note: kept.note,
      from: COUNT,
      items: [],
      proof: [],
    });
    assert.equal(await refusalOf(again), "ERR_LEDGER_RESTORE");
  });
