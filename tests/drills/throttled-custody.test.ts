import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { join } from "node:path";
import { openFileCustodian, type Custodian, type CustodyKey } from "@redoubt/custody";
import { KeyError } from "@redoubt/keys";
import { openScene, closeScene, readAlarms, waitForAlarm } from "@redoubt/cli/drill";
import { ask as askService, ISSUER, SIGNER } from "@redoubt/wire";
import { SETTLE_MS } from "../e2e/until.ts";
import { compose, type Composed } from "./compose.ts";
import { monitorLives } from "./monitor-time.ts";

/** Files, behind a KMS that throttles every signature while it is told to. */
class ThrottledCustody {
  isThrottled = false;

  open(signerFolder: string): Custodian {
    const files = openFileCustodian({
      folder: join(signerFolder, "custody"),
      passphrase: "beside",
    });
    const throttle = (key: CustodyKey): CustodyKey => ({
      ...key,
      sign: (input) => {
        if (this.isThrottled)
          throw new KeyError("ERR_KEY_BUSY", "Throttled", { retryAfterSeconds: 1 });
        return key.sign(input);
      },
    });
    return {
      label: files.label,
      generate: async (alg) => throttle(await files.generate(alg)),
      open: async (id) => throttle(await files.open(id)),
      list: () => files.list(),
      destroy: (id) => files.destroy(id),
      [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
    };
  }
}

async function ask({ demo, settings }: Composed): Promise<Response> {
  const client = demo.clients.find(({ realm }) => realm === "enterprise") ?? assert.fail();
  const port = settings.port + 2;
  return fetch(`http://127.0.0.1:${port}/${client.tenant}/oauth2/v2.0/token`, {
    method: "POST",
    headers: {
      authorization: `Basic ${Buffer.from(`${client.client}:${client.secret}`).toString("base64")}`,
      "content-type": "application/x-www-form-urlencoded",
    },
    body: "grant_type=client_credentials",
  });
}

/** Resolves when the issuer has told the monitor of everything. */
async function reported({ operator }: Composed): Promise<void> {
  for (let waiting = true; waiting;) {
    await new Promise(setImmediate);
    const { deliveries } = await askService(
      operator.client("issuer-enterprise"),
      ISSUER.status,
      {},
    );
    waiting = deliveries.waiting !== 0;
  }
}

async function loggedBy({ operator }: Composed): Promise<number> {
  return (await askService(operator.client("signer-enterprise"), SIGNER.metadata, {})).size;
}

describe("custody that throttles, and the second join", () => {
  it("THREAT-28: what was logged and not signed is no alarm, and hides none", async () => {
    const custody = new ThrottledCustody();
    await using system = await compose({ custodian: (folder) => custody.open(folder) });
    assert.equal((await ask(system)).status, 200);
    const before = await loggedBy(system);
    custody.isThrottled = true;
    const refused = await ask(system);
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get("retry-after"), "1");
    assert.equal(await loggedBy(system), before + 1);
    custody.isThrottled = false;
    await reported(system);
    await monitorLives(system, 60);
    const alarms = await readAlarms(system.operator, {});
    assert.deepEqual(
      alarms.filter(({ kind }) => kind === "undelivered" || kind === "orphaned"),
      [],
    );

    // The same entry without the issuer's word is what it looks like: a token that somebody else has.
    const scene = await openScene(system.operator, system.settings);
    const { realm, tenant, client, audience } = scene.enterprise;
    custody.isThrottled = true;
    await assert.rejects(
      system.operator.client("signer-enterprise", "issuer").request({
        op: "issue",
        handle: { realm, tenant, class: "at" },
        client,
        sub: "somebody else",
        audience,
      }),
      { code: "ERR_KEY_BUSY" },
    );
    custody.isThrottled = false;
    await monitorLives(system, 60);
    const alarm = await waitForAlarm(
      system.operator,
      {},
      ({ kind }) => kind === "undelivered",
      SETTLE_MS,
    );
    assert.equal(alarm?.severity, "critical");
    await closeScene(scene);
  });
});
