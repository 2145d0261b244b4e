import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { METRICS, processHandler, readMetrics, samplesBy, samplesOf } from "./metrics.ts";

function refuses(kind: string, answer: unknown): void {
  assert.throws(() => readMetrics(kind, answer), { code: "ERR_REQUEST_MEMBER" });
}

function told(...samples: readonly unknown[]): string {
  return JSON.stringify({ samples });
}

function issued(value: unknown): string {
  return told({ name: "redoubt_tokens_issued_total", value });
}

function observed(counts?: readonly unknown[]): string {
  return told({ name: "redoubt_token_issuance_seconds", value: 1, counts });
}

function refused(label?: unknown): object {
  return { name: "redoubt_tokens_refused_total", label, value: 1 };
}

function logs(count: number): string {
  const name = "redoubt_log_entries";
  return told(...Array.from({ length: count }, (_, i) => ({ name, label: `log-${i}`, value: i })));
}

const HEALTH = [
  [{ ready: true, reason: "none" }, { ready: true }],
  [{ size: 3 }, { ready: true }],
  [{ ready: false }, { ready: false }],
  [
    { ready: false, reason: "ERR_LEDGER_FULL" },
    { ready: false, reason: "ERR_LEDGER_FULL" },
  ],
  [
    { ready: false, reason: "x".repeat(9000) },
    { ready: false, reason: "x".repeat(4096) },
  ],
] as const;

describe("metrics", () => {
  it("are read as they were written", () => {
    const samples = [
      ...samplesOf({ redoubt_batches_committed_total: 7, redoubt_sqlite_wal_bytes: undefined }),
      ...samplesBy("redoubt_log_entries", [
        ["example.org/a", 1],
        ["example.org/b", 0.5],
      ]),
    ];
    assert.equal(samples.length, 3);
    assert.deepEqual(readMetrics("ledger", told(...samples)), samples);
    assert.deepEqual(readMetrics("ledger", told()), []);
  });

  it("of a process are of its kind: no other name, no other process's, and not the supervisor's own", () => {
    const own = { name: "redoubt_tokens_issued_total", value: 1 };
    assert.deepEqual(readMetrics("issuer", told(own)), [own]);
    for (const kind of ["ledger", "signer", "monitor", "publisher", "kube-front", "supervisor", ""])
      refuses(kind, told(own));
    for (const name of ["redoubt_up", "redoubt_nothing", "up", "__proto__", "redoubt_up 1\nup"])
      refuses("issuer", told({ name, value: 1 }));
  });

  it("have the label that is declared, in its form, once for each value", () => {
    assert.equal(readMetrics("issuer", told(refused("ERR_A"), refused("ERR_B"))).length, 2);
    refuses("issuer", told(refused("ERR_A"), refused("ERR_A")));
    for (const label of [undefined, "", "err", 'ERR_A"} 1', "ERR_A\n", `ERR_${"A".repeat(61)}`, 1])
      refuses("issuer", told(refused(label)));
    refuses("issuer", told({ name: "redoubt_tokens_issued_total", label: "ERR_A", value: 1 }));
  });

  it("are finite numbers of 0 or more", () => {
    assert.equal(readMetrics("issuer", issued(1.5))[0]?.value, 1.5);
    for (const value of [-1, null, "1", Number.NaN, undefined, [1]])
      refuses("issuer", issued(value));
  });

  it("have the buckets of a histogram, and only of one", () => {
    assert.equal(readMetrics("issuer", observed([0, 0, 1, 0, 0, 2])).length, 1);
    for (const counts of [
      undefined,
      [],
      [0, 0, 1, 0, 0],
      [0, 0, 1, 0, 0, 0, 0],
      [0, 0, 1, 0, 0, -1],
    ])
      refuses("issuer", observed(counts));
    refuses("issuer", told({ name: "redoubt_tokens_issued_total", value: 1, counts: [] }));
  });

  it("are bounded in number and size, and nothing but text with this one object in it", () => {
    assert.equal(readMetrics("ledger", logs(512)).length, 512);
    refuses("ledger", logs(513));
    assert.throws(() => readMetrics("ledger", " ".repeat(300_000)), { code: "ERR_JSON_SIZE" });
    for (const answer of [undefined, null, {}, { samples: [] }, 7]) refuses("ledger", answer);
    for (const answer of ["{}", '{"samples":{}}', '{"samples":[],"more":1}'])
      refuses("ledger", answer);
  });

  it("and health are answered to the operator only; all else goes on to the process", async () => {
    const samples = samplesOf({ redoubt_batches_committed_total: 7 });
    let status: object = { ready: true };
    const process = { status: () => status, metrics: () => samples };
    const handler = processHandler(process, ({ op }) => ({ head: { passed: op } }));
    const ask = async (caller: string, op: string): Promise<unknown> =>
      (await handler({ caller, op, head: {}, attachment: Buffer.alloc(0) })).head;
    assert.deepEqual(await ask("operator", "metrics"), { samples });
    for (const [said, answered] of HEALTH) {
      status = said;
      assert.deepEqual(await ask("operator", "health"), answered);
    }
    for (const caller of ["issuer", "signer-consumer", "monitor", "publisher", "Operator", ""])
      for (const op of ["metrics", "health"])
        assert.deepEqual(await ask(caller, op), { passed: op });
    assert.deepEqual(await ask("operator", "status"), { passed: "status" });
  });

  it("have names in base units, and labels that no client can fill", () => {
    assert.ok(METRICS.size > 30);
    for (const [name, { type, help, label }] of METRICS) {
      assert.match(name, /^redoubt_[a-z][a-z_]*[a-z]$/);
      assert.equal(name.endsWith("_total"), type === "counter", name);
      assert.match(help, /^[A-Z1][^\n]+[^.]$/);
      assert.ok(["code", "event", "log", "severity", undefined].includes(label));
    }
  });
});
