import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { JsonObject } from "@redoubt/verify/json";
import type { Requester } from "@redoubt/wire";
import { readTokenCounts, readVerifications } from "./tokens.ts";
import { countsOf, workloadsOf } from "./mfa.ts";
import { percent, shareOf } from "./share.ts";
import { readTap } from "./tap.ts";

/** A monitor that has these rows, two on a page. */
function monitorOf(rows: readonly JsonObject[]): Requester {
  return requester((head) => {
    const from = "from" in head && typeof head.from === "number" ? head.from : 0;
    const items = rows.slice(from, from + 2);
    return { items, next: from + 2 < rows.length ? from + 2 : null };
  });
}

function requester(answer: (head: object) => JsonObject): Requester {
  return { request: async (head) => ({ head: answer(head), attachment: Buffer.alloc(0) }) };
}

const stuck = requester(() => ({ items: [], next: 0 }));

describe("counts of coverage", () => {
  it("are read to the last page", async () => {
    const rows = Array.from({ length: 5 }, (_, i) => ({
      realm: "enterprise",
      audience: i === 0 ? null : `api://${i}`,
      issued: i,
      seen: 0,
    }));
    assert.deepEqual(await readTokenCounts(monitorOf(rows), 0), rows);
  });

  it("of verifiers become one row for what one version did with one issuer's tokens", async () => {
    const named = { reporter: "a", sdk: "s/1", issuer: "https://id.example", kind: "at" };
    const rows = [
      { ...named, outcome: null, count: 7 },
      { ...named, outcome: "ERR_A", count: 2 },
      { ...named, outcome: "ERR_B", count: 3 },
      { ...named, issuer: null, outcome: "ERR_A", count: 1 },
    ];
    assert.deepEqual(await readVerifications(monitorOf(rows), 0), [
      { ...named, accepted: 7, refused: { ERR_A: 2, ERR_B: 3 } },
      { ...named, issuer: null, accepted: 0, refused: { ERR_A: 1 } },
    ]);
  });

  it("that begin again where they were are refused: a question without an end", async () => {
    await assert.rejects(readTokenCounts(stuck, 0), { code: "ERR_COVERAGE" });
  });

  it("have no share of nothing", () => {
    assert.equal(shareOf(0, 0), null);
    assert.equal(shareOf(1, 4), 0.25);
  });
});

const orders = (digest: string): string =>
  JSON.stringify({ at: 5, digest, audience: "api://orders" });

describe("a gateway's tap", () => {
  const digests = Array.from({ length: 2500 }, () => randomBytes(32).toString("base64url"));
  const [first = "", second = "", third = ""] = digests;

  /** Knows all but the first, and saw every second one. */
  const monitor = requester((head) => {
    assert.ok("digests" in head && Array.isArray(head.digests) && head.digests.length <= 1000);
    return {
      items: head.digests.map((digest: string) => ({
        realm: digest === first ? null : "enterprise",
        seen: digest !== first && digests.indexOf(digest) % 2 === 0,
      })),
    };
  });

  async function read(text: string): Promise<Awaited<ReturnType<typeof readTap>>> {
    const folder = mkdtempSync(join(tmpdir(), "tap-"));
    try {
      writeFileSync(join(folder, "tap"), text);
      return await readTap(join(folder, "tap"), monitor);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it("counts each token once, by realm and by the audience that it names", async () => {
    const { rows, ...found } = await read(
      [first, second, second, orders(third), orders(second), ""].join("\r\n"),
    );
    assert.deepEqual(found, { tokens: 3, unknown: 1, unknownDigests: [first] });
    assert.deepEqual(rows, [
      { realm: "enterprise", audience: null, used: 1, seen: 0 },
      { realm: "enterprise", audience: "api://orders", used: 1, seen: 1 },
    ]);
  });

  it("may be longer than one question", async () => {
    const { tokens, rows, unknown } = await read(digests.join("\n"));
    assert.deepEqual([tokens, unknown], [2500, 1]);
    assert.deepEqual(rows, [{ realm: "enterprise", audience: null, used: 2499, seen: 1249 }]);
  });

  it("may be empty", async () => {
    assert.deepEqual(await read(""), { tokens: 0, rows: [], unknown: 0, unknownDigests: [] });
  });

  for (const [what, line] of Object.entries({
    "a token": "e30.e30.AAAA",
    "another object": '{"token":"x"}',
    "an audience that is none": JSON.stringify({ digest: second, audience: 5 }),
    "half an object": '{"digest":',
    "a digest with a stray last character": `${"A".repeat(42)}B`,
    "a line without end": `{"x":"${"y".repeat(5000)}"}`,
  }))
    it(`refuses ${what}, and names the line`, async () => {
      await assert.rejects(read(`${second}\n${line}\n`), { code: "ERR_TAP", message: /^Line 2 / });
    });

  it("that is not there is named", async () => {
    await assert.rejects(readTap("/nowhere/tap", monitor), {
      code: "ERR_TAP",
      message: "/nowhere/tap cannot be read (ENOENT)",
    });
  });
});

describe("coverage of people", () => {
  it("has a share of each tier, and of nothing none", () => {
    const counts = { none: 1, synced: 1, "device-bound": 2, attested: 4 };
    assert.deepEqual(countsOf(counts), [
      { tier: "none", count: 1, share: 0.125 },
      { tier: "synced", count: 1, share: 0.125 },
      { tier: "device-bound", count: 2, share: 0.25 },
      { tier: "attested", count: 4, share: 0.5 },
    ]);
    const nobody = countsOf({ none: 0, synced: 0, "device-bound": 0, attested: 0 });
    assert.ok(nobody.every(({ share }) => share === null));
  });

  it("is never rounded up to the whole", () => {
    assert.deepEqual([percent(null), percent(1), percent(0.9999)], ["-", "100.0 %", "99.9 %"]);
  });

  it("leaves workloads out: active clients through which nobody signs in", () => {
    const login = { redirectUris: ["https://a.example/"], logoutUris: [] };
    const common = { realm: "enterprise", tenant: "t" };
    const clients = [
      { ...common, client: "robot", status: "active" as const },
      { ...common, client: "portal", status: "active" as const, login },
      { ...common, client: "old", status: "disabled" as const },
    ];
    assert.deepEqual(workloadsOf(clients), [{ realm: "enterprise", tenant: "t", client: "robot" }]);
  });
});
