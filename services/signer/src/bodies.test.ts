import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { BodySealer } from "./bodies.ts";
import { Deployment, OTHER_TENANT, TENANT, WANTED } from "./testing/deployment.ts";
import { unsignedToken } from "./testing/unsigned-token.ts";

const LOG = "redoubt.test/enterprise/2026q4";
const DAY = 86_400;
const NOW = 1_795_435_200;

describe("THREAT-35: what is published", () => {
  it("no two entries share bytes beyond the tag, and none holds anything of a tenant, client or key", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const client = deployment.client();
    const { op: _, ...one } = WANTED;
    const other = { ...one, handle: { ...one.handle, tenant: OTHER_TENANT } };
    for (let batch = 0; batch < 4; batch += 1)
      await client.request({ op: "issueBatch", items: [one, one, other, one, other] });
    const { entries } = deployment.ledger.issuance;
    assert.equal(entries.length, 20);
    // Eight bytes that are equal by chance would be one in 2^50 here.
    const windows = new Set<string>();
    for (const entry of entries) {
      assert.deepEqual([entry.length, entry[0]], [65, 1]);
      for (let at = 1; at + 8 <= 65; at += 1) windows.add(entry.toString("hex", at, at + 8));
    }
    assert.equal(windows.size, 20 * 57);
    const published = Buffer.concat(entries).toString("latin1");
    for (const secret of [TENANT, OTHER_TENANT, "app-1", "user-1", "api://one", "enterprise"]) {
      const bytes = Buffer.from(secret.replaceAll("-", ""), "hex");
      assert.equal(published.includes(secret), false);
      assert.equal(published.includes(hash("sha256", secret, "buffer").toString("latin1")), false);
      if (bytes.length === 16) assert.equal(published.includes(bytes.toString("latin1")), false);
    }
  });

  it("a commitment says nothing without the blob: the same token sealed twice has two", () => {
    const sealer = new BodySealer(randomBytes(32), LOG);
    const token = unsignedToken(TENANT, NOW);
    const [a, b] = [sealer.seal([token]), sealer.seal([token])];
    assert.deepEqual(a.entries[0]?.subarray(0, 33), b.entries[0]?.subarray(0, 33));
    assert.notDeepEqual(a.entries[0]?.subarray(33), b.entries[0]?.subarray(33));
  });
});

describe("blobs", () => {
  const sealer = new BodySealer(Buffer.alloc(32, 7), LOG);

  it("one for each tenant and day, each commitment by its position in it", () => {
    const tokens = [
      unsignedToken(TENANT, NOW),
      unsignedToken(OTHER_TENANT, NOW),
      unsignedToken(TENANT, NOW + DAY),
      unsignedToken(TENANT, NOW + 1),
    ];
    const { entries, blobs } = sealer.seal(tokens);
    assert.deepEqual(blobs.map(idOf), [
      `${TENANT}/2026-11-23`,
      `${OTHER_TENANT}/2026-11-23`,
      `${TENANT}/2026-11-24`,
    ]);
    const places = [
      [0, 0],
      [1, 0],
      [2, 0],
      [0, 1],
    ] as const;
    for (const [place, [blob, position]] of places.entries()) {
      const digest = hash("sha256", blobs[blob] ?? Buffer.alloc(0), "buffer");
      const commitment = hash(
        "sha256",
        Buffer.concat([Buffer.from([0, position]), digest]),
        "buffer",
      );
      assert.deepEqual(entries[place]?.subarray(33), commitment);
      assert.deepEqual(entries[place]?.subarray(1, 33), tokens[place]?.digest);
    }
  });

  it("the last second of a day and the first of the next are two days", () => {
    const midnight = Math.ceil(NOW / DAY) * DAY;
    const { blobs } = sealer.seal([
      unsignedToken(TENANT, midnight - 1),
      unsignedToken(TENANT, midnight),
    ]);
    assert.deepEqual(blobs.map(idOf), [`${TENANT}/2026-11-23`, `${TENANT}/2026-11-24`]);
  });

  it("no nonce twice", () => {
    const nonces = new Set<string>();
    for (let count = 0; count < 200; count += 1)
      for (const blob of sealer.seal([unsignedToken(TENANT, NOW)]).blobs)
        nonces.add(blob.toString("hex", 2 + (blob[1] ?? 0), 14 + (blob[1] ?? 0)));
    assert.equal(nonces.size, 200);
  });
});

function idOf(blob: Buffer): string {
  return blob.toString("utf8", 2, 2 + (blob[1] ?? 0));
}
