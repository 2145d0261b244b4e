import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceError, type EventSink } from "@redoubt/base";
import { AUDIENCE, Deployment, refusalOf, TENANT, WANTED } from "../testing/deployment.ts";

const SUSPEND = {
  type: "tenant",
  realm: "enterprise",
  tenant: TENANT,
  status: "suspended",
  audiences: [AUDIENCE],
} as const;

describe("a reading of the registry that breaks off", () => {
  it("THREAT-06: what was read counts at once, though it could not be told", async () => {
    await using deployment = await Deployment.start();
    let isFull = true;
    const events: EventSink = (name, fields) => {
      if (isFull && name === "registry_void") throw new ServiceError("ENOSPC", "Disk is full");
      deployment.events.sink(name, fields);
    };
    const signer = await deployment.openReady({ sink: events });
    // The ring may not speak for the operator: void, and said.
    deployment.stateAsRing(SUSPEND);
    deployment.state(SUSPEND);
    assert.equal(await refusalOf(signer.tick()), "ENOSPC");
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
    isFull = false;
    await signer.tick();
    deployment.state({ ...SUSPEND, status: "active" });
    await signer.tick();
    await deployment.client().request(WANTED);
    deployment.state(SUSPEND);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
  });
});
