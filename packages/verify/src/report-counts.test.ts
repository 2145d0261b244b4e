import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parseJsonObject } from "./json.ts";
import { ReportCounts, SDK } from "./report-counts.ts";
import { REPORT_LIMITS } from "./report-limits.ts";
import { NOW } from "./testing/fixture.ts";

const ISSUER = "https://id.example/v2.0";
const now = (): number => NOW * 1000;

describe("the counts of a verifier", () => {
  it("are one row for each issuer and kind, and forgotten when they are taken", () => {
    const counts = new ReportCounts();
    for (let i = 0; i < 3; i += 1) counts.add({ kind: "at", issuer: ISSUER }, now);
    counts.add({ kind: "id", issuer: ISSUER }, now);
    counts.add({ kind: "at", issuer: ISSUER, refusal: "ERR_JWT_EXPIRED" }, now);
    counts.add({ kind: "at", issuer: undefined, refusal: "ERR_JWS_INVALID" }, now);
    counts.add({ kind: "at", issuer: undefined, refusal: "ERR_JWS_INVALID" }, now);
    assert.deepEqual(counts.take(), {
      from: NOW,
      sdk: SDK,
      rows: [
        { issuer: ISSUER, kind: "at", accepted: 3, refused: { ERR_JWT_EXPIRED: 1 } },
        { kind: "at", accepted: 0, refused: { ERR_JWS_INVALID: 2 } },
        { issuer: ISSUER, kind: "id", accepted: 1, refused: {} },
      ],
    });
    assert.equal(counts.isDue(now() + 1e9, true), false);
  });

  it("are due after a minute, at the end, and after a clock that was set back", () => {
    const counts = new ReportCounts();
    assert.equal(counts.isDue(now(), true), false);
    counts.add({ kind: "at", issuer: ISSUER }, now);
    assert.equal(counts.isDue(now() + 59_999, false), false);
    assert.equal(counts.isDue(now() + 60_000, false), true);
    assert.equal(counts.isDue(now() - 60_000, false), true);
    assert.equal(counts.isDue(now(), true), true);
  });

  it("that nobody took are added to those that came since, from the earlier time on", () => {
    const counts = new ReportCounts();
    counts.add({ kind: "at", issuer: ISSUER }, now);
    counts.add({ kind: "at", issuer: ISSUER, refusal: "ERR_JWT_EXPIRED" }, now);
    const taken = counts.take();
    counts.add({ kind: "at", issuer: ISSUER }, () => now() + 5000);
    counts.add({ kind: "at", issuer: ISSUER, refusal: "ERR_JWT_EXPIRED" }, now);
    counts.putBack(taken);
    const { from, rows } = counts.take();
    assert.equal(from, NOW);
    assert.deepEqual(rows, [
      { issuer: ISSUER, kind: "at", accepted: 2, refused: { ERR_JWT_EXPIRED: 2 } },
    ]);
  });

  it("of more issuers than one report takes go with the next; long names are cut", () => {
    const counts = new ReportCounts();
    for (let i = 0; i < REPORT_LIMITS.countRows; i += 1)
      counts.add({ kind: "at", issuer: `https://id.example/${i}` }, now);
    counts.add({ kind: "at", issuer: "x".repeat(600) }, now);
    assert.equal(counts.take().rows.length, REPORT_LIMITS.countRows);
    assert.equal(counts.isDue(now(), true), true);
    const { rows } = counts.take();
    assert.deepEqual(
      rows.map(({ issuer }) => issuer?.length),
      [REPORT_LIMITS.issuerChars],
    );
    assert.equal(counts.isDue(now(), true), false);
  });

  it("say the version that the package has", () => {
    const { version } = parseJsonObject(readFileSync(new URL("../package.json", import.meta.url)));
    assert.equal(typeof version, "string");
    assert.equal(SDK.replace("redoubt-verify/", ""), version);
  });
});
