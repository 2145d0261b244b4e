import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { setImmediate as setImmediatePromise } from "node:timers/promises";
import { canonicalJson } from "./canonical.ts";
import { isJsonObject, parseJsonObject, type JsonObject } from "./json.ts";
import { createReportQueue, type ReportQueue } from "./report-queue.ts";
import type { ReportAlarm, ReportQueueOptions } from "./report-options.ts";
import type { Sighting } from "./report-evidence.ts";
import { reporterKey, signedHeaders } from "./report-signature.ts";
import { NOW } from "./testing/fixture.ts";
import { pinOf, signText, testKey } from "./testing/keys.ts";
import {
  ManualSchedule,
  until,
  withSite,
  type Site,
  type SiteAnswer,
  type SiteRequest,
} from "./testing/site.ts";

const SECRET = Buffer.alloc(32, 7).toString("base64url");
const SIGNER = { reporter: "orders-1", key: reporterKey(SECRET) };

/** A monitor as docs/spec/reports.md has it. */
class Monitor {
  readonly site: Site;
  readonly time = new ManualSchedule();
  readonly alarms: ReportAlarm[] = [];
  readonly evidence: JsonObject[] = [];
  readonly reports: JsonObject[] = [];
  wanted: readonly string[] = [];
  auditAgeSeconds = 1;
  /** Milliseconds. */
  now: number = NOW * 1000;
  /** Replaces the answer to a report. */
  forge: (answer: { ack: JsonObject; sig: string }) => SiteAnswer = (answer) => ({
    body: JSON.stringify({ ...answer, evidenceWanted: this.wanted }),
  });

  constructor(site: Site) {
    this.site = site;
    site.handler = (request) => this.#answer(request);
  }

  queue(changes: Partial<ReportQueueOptions> = {}): ReportQueue {
    return createReportQueue({
      url: this.site.origin,
      reporter: "orders-1",
      secret: SECRET,
      ackKey: pinOf(testKey("monitor-ack")),
      onAlarm: (alarm) => this.alarms.push(alarm),
      now: () => this.now,
      schedule: this.time.schedule,
      random: () => 1,
      ...changes,
    });
  }

  /** Of each report: its number, how many items, and whether it was the goodbye. */
  said(): readonly (readonly unknown[])[] {
    return this.reports.map(({ seq, items, closing }) => [
      seq,
      Array.isArray(items) ? items.length : -1,
      closing,
    ]);
  }

  #answer({ path, method, body, headers }: SiteRequest): SiteAnswer {
    assert.equal(method, "POST");
    const signed = signedHeaders(SIGNER, path, body, this.now);
    for (const [name, value] of Object.entries(signed)) assert.equal(headers[name], value);
    // P4, THREAT-31: what a monitor sees of a reporter lets nobody report in its name.
    assert.equal(JSON.stringify(headers).includes(SECRET), false);
    assert.equal(headers.authorization, undefined);
    if (path === "/evidence") {
      this.evidence.push(parseJsonObject(body));
      return { status: 204 };
    }
    assert.equal(path, "/reports");
    const report = parseJsonObject(body);
    this.reports.push(report);
    const { session = "", seq = 0, items } = report;
    const ack = {
      v: 1,
      reporter: "orders-1",
      session,
      seq,
      at: NOW,
      items: Array.isArray(items) ? items.length : -1,
      sha256: hash("sha256", body, "base64url"),
      auditAgeSeconds: this.auditAgeSeconds,
    };
    return this.forge({ ack, sig: sealAck(ack) });
  }
}

function sealAck(ack: JsonObject, key = "monitor-ack"): string {
  return signText(testKey(key), `redoubt/ack/v1\n${canonicalJson(ack)}`);
}

function withMonitor(run: (monitor: Monitor) => Promise<void>): Promise<void> {
  return withSite((site) => run(new Monitor(site)));
}

function throws(): never {
  throw new Error("The listener's own fault");
}

function sighting(changes: Partial<Sighting> = {}): Sighting {
  return {
    digest: randomBytes(32).toString("base64url"),
    kid: "k1",
    alg: "ES256",
    signature: "c2ln",
    expiresAt: NOW + 3600,
    ...changes,
  };
}

describe("createReportQueue()", () => {
  it("sends each distinct digest once and forgets it after the acknowledgement", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const [a, b] = [sighting(), sighting({ kid: "k2" })];
      for (const item of [a, b, a]) queue.add(item);
      assert.equal(queue.status().pending, 2);
      await queue.flush();
      const [report] = monitor.reports;
      assert.deepEqual(report?.["items"], [
        { digest: a.digest, kid: "k1", at: NOW, count: 2 },
        { digest: b.digest, kid: "k2", at: NOW, count: 1 },
      ]);
      assert.deepEqual([report["v"], report["seq"]], [1, 1]);
      assert.match(JSON.stringify(report["session"]), /^"[\w-]{22}"$/);
      queue.add(a);
      await queue.flush();
      assert.equal(monitor.reports.length, 1);
      assert.deepEqual(queue.status(), {
        pending: 0,
        acknowledged: 2,
        dropped: 0,
        refused: 0,
        failures: 0,
        lastAcknowledgedAt: monitor.now,
        auditAgeSeconds: 1,
      });
      await queue.close();
      assert.deepEqual(monitor.alarms, []);
    }));

  it("says for whom and when a token was issued, where that is short enough to say", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      queue.add(sighting({ audience: "api://orders", issuedAt: NOW - 5.5 }));
      queue.add(sighting({ audience: "x".repeat(512) }));
      queue.add(sighting({ audience: "x".repeat(513) }));
      queue.add(sighting({ audience: "" }));
      await queue.close();
      const [report] = monitor.reports;
      assert.ok(Array.isArray(report?.["items"]));
      assert.deepEqual(
        report["items"].map(({ aud, iat }) => [aud?.length, iat]),
        [
          [12, NOW - 6],
          [512, undefined],
          [undefined, undefined],
          [undefined, undefined],
        ],
      );
    }));

  it("sends its counts once a minute, in a report of their own, and the rest with the goodbye", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const accept = (): void => queue.count?.({ kind: "at", issuer: "https://id.example" });
      accept();
      queue.add(sighting());
      await queue.flush();
      assert.equal(monitor.reports[0]?.["counts"], undefined);
      monitor.now += 60_000;
      queue.add(sighting());
      await queue.flush();
      accept();
      queue.add(sighting());
      await queue.close();
      const said = monitor.reports.map(({ items, counts, closing }) => [
        Array.isArray(items) ? items.length : -1,
        isJsonObject(counts) ? counts["from"] : undefined,
        closing,
      ]);
      assert.deepEqual(said, [
        [1, undefined, undefined],
        [0, NOW, undefined],
        [1, undefined, undefined],
        [0, NOW + 60, undefined],
        [1, undefined, true],
      ]);
      assert.equal(queue.status().acknowledged, 3);
    }));

  it("says goodbye with counts alone, of a queue that never had a token", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      queue.count?.({ kind: "at", issuer: undefined, refusal: "ERR_JWS_INVALID" });
      await queue.close();
      assert.deepEqual(
        monitor.reports.map(({ counts, closing }) => [counts !== undefined, closing]),
        [
          [true, undefined],
          [false, true],
        ],
      );
    }));

  it("sends counts that met another report's number again, and drops those that are refused", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const { forge } = monitor;
      queue.count?.({ kind: "at", issuer: "https://id.example" });
      monitor.now += 60_000;
      monitor.forge = () => ({ status: 409 });
      await queue.flush();
      monitor.forge = forge;
      await queue.flush();
      assert.deepEqual(
        monitor.reports.map(({ seq, counts }) => [seq, isJsonObject(counts) && counts["from"]]),
        [
          [1, NOW],
          [2, NOW],
        ],
      );
      queue.count?.({ kind: "at", issuer: "https://id.example" });
      monitor.now += 60_000;
      const item = sighting();
      queue.add(item);
      let refusals = 0;
      monitor.forge = (answer) => {
        refusals += 1;
        return refusals === 1 ? { status: 400 } : forge(answer);
      };
      await queue.flush();
      assert.deepEqual(
        monitor.alarms.map(({ kind, status }) => [kind, status]),
        [
          ["reportRefused", 409],
          ["reportRefused", 400],
        ],
      );
      assert.equal(queue.status().pending, 0);
      await queue.close();
      assert.deepEqual(
        monitor.reports.slice(2).map(({ counts, closing }) => [counts !== undefined, closing]),
        [
          [true, undefined],
          [false, undefined],
          [false, true],
        ],
      );
    }));

  it("knows a digest again for the life of its token, and no longer", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const item = sighting({ expiresAt: NOW + 100 });
      queue.add(item);
      await queue.flush();
      monitor.now = (NOW + 99) * 1000;
      queue.add(item);
      assert.equal(queue.status().pending, 0);
      monitor.now = (NOW + 100) * 1000;
      queue.add(item);
      assert.equal(queue.status().pending, 1);
      await queue.close();
    }));

  it("knows a digest for an hour where nobody says how long its token lives", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const { expiresAt: _, ...item } = sighting();
      queue.add(item);
      await queue.flush();
      monitor.now = (NOW + 3599) * 1000;
      queue.add(item);
      assert.equal(queue.status().pending, 0);
      monitor.now = (NOW + 3600) * 1000;
      queue.add(item);
      assert.equal(queue.status().pending, 1);
      await queue.close();
    }));

  it("sends to a monitor below a path, with and without the last slash", () =>
    withMonitor(async (monitor) => {
      const { handler } = monitor.site;
      monitor.site.handler = (request) =>
        handler({ ...request, path: request.path.replace("/base/", "/") });
      for (const end of ["", "/"]) {
        const queue = monitor.queue({ url: `${monitor.site.origin}/base${end}` });
        queue.add(sighting());
        await queue.close();
        assert.equal(queue.status().acknowledged, 1);
      }
      assert.deepEqual(
        monitor.site.requests.map(({ path }) => path),
        ["/base/reports", "/base/reports"],
      );
    }));

  it("sends by itself within the interval, and more than one report when there is much", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue({ intervalMs: 4000 });
      for (let i = 0; i < 1500; i += 1) queue.add(sighting());
      monitor.time.fire();
      await until(() => monitor.time.isPlanned);
      const sizes = monitor.reports.map(({ items }) => (Array.isArray(items) ? items.length : -1));
      assert.deepEqual(sizes, [1000, 500]);
      assert.deepEqual(
        monitor.reports.map(({ seq }) => seq),
        [1, 2],
      );
      assert.deepEqual(monitor.time.delays, [4000, 4000]);
      await queue.close();
      assert.equal(monitor.time.isPlanned, false);
    }));

  it("keeps a report below 256 KiB however long the kids are", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      for (let i = 0; i < 1000; i += 1) queue.add(sighting({ kid: "k".repeat(256) }));
      await queue.flush();
      assert.equal(queue.status().acknowledged, 1000);
      for (const { body } of monitor.site.requests) assert.equal(body.length <= 262_144, true);
      await queue.close();
    }));

  it("THREAT-31: forgets nothing without an acknowledgement of exactly this report", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      queue.add(sighting());
      const good = monitor.forge;
      const changes: readonly JsonObject[] = [
        { v: 2 },
        { reporter: "orders-2" },
        { session: "A".repeat(22) },
        { seq: 2 },
        { items: 0 },
        { sha256: "A".repeat(43) },
        { auditAgeSeconds: "0" },
        { auditAgeSeconds: -1 },
      ];
      for (const change of changes) {
        monitor.forge = ({ ack }) => {
          const wrong = { ...ack, ...change };
          return { body: JSON.stringify({ ack: wrong, sig: sealAck(wrong) }) };
        };
        await queue.flush();
        assert.equal(queue.status().pending, 1, JSON.stringify(change));
      }
      for (const body of [
        "",
        "{}",
        "[]",
        "not JSON",
        '{"ack":{},"sig":"AA"}',
        '{"ack":1,"sig":"AA"}',
        `{"ack":{},"sig":"${"A".repeat(86)}"}`,
      ]) {
        monitor.forge = () => ({ body });
        await queue.flush();
        assert.equal(queue.status().pending, 1, body);
      }
      for (const key of ["ring-enterprise", "attacker"]) {
        monitor.forge = ({ ack, sig }) => ({
          body: JSON.stringify({
            ack,
            sig: key === "attacker" ? sig.replace(/^./, "-") : sealAck(ack, key),
          }),
        });
        await queue.flush();
        assert.equal(queue.status().pending, 1, key);
      }
      assert.deepEqual(monitor.alarms, [{ kind: "reportAckInvalid", items: 1 }]);
      monitor.forge = good;
      await queue.flush();
      assert.equal(queue.status().pending, 0);
      // The same session, number and bytes each time: the monitor can answer a repetition.
      const bodies = new Set(monitor.site.requests.map(({ body }) => body.toString()));
      assert.equal(bodies.size, 1);
      await queue.close();
    }));

  it("P4: says once that the monitor sees nothing, when an acknowledgement says so, and again after it saw", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      assert.equal(queue.status().auditAgeSeconds, null);
      for (const seconds of [29, 30, 31, 0, 600]) {
        monitor.auditAgeSeconds = seconds;
        queue.add(sighting());
        await queue.flush();
        assert.deepEqual([queue.status().pending, queue.status().auditAgeSeconds], [0, seconds]);
      }
      assert.deepEqual(monitor.alarms, [
        { kind: "auditBlind", items: 0, seconds: 30 },
        { kind: "auditBlind", items: 0, seconds: 600 },
      ]);
      await queue.close();
    }));

  it("keeps everything over refusals and outages, backs off, and says so", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue({ intervalMs: 1000 });
      const good = monitor.forge;
      queue.add(sighting());
      const answers: readonly SiteAnswer[] = [
        { status: 503 },
        { status: 401 },
        { status: 429, headers: { "retry-after": "15" } },
        { status: 302, headers: { location: "/else" } },
        { status: 200, body: " ".repeat(262_145) },
        { status: 503, headers: { "retry-after": "9999999999" } },
      ];
      for (const answer of answers) {
        monitor.forge = () => answer;
        monitor.time.fire();
        await until(() => monitor.time.isPlanned);
        assert.equal(queue.status().pending, 1);
      }
      assert.deepEqual(monitor.alarms, [{ kind: "reportRefused", items: 1, status: 401 }]);
      assert.deepEqual(monitor.time.delays, [1000, 2000, 4000, 15_000, 16_000, 20_000, 20_000]);
      monitor.forge = good;
      monitor.time.fire();
      await until(() => monitor.time.isPlanned);
      assert.equal(queue.status().pending, 0);
      assert.equal(queue.status().failures, 6);
      assert.equal(monitor.time.delays.at(-1), 1000);
      await queue.close();
    }));

  it("raises reportQueueFull instead of dropping in silence, once until it is well again", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue({ maxItems: 2 });
      for (let i = 0; i < 5; i += 1) queue.add(sighting());
      assert.deepEqual([queue.status().pending, queue.status().dropped], [2, 3]);
      assert.deepEqual(monitor.alarms, [{ kind: "reportQueueFull", items: 1 }]);
      await queue.flush();
      for (let i = 0; i < 3; i += 1) queue.add(sighting());
      assert.deepEqual(monitor.alarms, [
        { kind: "reportQueueFull", items: 1 },
        { kind: "reportQueueFull", items: 4 },
      ]);
      await queue.close();
    }));

  it("raises reportStale after 15 minutes without acknowledgement, and gives signs of life", () =>
    withMonitor(async (monitor) => {
      const good = monitor.forge;
      const queue = monitor.queue();
      await queue.flush();
      assert.deepEqual(
        monitor.reports.map(({ items }) => items),
        [[]],
      );
      const start = monitor.now;
      monitor.now = start + 59_999;
      await queue.flush();
      assert.equal(monitor.reports.length, 1);
      monitor.now = start + 60_000;
      await queue.flush();
      assert.equal(monitor.reports.length, 2);
      monitor.forge = () => ({ status: 503 });
      monitor.now = start + 60_000 + 899_999;
      await queue.flush();
      assert.deepEqual(monitor.alarms, []);
      monitor.now += 1;
      for (let i = 0; i < 3; i += 1) await queue.flush();
      assert.deepEqual(monitor.alarms, [{ kind: "reportStale", items: 0 }]);
      monitor.forge = good;
      await queue.flush();
      monitor.forge = () => ({ status: 503 });
      monitor.now += 900_000;
      await queue.flush();
      assert.equal(monitor.alarms.length, 2);
      await queue.close();
    }));

  it("raises reportStale also if there never was an acknowledgement", () =>
    withMonitor(async (monitor) => {
      monitor.forge = () => ({ status: 503 });
      const queue = monitor.queue();
      monitor.now += 900_000;
      await queue.flush();
      assert.deepEqual(monitor.alarms, [{ kind: "reportStale", items: 0 }]);
      await queue.close();
    }));

  it("answers for evidence with the signature, and with the signing input for Ed25519 only", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const es = sighting({ signingInput: "must.stay" });
      const ed = sighting({ alg: "Ed25519", signature: "ZWQ", signingInput: "aGVhZA.cGF5" });
      for (const item of [es, ed, sighting()]) queue.add(item);
      monitor.wanted = [es.digest, ed.digest, "unknown"];
      await queue.flush();
      assert.deepEqual(monitor.evidence, [
        {
          v: 1,
          items: [
            { digest: es.digest, kid: "k1", signature: "c2ln" },
            { digest: ed.digest, kid: "k1", signature: "ZWQ", signingInput: "aGVhZA.cGF5" },
          ],
        },
      ]);
      monitor.wanted = [];
      await queue.flush();
      assert.equal(monitor.evidence.length, 1);
      await queue.close();
    }));

  it("keeps evidence for ten minutes, and sends again what was not taken", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const item = sighting();
      queue.add(item);
      await queue.flush();
      const { handler } = monitor.site;
      monitor.site.handler = (request) =>
        request.path === "/evidence" ? { status: 500 } : handler(request);
      monitor.wanted = [item.digest];
      monitor.now += 599_999;
      await queue.flush();
      assert.equal(monitor.evidence.length, 0);
      monitor.site.handler = handler;
      monitor.wanted = [];
      await queue.flush();
      assert.equal(monitor.evidence.length, 1);
      monitor.wanted = [item.digest];
      monitor.now += 60_001;
      await queue.flush();
      assert.equal(monitor.evidence.length, 1);
      await queue.close();
    }));

  it("splits evidence into bounded bodies", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const items = Array.from({ length: 40 }, () =>
        sighting({ alg: "Ed25519", signingInput: "x".repeat(16_000) }),
      );
      for (const item of items) queue.add(item);
      monitor.wanted = items.map(({ digest }) => digest);
      await queue.flush();
      const digests = monitor.evidence.flatMap(({ items: sent }) =>
        Array.isArray(sent) ? sent : [],
      );
      assert.equal(digests.length, 40);
      for (const { path, body } of monitor.site.requests)
        if (path === "/evidence") assert.equal(body.length <= 262_144, true);
      await queue.close();
    }));

  for (const status of [400, 413])
    it(`a monitor that answers ${status} to a whole batch: the item is found, and nothing else is lost`, () =>
      withMonitor(async (monitor) => {
        const queue = monitor.queue();
        const items = Array.from({ length: 1000 }, () => sighting());
        const bad = new Set([items[0], items[700], items[701], items[999]]);
        const digests = [...bad].map((item) => item?.digest ?? "");
        const good = monitor.forge;
        monitor.forge = (answer) => {
          const body = monitor.site.requests.at(-1)?.body.toString() ?? "";
          return digests.some((digest) => body.includes(digest)) ? { status } : good(answer);
        };
        for (const item of items) queue.add(item);
        await queue.flush();
        const { pending, acknowledged, refused } = queue.status();
        assert.deepEqual([pending, acknowledged, refused], [0, 996, 4]);
        assert.deepEqual(
          monitor.alarms.map(({ kind, digests: named }) => [kind, named]),
          digests.map((digest) => ["reportItemRefused", [digest]]),
        );
        assert.equal(monitor.site.requests.length < 120, true);
        await queue.close();
      }));

  it("a monitor that answers 400 to everything: nothing is lost, and it is not asked for ever", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const good = monitor.forge;
      monitor.forge = () => ({ status: 400 });
      for (let i = 0; i < 1000; i += 1) queue.add(sighting());
      await queue.flush();
      await queue.flush();
      assert.equal(queue.status().pending, 1000);
      assert.deepEqual(monitor.alarms, [{ kind: "reportRefused", items: 1000, status: 400 }]);
      assert.equal(monitor.site.requests.length < 20, true);
      monitor.forge = good;
      await queue.flush();
      assert.deepEqual([queue.status().acknowledged, queue.status().refused], [1000, 0]);
      await queue.close();
    }));

  it("an answer that names refused items counts them, and must account for every item", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const [a, b, c] = [sighting(), sighting(), sighting()];
      for (const item of [a, b, c]) queue.add(item);
      let refused: unknown[] = [];
      monitor.forge = ({ ack }) => {
        const signed = { ...ack, items: 2 };
        return { body: JSON.stringify({ ack: signed, sig: sealAck(signed), refused }) };
      };
      const wrong: readonly unknown[][] = [
        [],
        [{ index: 0 }, { index: 1 }],
        [{ index: 3 }],
        [{ index: -1 }],
        [{ index: 0.5 }],
        [{ index: "1" }],
        [{}],
        [7],
      ];
      for (const value of wrong) {
        refused = value;
        await queue.flush();
        assert.equal(queue.status().pending, 3, JSON.stringify(value));
      }
      refused = [{ index: 1, digest: b.digest, code: "ERR_REQUEST_MEMBER" }];
      await queue.flush();
      const { pending, acknowledged, refused: count } = queue.status();
      assert.deepEqual([pending, acknowledged, count], [0, 2, 1]);
      assert.deepEqual(monitor.alarms.at(-1), {
        kind: "reportItemRefused",
        items: 1,
        digests: [b.digest],
      });
      await queue.close();
    }));

  it("goes on under the next number when its own is refused as used", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const good = monitor.forge;
      monitor.forge = () => ({ status: 409 });
      queue.add(sighting());
      await queue.flush();
      monitor.forge = good;
      await queue.flush();
      assert.deepEqual(
        monitor.reports.map(({ seq }) => seq),
        [1, 2],
      );
      assert.equal(queue.status().acknowledged, 1);
      await queue.close();
    }));

  for (const status of [400, 413])
    it(`evidence that is answered ${status}: the item is found, the rest is sent`, () =>
      withMonitor(async (monitor) => {
        const queue = monitor.queue();
        const items = Array.from({ length: 60 }, () => sighting());
        const bad = items[41]?.digest ?? "";
        const { handler } = monitor.site;
        monitor.site.handler = (request) =>
          request.path === "/evidence" && request.body.includes(bad)
            ? { status }
            : handler(request);
        for (const item of items) queue.add(item);
        monitor.wanted = items.map(({ digest }) => digest);
        await queue.flush();
        const sent = monitor.evidence.flatMap(({ items: list }) =>
          Array.isArray(list) ? list : [],
        );
        assert.equal(sent.length, 59);
        assert.deepEqual(monitor.alarms, [
          { kind: "reportItemRefused", items: 1, status, digests: [bad] },
        ]);
        const before = monitor.site.requests.length;
        monitor.wanted = [bad];
        queue.add(sighting());
        await queue.flush();
        assert.equal(monitor.site.requests.length, before + 1);
        await queue.close();
      }));

  it("evidence of which a monitor takes nothing at all is kept", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const items = [sighting(), sighting()];
      const { handler } = monitor.site;
      monitor.site.handler = (request) =>
        request.path === "/evidence" ? { status: 400 } : handler(request);
      for (const item of items) queue.add(item);
      monitor.wanted = items.map(({ digest }) => digest);
      await queue.flush();
      monitor.site.handler = handler;
      await queue.flush();
      const sent = monitor.evidence.flatMap(({ items: list }) => (Array.isArray(list) ? list : []));
      assert.equal(sent.length, 2);
      await queue.close();
    }));

  it("sends what waits when it is closed, and raises reportLost for what it could not", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      queue.add(sighting());
      await queue[Symbol.asyncDispose]();
      assert.equal(queue.status().acknowledged, 1);
      const unlucky = monitor.queue();
      monitor.forge = () => ({ status: 503 });
      unlucky.add(sighting());
      await unlucky.close();
      await unlucky.close();
      assert.deepEqual(monitor.alarms, [{ kind: "reportLost", items: 1 }]);
      unlucky.add(sighting());
      assert.deepEqual([unlucky.status().pending, unlucky.status().dropped], [1, 1]);
      queue.add(sighting());
      assert.deepEqual(monitor.alarms.length, 2);
      assert.equal(monitor.time.isPlanned, false);
    }));

  it("P4: says goodbye once when it is closed, with the last of what waits", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      await queue.flush();
      for (let i = 0; i < 1500; i += 1) queue.add(sighting());
      await queue.close();
      await queue.close();
      await queue.flush();
      assert.deepEqual(monitor.said(), [
        [1, 0, undefined],
        [2, 1000, undefined],
        [3, 500, true],
      ]);
      assert.deepEqual([queue.status().acknowledged, monitor.alarms], [1500, []]);
    }));

  it("P4: the first report of a queue may be its goodbye", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      queue.add(sighting());
      await queue.close();
      assert.deepEqual(monitor.said(), [[1, 1, true]]);
    }));

  it("P4: an empty goodbye where nothing waits, and none if it was never acknowledged", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      queue.add(sighting());
      await queue.flush();
      await queue.close();
      assert.deepEqual(monitor.said().slice(1), [[2, 0, true]]);
      const sent = monitor.reports.length;
      await monitor.queue().close();
      assert.equal(monitor.reports.length, sent);
    }));

  it("P4: what was sent without acknowledgement goes out again as it was, and the goodbye after it", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const good = monitor.forge;
      monitor.forge = () => ({ status: 503 });
      queue.add(sighting());
      await queue.flush();
      monitor.forge = good;
      await queue.close();
      assert.deepEqual(monitor.said(), [
        [1, 1, undefined],
        [1, 1, undefined],
        [2, 0, true],
      ]);
    }));

  it("P4: a goodbye that fails is not tried again", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      await queue.flush();
      monitor.forge = () => ({ status: 503 });
      await queue.close();
      assert.deepEqual(monitor.said(), [
        [1, 0, undefined],
        [2, 0, true],
      ]);
      assert.deepEqual([monitor.alarms, monitor.time.isPlanned], [[], false]);
    }));

  it("P4: closed while it sends, it still says goodbye once", () =>
    withMonitor(async (monitor) => {
      const item = sighting();
      monitor.wanted = [item.digest];
      const queue = monitor.queue();
      queue.add(item);
      const { handler } = monitor.site;
      let closing: Promise<void> | undefined;
      monitor.site.handler = (request) => {
        // Its round is past the reports.
        if (request.path === "/evidence") closing ??= queue.close();
        return handler(request);
      };
      await queue.flush();
      await closing;
      assert.deepEqual(monitor.said(), [
        [1, 1, undefined],
        [2, 0, true],
      ]);
    }));

  it("P4: no item is set aside for a goodbye that the monitor cannot read", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const good = monitor.forge;
      monitor.forge = (answer) =>
        monitor.reports.at(-1)?.["closing"] === true ? { status: 400 } : good(answer);
      queue.add(sighting());
      await queue.close();
      assert.deepEqual(monitor.said(), [
        [1, 1, true],
        [2, 1, undefined],
      ]);
      const { acknowledged, refused } = queue.status();
      assert.deepEqual([acknowledged, refused, monitor.alarms], [1, 0, []]);
    }));

  it("counts a token again that still waits, though it has expired since", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const item = sighting({ expiresAt: NOW - 10 });
      queue.add(item);
      queue.add(item);
      await queue.flush();
      const [report] = monitor.reports;
      const counts = Array.isArray(report?.["items"])
        ? report["items"].map((one) => Reflect.get(Object(one), "count"))
        : [];
      assert.deepEqual(counts, [2]);
      await queue.close();
    }));

  it("is closed once, and plans nothing any more", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      queue.add(sighting());
      await queue.close();
      const [said, planned] = [monitor.reports.length, monitor.time.delays.length];
      queue.add(sighting());
      await queue.close();
      await queue.flush();
      assert.deepEqual([monitor.reports.length, monitor.time.delays.length], [said, planned]);
    }));

  it("plans nothing either after a round that was under way when it was closed", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      queue.add(sighting());
      monitor.time.fire();
      const planned = monitor.time.delays.length;
      await queue.close();
      await setImmediatePromise();
      assert.deepEqual([monitor.reports.length > 0, monitor.time.delays.length], [true, planned]);
    }));

  it("does not try again what was lost when it is closed again", () =>
    withMonitor(async (monitor) => {
      monitor.forge = () => ({ status: 503 });
      const queue = monitor.queue();
      queue.add(sighting());
      await queue.close();
      const { failures } = queue.status();
      await queue.close();
      assert.equal(queue.status().failures, failures);
    }));

  it("sends counts that nobody answered again, with the same number", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue();
      const { forge } = monitor;
      await queue.flush();
      queue.count?.({ kind: "at", issuer: "https://id.example" });
      monitor.now += 60_000;
      monitor.forge = () => ({ status: 503 });
      await queue.flush();
      monitor.forge = forge;
      monitor.now -= 60_000;
      await queue.flush();
      const said = monitor.reports.map(({ seq, counts }) => [seq, counts !== undefined]);
      assert.deepEqual(said, [
        [1, false],
        [2, true],
        [2, true],
      ]);
      await queue.close();
    }));

  it("a listener that throws harms neither a token nor a report", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue({ maxItems: 1, onAlarm: throws });
      queue.add(sighting());
      queue.add(sighting());
      assert.equal(queue.status().dropped, 1);
      await queue.flush();
      assert.equal(queue.status().acknowledged, 1);
      await queue.close();
    }));

  it("keeps signatures up to their bound in bytes, the newest", () =>
    withMonitor(async (monitor) => {
      const queue = monitor.queue({ maxEvidenceBytes: 3000 });
      const items = Array.from({ length: 10 }, () => sighting());
      for (const item of items) queue.add(item);
      monitor.wanted = items.map(({ digest }) => digest);
      await queue.flush();
      const sent = monitor.evidence.flatMap(({ items: some }) => (Array.isArray(some) ? some : []));
      assert.ok(sent.length > 0 && sent.length < items.length, String(sent.length));
      assert.equal(Reflect.get(Object(sent.at(-1)), "digest"), items.at(-1)?.digest);
      await queue.close();
    }));

  it("refuses unsafe addresses and other mistakes", () => {
    const monitorOptions = {
      url: "https://monitor.example",
      reporter: "orders-1",
      secret: SECRET,
      ackKey: pinOf(testKey("monitor-ack")),
      onAlarm: () => undefined,
      schedule: () => () => undefined,
    };
    createReportQueue(monitorOptions);
    createReportQueue({ ...monitorOptions, url: "http://127.0.0.1:1/base/" });
    for (const changes of [
      { url: "http://monitor.example" },
      { url: "https://user@monitor.example" },
      { url: "https://monitor.example/?a=b" },
      { url: "https://monitor.example/#a" },
      { url: "file:///tmp" },
      { url: "" },
      { reporter: "" },
      { reporter: "a:b" },
      { reporter: 'a"b' },
      { reporter: "ä" },
      { reporter: "a\n" },
      { reporter: "n".repeat(65) },
      { secret: "" },
      { secret: SECRET.slice(1) },
      { secret: `${SECRET}A` },
      { secret: `${SECRET}\n` },
      { secret: `${SECRET.slice(1)}B` },
      { ackKey: "" },
      { intervalMs: 0 },
      { intervalMs: 5001 },
      { maxItems: 0 },
      { maxItems: 0.5 },
      { maxItems: 1.5 },
      { maxEvidenceBytes: 0 },
      { maxItem: 10 },
    ])
      assert.throws(
        () => createReportQueue({ ...monitorOptions, ...changes }),
        TypeError,
        JSON.stringify(changes),
      );
    const untyped: { create(options: unknown): unknown } = { create: createReportQueue };
    assert.throws(() => untyped.create({ ...monitorOptions, onAlarm: undefined }), TypeError);
  });
});
