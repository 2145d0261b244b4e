import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import { changed, FakeLedger, FakeLog } from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { Fixture } from "./fixture-socket.ts";
import { RegistryFeed } from "./registry-feed.ts";
import type { RegistryFeedItem } from "./registry-page.ts";

const LOG = "example.org/registry";

class Reading implements AsyncDisposable {
  readonly log = new FakeLog(LOG);
  readonly ledger = new FakeLedger({ registry: this.log });
  readonly fixture = new Fixture();
  readonly taken: RegistryFeedItem[] = [];
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

  async feed(): Promise<RegistryFeed> {
    await this.fixture.serve(this.ledger.handler);
    const client = this.fixture.client();
    return new RegistryFeed({
      client,
      log: LOG,
      logKey: this.log.key,
      onItem: (item) => this.taken.push(item),
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.fixture[Symbol.asyncDispose]();
  }
}

describe("RegistryFeed", () => {
  it("delivers every item once and in order, over pages and polls", async () => {
    await using reading = new Reading();
    const feed = await reading.feed();
    assert.equal(await feed.poll(), 0);
    reading.grow(513);
    assert.deepEqual(await Promise.all([feed.poll(), feed.poll()]), [513, 0]);
    reading.grow(1);
    assert.equal(await feed.poll(), 1);
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
    await using reading = new Reading();
    const feed = await reading.feed();
    reading.grow(4096);
    assert.equal(await feed.poll(), 4096);
    assert.equal(reading.countOf("proveGrowth"), 0);
    reading.grow(2 * 4096 + 1);
    assert.equal(await feed.poll(), 2 * 4096 + 1);
    // What is left after two full steps is proven by the root itself.
    assert.equal(reading.countOf("proveGrowth"), 2);
    assert.equal(reading.taken.length, 3 * 4096 + 1);
    assert.equal(feed.size, 3 * 4096 + 1);
  });

  it("THREAT-26: holds a bounded number of unproven bytes", async () => {
    await using reading = new Reading();
    const { ledger } = reading;
    const feed = await reading.feed();
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
    assert.equal(await feed.poll(), 40);
    assert.equal(reading.countOf("proveGrowth"), 2);
  });

  it("keeps what was proven before an error, and goes on from there", async () => {
    await using reading = new Reading();
    const { ledger } = reading;
    const feed = await reading.feed();
    reading.grow(5000);
    ledger.misbehave = ({ head }, honest) => {
      if (head["from"] === 4608) throw new ServiceError("ERR_TEST", "away");
      return honest();
    };
    await assert.rejects(feed.poll(), { code: "ERR_TEST" });
    assert.deepEqual([feed.size, reading.taken.length], [4096, 4096]);
    ledger.misbehave = undefined;
    assert.equal(await feed.poll(), 904);
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

describe("THREAT-26: a RegistryFeed that is lied to", () => {
  for (const [name, lie] of Object.entries(LIES))
    it(`${name}: ends in a coded error, and delivers nothing of it`, async () => {
      await using reading = new Reading();
      const feed = await reading.feed();
      reading.grow(5000);
      reading.ledger.misbehave = lie(reading.log);
      await assert.rejects(feed.poll(), (error) => {
        assert.ok(error instanceof Error && "code" in error);
        assert.match(String(error.code), /^ERR_(?:WIRE_FRAME|REQUEST_MEMBER|TLOG_|BASE64URL)/);
        return true;
      });
      assert.deepEqual([feed.size, reading.taken.length], [0, 0]);
      assert.ok(reading.countOf("registry") <= 9 && reading.countOf("proveGrowth") <= 1);
    });
});
