import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import {
  buildConsistencyProof,
  CompactRange,
  createVerifierKey,
  ed25519Signer,
  encodeCheckpoint,
  hashLeaf,
  SIGNATURE_TYPE,
  signNote,
  type HashReader,
} from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import type { Answer, Call } from "./connection.ts";
import { Fixture } from "./fixture-socket.ts";
import { RegistryFeed } from "./registry-feed.ts";
import type { RegistryFeedItem } from "./registry-page.ts";

const LOG = "example.org/registry";
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const signer = ed25519Signer(LOG, privateKey);
const logKey = createVerifierKey({ name: LOG, type: SIGNATURE_TYPE.ed25519, publicKey });

/** The pages and proofs of a ledger; a test changes what it is to lie about. */
class FakeLedger {
  readonly entries: Buffer[] = [];
  readonly #levels = new Map<string, Buffer>();
  readonly #range = CompactRange.empty();
  /** Calls by op. */
  readonly calls: Record<string, number> = {};
  statement = Buffer.alloc(0);
  pageItems = 512;
  lie: (head: JsonObject, op: string) => JsonObject = (head) => head;

  grow(count: number): this {
    for (let i = 0; i < count; i += 1) {
      const entry = Buffer.alloc(65, 2);
      entry.writeUInt32BE(this.entries.length, 1);
      this.entries.push(entry);
      this.#range.append(hashLeaf(entry), (level, index, hash) =>
        this.#levels.set(`${level}/${index}`, hash),
      );
    }
    return this;
  }

  note(size = this.#range.size, root = this.#range.root()): string {
    return signNote(encodeCheckpoint({ origin: LOG, size, root }), [signer]);
  }

  readonly handle = ({ op, head }: Call): Answer => {
    this.calls[op] = (this.calls[op] ?? 0) + 1;
    return { head: this.lie(op === "proveGrowth" ? this.#prove(head) : this.#page(head), op) };
  };

  #page({ from, max }: JsonObject): JsonObject {
    const start = Number(from);
    const end = start + Math.min(Number(max), this.pageItems);
    const body = this.statement.length > 0 ? { statement: encodeBase64url(this.statement) } : {};
    const items = this.entries
      .slice(start, end)
      .map((entry) => ({ entry: encodeBase64url(entry), ...body }));
    const size = this.entries.length;
    return { from: start, size, checkpoint: size === 0 ? "" : this.note(), cosigned: "", items };
  }

  #prove({ size1, size2 }: JsonObject): JsonObject {
    const reader: HashReader = (level, index) => {
      const hash = this.#levels.get(`${level}/${index}`);
      if (!hash) throw new ServiceError("ERR_TEST", "No such node");
      return hash;
    };
    const end = Math.min(Number(size2), this.entries.length);
    const proof = buildConsistencyProof(reader, Number(size1), end).map(encodeBase64url);
    return { size1: Number(size1), size2: Number(size2), proof, checkpoint: this.note() };
  }
}

class Reading implements AsyncDisposable {
  readonly ledger = new FakeLedger();
  readonly fixture = new Fixture();
  readonly taken: RegistryFeedItem[] = [];

  async feed(): Promise<RegistryFeed> {
    await this.fixture.serve(this.ledger.handle);
    const client = this.fixture.client();
    return new RegistryFeed({
      client,
      log: LOG,
      logKey,
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
    reading.ledger.grow(513);
    assert.deepEqual(await Promise.all([feed.poll(), feed.poll()]), [513, 0]);
    reading.ledger.grow(1);
    assert.equal(await feed.poll(), 1);
    assert.deepEqual(
      reading.taken.map(({ index }) => index),
      reading.ledger.entries.map((_, index) => index),
    );
    assert.deepEqual(
      reading.taken.map(({ entry }) => entry),
      reading.ledger.entries,
    );
    assert.equal(reading.ledger.calls["proveGrowth"], undefined);
  });

  it("THREAT-26: holds a bounded number of unproven entries, and reads a longer registry whole", async () => {
    await using reading = new Reading();
    const feed = await reading.feed();
    reading.ledger.grow(4096);
    assert.equal(await feed.poll(), 4096);
    assert.equal(reading.ledger.calls["proveGrowth"], undefined);
    reading.ledger.grow(2 * 4096 + 1);
    assert.equal(await feed.poll(), 2 * 4096 + 1);
    // What is left after two full steps is proven by the root itself.
    assert.equal(reading.ledger.calls["proveGrowth"], 2);
    assert.equal(reading.taken.length, 3 * 4096 + 1);
    assert.equal(feed.size, 3 * 4096 + 1);
  });

  it("THREAT-26: holds a bounded number of unproven bytes", async () => {
    await using reading = new Reading();
    const { ledger } = reading;
    const feed = await reading.feed();
    ledger.statement = Buffer.alloc(128 * 1024);
    ledger.pageItems = 1;
    let held = 0;
    ledger.lie = (head, op) => {
      held = op === "proveGrowth" ? 0 : held + 1;
      // 16 statements are the bound; the one that reaches it is proven before another is asked for.
      assert.ok(held <= 16);
      return head;
    };
    ledger.grow(40);
    assert.equal(await feed.poll(), 40);
    assert.equal(ledger.calls["proveGrowth"], 2);
  });

  it("keeps what was proven before an error, and goes on from there", async () => {
    await using reading = new Reading();
    const { ledger } = reading;
    const feed = await reading.feed();
    ledger.grow(5000);
    ledger.lie = (head) => {
      if (head["from"] === 4608) throw new ServiceError("ERR_TEST", "away");
      return head;
    };
    await assert.rejects(feed.poll(), { code: "ERR_TEST" });
    assert.deepEqual([feed.size, reading.taken.length], [4096, 4096]);
    ledger.lie = (head) => head;
    assert.equal(await feed.poll(), 904);
    assert.deepEqual(
      reading.taken.map(({ index }) => index),
      ledger.entries.map((_, index) => index),
    );
  });
});

/** What a ledger may answer in place of the truth; `size` is above one step. */
const LIES: Readonly<Record<string, (reading: Reading) => FakeLedger["lie"]>> = {
  "a page without items": () => (head) => ({ ...head, items: [] }),
  "more items than it says there are": () => (head) => ({ ...head, size: 100 }),
  "fewer entries than before": () => (head) =>
    head["from"] === 512 ? { ...head, size: 511, items: [] } : head,
  "an endless registry with the same root":
    ({ ledger }) =>
    (head) =>
      head["from"] === undefined ? head : { ...head, size: 2 ** 52, checkpoint: ledger.note() },
  "an endless registry signed with a wrong root":
    ({ ledger }) =>
    (head, op) =>
      op === "proveGrowth"
        ? { ...head, proof: Array.from({ length: 63 }, () => encodeBase64url(Buffer.alloc(32))) }
        : { ...head, size: 2 ** 52, checkpoint: ledger.note(2 ** 52, Buffer.alloc(32)) },
  "an entry that is not in the tree": () => (head) => {
    const { items } = head;
    if (!Array.isArray(items) || head["from"] !== 512) return head;
    return { ...head, items: items.with(7, { entry: encodeBase64url(Buffer.alloc(65)) }) };
  },
  "no proof": () => (head, op) => (op === "proveGrowth" ? { ...head, proof: [] } : head),
  "a proof that is too long": () => (head, op) =>
    op === "proveGrowth"
      ? { ...head, proof: Array.from({ length: 64 }, () => encodeBase64url(Buffer.alloc(32))) }
      : head,
  "a proof of short hashes": () => (head, op) =>
    op === "proveGrowth" ? { ...head, proof: ["AA"] } : head,
  "a proof that is no list": () => (head, op) =>
    op === "proveGrowth" ? { ...head, proof: "AA" } : head,
  "a checkpoint of somebody else": () => (head) =>
    head["from"] === undefined ? head : { ...head, checkpoint: "x" },
  "an item that is no object": () => (head) => ({ ...head, items: ["x"] }),
  "a page that is no list": () => (head) => ({ ...head, items: {} }),
  "an entry of 66 bytes": () => (head) => ({
    ...head,
    items: [{ entry: encodeBase64url(Buffer.alloc(66)) }],
  }),
};

describe("THREAT-26: a RegistryFeed that is lied to", () => {
  for (const [name, lie] of Object.entries(LIES))
    it(`${name}: ends in a coded error, and delivers nothing of it`, async () => {
      await using reading = new Reading();
      const feed = await reading.feed();
      reading.ledger.grow(5000);
      reading.ledger.lie = lie(reading);
      await assert.rejects(feed.poll(), (error) => {
        assert.ok(error instanceof Error && "code" in error);
        assert.match(String(error.code), /^ERR_(?:WIRE_FRAME|REQUEST_MEMBER|TLOG_|BASE64URL)/);
        return true;
      });
      assert.deepEqual([feed.size, reading.taken.length], [0, 0]);
      const { calls } = reading.ledger;
      assert.ok((calls["registry"] ?? 0) <= 9 && (calls["proveGrowth"] ?? 0) <= 1);
    });
});
