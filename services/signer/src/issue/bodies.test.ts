import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { Deployment, OTHER_TENANT, TENANT, WANTED } from "../testing/deployment.ts";
import { idOf, nonceOf, openBlob } from "../testing/open-blob.ts";
import { grant, unsignedToken } from "../testing/unsigned-token.ts";
import { BodySealer } from "./bodies.ts";
import { buildToken } from "./token.ts";

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
  const bodyKey = Buffer.alloc(32, 7);
  const sealer = new BodySealer(bodyKey, LOG);
  const opened = (blob: Buffer, count: number): object[] =>
    openBlob(blob, { bodyKey, origin: LOG, count });

  it("one for each tenant and day, each commitment by its position in it", () => {
    const tokens = [
      unsignedToken(TENANT, NOW),
      unsignedToken(OTHER_TENANT, NOW),
      unsignedToken(TENANT, NOW + DAY),
      unsignedToken(TENANT, NOW + 1),
    ];
    const { entries, blobs } = sealer.seal(tokens);
    assert.deepEqual(blobs.map(idOf), [
      { tenant: TENANT, date: "2026-11-23" },
      { tenant: OTHER_TENANT, date: "2026-11-23" },
      { tenant: TENANT, date: "2026-11-24" },
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
    assert.deepEqual(
      blobs.map((blob) => idOf(blob).date),
      ["2026-11-23", "2026-11-24"],
    );
  });

  it("no nonce twice", () => {
    const nonces = new Set<string>();
    for (let count = 0; count < 200; count += 1)
      for (const blob of sealer.seal([unsignedToken(TENANT, NOW)]).blobs)
        nonces.add(nonceOf(blob).toString("hex"));
    assert.equal(nonces.size, 200);
  });

  it("hold every body, as the specification says to read them", () => {
    const JTIS = ["a", "b", "c"];
    const changes = [{}, { subject: "user-2", scope: "read" }, { context: { why: "a test" } }];
    const tokens = changes.map((change, i) =>
      buildToken(
        grant({ tenant: TENANT, ...change }),
        "issuer",
        JTIS[i] ?? "",
        NOW + (i > 1 ? 1 : 0),
      ),
    );
    const [blob = Buffer.alloc(0)] = sealer.seal(tokens).blobs;
    const common = { aud: "api://one", caller: "issuer", client: "app-1", tid: TENANT };
    const kid = tokens[0]?.key.kid;
    assert.deepEqual(opened(blob, 3), [
      { ...common, exp: NOW + 600, iat: NOW, jti: "a", kid, sub: "user-1" },
      { ...common, exp: NOW + 600, iat: NOW, jti: "b", kid, scope: "read", sub: "user-2" },
      {
        ...common,
        context: changes[2]?.context,
        exp: NOW + 601,
        iat: NOW + 1,
        jti: "c",
        kid,
        sub: "user-1",
      },
    ]);
    const [alone = Buffer.alloc(0)] = sealer.seal(tokens.slice(1, 2)).blobs;
    assert.deepEqual(opened(alone, 1), opened(blob, 3).slice(1, 2));
  });

  it("take few bytes for each token where only the token ids differ", () => {
    const tokens = Array.from({ length: 64 }, () => unsignedToken(TENANT, NOW));
    const [blob = Buffer.alloc(0)] = sealer.seal(tokens).blobs;
    assert.ok(blob.length < 64 * 29, String(blob.length));
  });
});
