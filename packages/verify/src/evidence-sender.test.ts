import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EvidenceSender } from "./evidence-sender.ts";
import { EMPTY_EVIDENCE } from "./report-evidence.ts";
import { ReportClient } from "./report-client.ts";
import type { SetAside } from "./report-message.ts";
import { NOW } from "./testing/fixture.ts";
import { pinOf, testKey } from "./testing/keys.ts";

/** Sends one item to a monitor that answers it so, and takes a body without items. */
async function sendTo(status: number): Promise<{ asked: number; setAside: readonly SetAside[] }> {
  let asked = 0;
  const setAside: SetAside[] = [];
  const client = new ReportClient(
    {
      url: "https://monitor.example",
      reporter: "orders-1",
      secret: "A".repeat(43),
      ackKey: pinOf(testKey("monitor-ack")),
      onAlarm: () => undefined,
      fetch: (_url, init) => {
        asked += 1;
        const isEmpty = init?.body === EMPTY_EVIDENCE.body;
        return Promise.resolve(new Response(null, { status: isEmpty ? 204 : status }));
      },
    },
    "session",
  );
  const onSetAside = (what: SetAside): void => void setAside.push(what);
  const sender = new EvidenceSender({ maxBytes: 1_000_000, max: 10, client, onSetAside });
  sender.store.keep({ digest: "d", kid: "k1", alg: "ES256", signature: "c2ln" }, NOW * 1000);
  sender.store.want(["d"]);
  await sender.send(() => NOW * 1000);
  return { asked, setAside };
}

describe("EvidenceSender", () => {
  it("sets an item aside only where the refusal speaks of the content", async () => {
    for (const status of [400, 413, 422])
      assert.deepEqual(await sendTo(status), { asked: 2, setAside: [{ digests: ["d"], status }] });
    for (const status of [401, 403, 404, 429, 500, 503])
      assert.deepEqual(await sendTo(status), { asked: 1, setAside: [] }, String(status));
  });
});
