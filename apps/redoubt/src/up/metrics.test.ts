import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { ServiceName } from "../layout.ts";
import { metricsPages, renderMetrics, type Children } from "./metrics.ts";

interface Answers {
  readonly status?: unknown;
  readonly metrics?: unknown;
}

const WELL: Answers = {
  status: { ready: true },
  metrics: '{"samples":[{"name":"redoubt_tokens_issued_total","value":3}]}',
};
const SPACE = { freeBytes: 5e9, level: "enough" } as const;

function pagesOf(
  answers: Readonly<Partial<Record<ServiceName, Answers>>>,
  asked: string[] = [],
): ReturnType<typeof metricsPages> {
  const children: Children = new Map(
    SERVICES.flatMap((service) => {
      const own = answers[service];
      if (!own) return [];
      const ask = async (type: keyof Answers, withinMs = Infinity): Promise<unknown> => {
        asked.push(`${service} ${type} ${withinMs}`);
        await pause(1);
        return own[type];
      };
      return [[service, { isReady: true, pid: 7, restarts: 2, ask }] as const];
    }),
  );
  return metricsPages(children, () => ({ space: SPACE, linesLost: 4 }));
}

const SERVICES = ["ledger", "monitor", "issuer-consumer", "issuer-enterprise"] as const;

async function shown(pages: ReturnType<typeof pagesOf>, path: string) {
  return (await pages[path]?.()) ?? assert.fail(path);
}

describe("/metrics", () => {
  it("says one family once, with process and realm of each sample as the supervisor knows them", async () => {
    const pages = pagesOf({ "issuer-consumer": WELL, "issuer-enterprise": WELL });
    const { status, type, body } = await shown(pages, "/metrics");
    assert.deepEqual([status, type], [200, "text/plain; version=0.0.4; charset=utf-8"]);
    assert.equal(body.split("# TYPE redoubt_tokens_issued_total counter\n").length, 2);
    for (const realm of ["consumer", "enterprise"])
      for (const line of [
        "redoubt_tokens_issued_total{P} 3",
        "redoubt_up{P} 1",
        "redoubt_restarts_total{P} 2",
      ])
        assert.ok(
          body.includes(`\n${line.replace("P", `process="issuer-${realm}",realm="${realm}"`)}\n`),
          line,
        );
    assert.match(body, /\nredoubt_log_lines_lost_total 4\n/);
    assert.match(body, /\nredoubt_disk_free_bytes 5000000000\n/);
  });

  it("shows nothing of a process that says what it may not, or nothing, and all of the others", async () => {
    const forms = [
      undefined,
      "",
      '{"samples":[{"name":"redoubt_up","value":1}]}',
      '{"samples":[{"name":"redoubt_tokens_issued_total","value":9}]}',
      '{"samples":[{"name":"redoubt_log_entries","label":"a\\"} 1\\nredoubt_up 1","value":9}]}',
      { samples: [] },
    ];
    for (const metrics of forms) {
      const pages = pagesOf({ ledger: { ...WELL, metrics }, "issuer-consumer": WELL });
      const { body } = await shown(pages, "/metrics");
      const ofLedger = body.split("\n").filter((line) => line.includes('"ledger"'));
      assert.deepEqual(ofLedger, [
        'redoubt_up{process="ledger"} 0',
        'redoubt_ready{process="ledger"} 1',
        'redoubt_restarts_total{process="ledger"} 2',
      ]);
      assert.match(body, /redoubt_tokens_issued_total\{process="issuer-consumer"/);
      assert.doesNotMatch(body, / 9$/m);
    }
  });

  it("shows no more of a process that has new labels again and again", async () => {
    let turn = 0;
    const answers = {
      status: { ready: true },
      get metrics() {
        turn += 1;
        const samples = Array.from({ length: 400 }, (_, i) => ({
          name: "redoubt_log_entries",
          label: turn === 4 ? `log-1-${i}` : `log-${turn}-${i}`,
          value: 1,
        }));
        return JSON.stringify({ samples });
      },
    };
    const pages = pagesOf({ ledger: answers });
    const up: boolean[] = [];
    for (let i = 0; i < 4; i += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one page after the other
      const { body } = await shown(pages, "/metrics");
      up.push(body.includes('redoubt_up{process="ledger"} 1'));
    }
    assert.deepEqual(up, [true, true, false, true]);
  });

  it("asks each process once and for a second at most, however many look", async () => {
    const asked: string[] = [];
    const pages = pagesOf({ ledger: WELL }, asked);
    await Promise.all(Array.from({ length: 20 }, () => shown(pages, "/metrics")));
    assert.deepEqual(asked, ["ledger status 1000", "ledger metrics 1000"]);
    await shown(pages, "/metrics");
    assert.equal(asked.length, 4);
  });
});

describe("renderMetrics()", () => {
  it("escapes what a label can hold", () => {
    const labels = { process: 'a"b\\c\nd' };
    const text = renderMetrics([{ name: "redoubt_up", value: 1, labels }]);
    assert.ok(text.endsWith('\nredoubt_up{process="a\\"b\\\\c\\nd"} 1\n'), text);
    assert.equal(text.trim().split("\n").length, 3);
  });

  it("adds up the buckets of a histogram, to the count of all", () => {
    const labels = { process: "issuer-consumer" };
    const counts = [1, 2, 0, 0, 0, 4];
    const name = "redoubt_token_issuance_seconds";
    const text = renderMetrics([{ name, value: 12.5, counts, labels }]);
    const numbers = text.split("\n").filter((line) => line.startsWith(name));
    assert.deepEqual(
      numbers.map((line) => line.replaceAll('process="issuer-consumer"', "P").slice(name.length)),
      [
        '_bucket{P,le="0.005"} 1',
        '_bucket{P,le="0.02"} 3',
        '_bucket{P,le="0.1"} 3',
        '_bucket{P,le="0.5"} 3',
        '_bucket{P,le="2"} 3',
        '_bucket{P,le="+Inf"} 7',
        "_sum{P} 12.5",
        "_count{P} 7",
      ],
    );
  });
});

describe("/readyz and /livez", () => {
  it("200 when every process is ready", async () => {
    const { status, body } = await shown(pagesOf({ ledger: WELL, monitor: WELL }), "/readyz");
    assert.deepEqual([status, body], [200, "ready\n"]);
  });

  it("503 with one line for each that is not, whatever it gives as its reason", async () => {
    const reasons = [
      ["audit-blind", "audit-blind"],
      ["two\nlines\u001b[31m", "two?lines?[31m"],
      ["x".repeat(5000), "x".repeat(200)],
      [{ toString: "hostile" }, "is not ready"],
      [7, "is not ready"],
    ] as const;
    for (const [reason, line] of reasons) {
      const monitor = { ...WELL, status: { ready: false, reason } };
      const { status, body } = await shown(pagesOf({ ledger: WELL, monitor }), "/readyz");
      assert.deepEqual([status, body], [503, `monitor: ${line}\n`]);
    }
    const silent = await shown(pagesOf({ ledger: {}, monitor: WELL }), "/readyz");
    assert.deepEqual([silent.status, silent.body], [503, "ledger: does not answer\n"]);
    assert.equal((await shown(pagesOf({ ledger: {} }), "/livez")).status, 200);
  });
});
