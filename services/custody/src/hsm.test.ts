import { after } from "node:test";
import assert from "node:assert/strict";
import { it } from "node:test";
import { custodyContract } from "@redoubt/custody/testing";
import { createToken, inSoftHsm, SOFTHSM_MODULE } from "@redoubt/custody/testing/softhsm";
import { openPkcs11Custodian } from "@redoubt/custody/pkcs11";
import { ask, askForBytes, CUSTODY } from "@redoubt/wire";
import { TestGateway } from "./testing/gateway.ts";

inSoftHsm(import.meta.filename, () => {
  const { label, pin } = createToken("gateway");
  const gateway = new TestGateway(() =>
    openPkcs11Custodian({ module: SOFTHSM_MODULE, tokenLabel: label, pin }),
  );
  const started = gateway.start();
  after(() => gateway[Symbol.asyncDispose]());
  custodyContract(
    "gateway, HSM behind it",
    async () => {
      await started;
      const lease = gateway.lease();
      return gateway.custodian(() => lease, "pkcs11");
    },
    ["ES256", "RS256"],
  );

  it("THREAT-15: a signer that holds a session of the HSM through the gateway loses it with its lease", async () => {
    await started;
    await using client = gateway.connect();
    const { grant, prove } = gateway.lease();
    const { challenge } = await ask(client, CUSTODY.challenge, {});
    const begun = { challenge, grant, proof: prove(challenge) };
    const { session } = await ask(client, CUSTODY.begin, begun);
    const { id } = await ask(client, CUSTODY.generate, { session, alg: "ES256" });
    const sign = () => askForBytes(client, CUSTODY.sign, { session, id }, Buffer.from("x"));
    assert.equal((await sign()).attachment.length, 64);
    gateway.clock.forward(600);
    await assert.rejects(sign(), { code: "ERR_LEASE_SESSION" });
  });
});
