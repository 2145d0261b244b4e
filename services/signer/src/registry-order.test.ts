import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceError, type EventSink } from "@redoubt/base";
import { AUDIENCE, Deployment, refusalOf, TENANT, WANTED } from "./testing/deployment.ts";

const SUSPEND = {
  type: "tenant",
  realm: "enterprise",
  tenant: TENANT,
  status: "suspended",
  audiences: [AUDIENCE],
} as const;

describe("items of the registry out of their order", () => {
  it("THREAT-06: after a reading that broke off in the middle, nothing is decided before all is read again", async () => {
    await using deployment = await Deployment.start();
    let isFull = true;
    // Whatever breaks a reading off takes the rest of its page along.
    const log: EventSink = (name, fields) => {
      if (isFull && name === "registry_void") throw new ServiceError("ENOSPC", "Disk is full");
      deployment.log.sink(name, fields);
    };
    const signer = await deployment.openReady({ log });
    // The ring may not speak for the operator: void, and said.
    deployment.stateAsRing(SUSPEND);
    deployment.state(SUSPEND);
    assert.equal(await refusalOf(signer.tick()), "ENOSPC");
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_REGISTRY");
    isFull = false;
    const { fields } = await deployment.log.named("registry_refused");
    assert.equal(fields["code"], "ERR_REGISTRY_ORDER");
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
  });
});
