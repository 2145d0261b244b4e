import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ReportClient, type EvidenceOutcome } from "./report-client.ts";
import { EMPTY_EVIDENCE } from "./report-evidence.ts";
import { sealReport } from "./report-message.ts";
import { pinOf, testKey } from "./testing/keys.ts";

function clientOf(answer: () => Promise<Response>, url = "https://monitor.example"): ReportClient {
  const options = {
    url,
    reporter: "orders-1",
    secret: "A".repeat(43),
    ackKey: pinOf(testKey("monitor-ack")),
    onAlarm: () => undefined,
    fetch: answer,
  };
  return new ReportClient(options, "session");
}

function unasked(): Promise<Response> {
  return Promise.reject(new Error("not asked"));
}

/** What evidence comes to where the monitor answers so; undefined: it is not there. */
function outcomeOf(status: number | undefined): Promise<EvidenceOutcome> {
  const client = clientOf(async () => {
    if (status === undefined) throw new TypeError("fetch failed");
    return new Response(null, { status });
  });
  return client.sendEvidence(EMPTY_EVIDENCE);
}

describe("ReportClient", () => {
  it("tells a monitor that refuses evidence from one that cannot be reached", async () => {
    for (const status of [undefined, 500, 503])
      assert.deepEqual(await outcomeOf(status), { kind: "unreachable" });
    for (const status of [400, 401, 499])
      assert.deepEqual(await outcomeOf(status), { kind: "refused", status });
    for (const status of [200, 204])
      assert.deepEqual(await outcomeOf(status), { kind: "taken", refused: [] });
  });

  it("RFC 9110 §10.2.3: waits for the seconds that the monitor names, an hour at most", async () => {
    for (const [text, seconds] of [
      [undefined, 0],
      ["0", 0],
      ["7", 7],
      ["3600", 3600],
      ["999999999", 3600],
      ["1000000000", 0],
      ["-1", 0],
      ["1.5", 0],
      ["Wed, 21 Oct 2026 07:28:00 GMT", 0],
    ] as const) {
      const headers = text === undefined ? {} : { "retry-after": text };
      const client = clientOf(async () => new Response(null, { status: 503, headers }));
      await client.send(sealReport("session", 1, { items: [], isClosing: false }));
      assert.equal(client.retryAfterMs, seconds * 1000, text);
    }
  });

  it("speaks https, or http on loopback", () => {
    for (const url of ["https://monitor.example/at", "http://127.0.0.1:1"]) clientOf(unasked, url);
    for (const url of [
      "monitor.example",
      "",
      "http://monitor.example",
      "https://m.example/?a",
      "x:",
    ])
      assert.throws(() => clientOf(unasked, url), /^TypeError: url: expected/, url);
  });
});
