import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import { changed, FakeLedger, FakeLog, requesterOf } from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { RegistryReader, type RegistryReaderOptions } from "./registry-reader.ts";
import type { RegistryItem } from "./registry-types.ts";
import { signStatement, type SignedStatement } from "./statement.ts";
import { NamedKey } from "./testing/registry-fixture.ts";

const LOG = "example.org/registry";

class Reading {
  readonly log = new FakeLog(LOG);
  readonly ledger = new FakeLedger({ registry: this.log });
  readonly taken: RegistryItem[] = [];
  statement: Buffer | undefined;

  constructor() {
    this.ledger.pageItems = 512;
  }

  grow(count: number): void {
    const entries = Array.from({ length: count }, (_, place) => {
      const entry = Buffer.alloc(65, 2);
      entry.writeUInt32BE(this.log.size + place, 1);
      return entry;
    });
    this.log.batches.push({
      entries,
      ...(this.statement && { body: { statement: this.statement } }),
    });
  }

  countOf(op: string): number {
    return this.ledger.calls.filter((call) => call.op === op).length;
  }

  reader(): RegistryReader {
    return new RegistryReader({
      client: requesterOf(this.ledger.handler, "monitor"),
      log: LOG,
      logKey: this.log.key,
      operator: new NamedKey("operator").verifier,
      onItem: (item) => this.taken.push(item),
    });
  }
}

describe("RegistryReader", () => {
  it("delivers every item once and in order, over pages and polls", async () => {
    const reading = new Reading();
    const reader = reading.reader();
    assert.equal(await reader.poll(), 0);
    reading.grow(513);
    assert.deepEqual(await Promise.all([reader.poll(), reader.poll()]), [513, 0]);
    reading.grow(1);
    assert.equal(await reader.poll(), 1);
    assert.deepEqual(
      reading.taken.map(({ index }) => index),
      reading.log.entries.map((_, index) => index),
    );
    assert.deepEqual(
      reading.taken.map(({ entry }) => entry),
      reading.log.entries,
    );
    assert.equal(reading.countOf("proveGrowth"), 0);
  });

  it("THREAT-26: holds a bounded number of unproven entries, and reads a longer registry whole", async () => {
    const reading = new Reading();
    const reader = reading.reader();
    reading.grow(4096);
    assert.equal(await reader.poll(), 4096);
    assert.equal(reading.countOf("proveGrowth"), 0);
    reading.grow(2 * 4096 + 1);
    assert.equal(await reader.poll(), 2 * 4096 + 1);
    // What is left after two full steps is proven by the root itself.
    assert.equal(reading.countOf("proveGrowth"), 2);
    assert.equal(reading.taken.length, 3 * 4096 + 1);
    assert.equal(reader.head.size, 3 * 4096 + 1);
  });

  it("THREAT-26: holds a bounded number of unproven bytes", async () => {
    const reading = new Reading();
    const { ledger } = reading;
    const reader = reading.reader();
    reading.statement = Buffer.alloc(128 * 1024);
    ledger.pageItems = 1;
    let held = 0;
    ledger.misbehave = ({ op }, honest) => {
      held = op === "proveGrowth" ? 0 : held + 1;
      // 16 statements are the bound; the one that reaches it is proven before another is asked for.
      assert.ok(held <= 16);
      return honest();
    };
    reading.grow(40);
    assert.equal(await reader.poll(), 40);
    assert.equal(reading.countOf("proveGrowth"), 2);
  });

  it("keeps what was proven before an error, and goes on from there", async () => {
    const reading = new Reading();
    const { ledger } = reading;
    const reader = reading.reader();
    reading.grow(5000);
    ledger.misbehave = ({ head }, honest) => {
      if (head["from"] === 4608) throw new ServiceError("ERR_TEST", "away");
      return honest();
    };
    await assert.rejects(reader.poll(), { code: "ERR_TEST" });
    assert.deepEqual([reader.head.size, reading.taken.length], [4096, 4096]);
    ledger.misbehave = undefined;
    assert.equal(await reader.poll(), 904);
    assert.deepEqual(
      reading.taken.map(({ index }) => index),
      reading.log.entries.map((_, index) => index),
    );
  });
});

type Lie = NonNullable<FakeLedger["misbehave"]>;

/** Lies in pages, or in those from one place on. */
function inPages(members: object, from?: number): Lie {
  return ({ op, head }, honest) =>
    op === "registry" && (from ?? head["from"]) === head["from"]
      ? changed(honest, members)
      : honest();
}

function inProofs(proof: unknown): Lie {
  return ({ op }, honest) => (op === "proveGrowth" ? changed(honest, { proof }) : honest());
}

const ZEROS = encodeBase64url(Buffer.alloc(32));

/** What a ledger may answer in place of the truth; `size` is above one step. */
const LIES: Readonly<Record<string, (log: FakeLog) => Lie>> = {
  "a page without items": () => inPages({ items: [] }),
  "more items than it says there are": () => inPages({ size: 100 }),
  "fewer entries than before": () => inPages({ size: 511, items: [] }, 512),
  "an endless registry with the same root": () => inPages({ size: 2 ** 52 }),
  "an endless registry signed with a wrong root": (log) => (call, honest) => {
    const checkpoint = log.note(2 ** 52, Buffer.alloc(32));
    if (call.op === "registry") return changed(honest, { size: 2 ** 52, checkpoint });
    const { log: _, ...sizes } = call.head;
    return { head: { ...sizes, proof: Array(63).fill(ZEROS), checkpoint } };
  },
  "an entry that is not in the tree": (log) => {
    const items = log.entries.slice(512, 1024).with(7, Buffer.alloc(65));
    return inPages({ items: items.map((entry) => ({ entry: encodeBase64url(entry) })) }, 512);
  },
  "no proof": () => inProofs([]),
  "a proof that is too long": () => inProofs(Array(64).fill(ZEROS)),
  "a proof of short hashes": () => inProofs(["AA"]),
  "a proof that is no list": () => inProofs("AA"),
  "a checkpoint of somebody else": () => inPages({ checkpoint: "x" }),
  "an item that is no object": () => inPages({ items: ["x"] }),
  "a page that is no list": () => inPages({ items: {} }),
  "an entry of 66 bytes": () => inPages({ items: [{ entry: encodeBase64url(Buffer.alloc(66)) }] }),
};

describe("THREAT-26: a reader that is lied to", () => {
  for (const [name, lie] of Object.entries(LIES))
    it(`${name}: ends in a coded error, and delivers nothing of it`, async () => {
      const reading = new Reading();
      const reader = reading.reader();
      reading.grow(5000);
      reading.ledger.misbehave = lie(reading.log);
      await assert.rejects(reader.poll(), (error) => {
        assert.ok(error instanceof Error && "code" in error);
        assert.match(String(error.code), /^ERR_(?:WIRE_FRAME|REQUEST_MEMBER|TLOG_|BASE64URL)/);
        return true;
      });
      assert.deepEqual([reader.head.size, reading.taken.length], [0, 0]);
      assert.ok(reading.countOf("registry") <= 9 && reading.countOf("proveGrowth") <= 1);
    });
});

describe("what a reader holds the registry against", () => {
  const operator = new NamedKey("operator");

  function said(number: number): SignedStatement {
    const tenant = `${number}`.padStart(8, "0") + "-0000-4000-8000-000000000001";
    const body = { type: "tenant", realm: "enterprise", tenant } as const;
    return signStatement({ ...body, status: "active", audiences: [] }, operator, number);
  }

  function setUp(count: number, options: Partial<RegistryReaderOptions> = {}) {
    const log = new FakeLog(LOG);
    const ledger = new FakeLedger({ registry: log });
    for (let number = 0; number < count; number += 1) ledger.state(said(number));
    const reader = new RegistryReader({
      client: requesterOf(ledger.handler, "monitor"),
      log: LOG,
      logKey: log.key,
      operator: operator.verifier,
      ...options,
    });
    return { log, ledger, reader };
  }

  it("a tree that is known: no shorter registry, and no other one", async () => {
    const { log, reader } = setUp(5);
    reader.expect({ size: 7, root: log.root(5) });
    await assert.rejects(reader.poll(), { code: "ERR_REGISTRY_SHORT" });
    const other = setUp(5);
    other.reader.expect({ size: 3, root: other.log.root(4) });
    await assert.rejects(other.reader.poll(), { code: "ERR_REGISTRY_HISTORY" });
    assert.equal(other.reader.head.size, 0);
    const good = setUp(5);
    good.reader.expect({ size: 3, root: good.log.root(3) });
    assert.equal(await good.reader.poll(), 5);
    assert.deepEqual(good.reader.rootAt(4), good.log.root(4));
    assert.equal(good.reader.rootAt(6), undefined);
  });

  it("who sees all takes nothing of a page with a body too few", async () => {
    const { log, reader } = setUp(2, { seesAll: true });
    log.batches.push({ entries: [said(2).entry] });
    await assert.rejects(reader.poll(), { code: "ERR_REGISTRY_HIDDEN" });
    assert.equal(reader.head.size, 0);
  });

  it("a body is the one of the entry, or nothing of the page counts", async () => {
    const { log, reader } = setUp(2);
    const { entry: _, ...body } = said(3);
    log.batches.push({ entries: [said(2).entry], body });
    await assert.rejects(reader.poll(), { code: "ERR_REGISTRY_BODY" });
    assert.equal(reader.head.size, 0);
  });

  it("what was kept is taken up, if it is what it was", async () => {
    const kept: RegistryItem[] = [];
    const heads: number[] = [];
    const { log, ledger, reader } = setUp(3, {
      keep: (items, { size, root }) => {
        assert.deepEqual(root, log.root(size));
        heads.push(size);
        kept.push(...items);
      },
    });
    await reader.poll();
    ledger.state(said(3));
    await reader.poll();
    assert.deepEqual([heads, kept.length], [[3, 4], 4]);
    const again = setUp(0).reader;
    again.expect(reader.head);
    again.resume(kept);
    assert.deepEqual(again.head, reader.head);
    const swapped = kept.map((item) =>
      item.index === 1 ? { ...item, statement: said(9).statement } : item,
    );
    const bad = setUp(0).reader;
    assert.throws(() => bad.resume(swapped), { code: "ERR_REGISTRY_BODY" });
    const cut = setUp(4).reader;
    cut.expect(reader.head);
    const moved = kept.slice(1).map((item, index) => ({ ...item, index }));
    assert.throws(
      () => cut.resume([...moved, ...moved.slice(0, 1).map((item) => ({ ...item, index: 3 }))]),
      {
        code: "ERR_REGISTRY_HISTORY",
      },
    );
    assert.equal(cut.head.size, 0);
  });
});
