import { after } from "node:test";
import assert from "node:assert/strict";
import { it } from "node:test";
import { custodyContract } from "@redoubt/custody/testing";
import { createToken, inSoftHsm, SOFTHSM_MODULE } from "@redoubt/custody/testing/softhsm";
import { Secret } from "@redoubt/base";
import { openPkcs11Custodian } from "@redoubt/custody/pkcs11";
import { ask, askForBytes, CUSTODY } from "@redoubt/wire";
import { TestGateway } from "./testing/gateway.ts";

inSoftHsm(import.meta.filename, () => {
  const { label, pin } = createToken("gateway");
  const open = (given: typeof pin) =>
    openPkcs11Custodian({ module: SOFTHSM_MODULE, tokenLabel: label, pin: given });
  const gateway = new TestGateway(() => open(pin));
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

  it("a PIN that was refused is one to mend: the module is loaded by then, and the next try opens it", async () => {
    await started;
    let given = new Secret("no such PIN");
    await using other = new TestGateway(() => open(given));
    await other.start();
    const lease = other.lease();
    await using custodian = other.custodian(() => lease, "pkcs11");
    await assert.rejects(custodian.list(), { name: "KeyError", code: "ERR_KEY_DENIED" });
    assert.equal(other.loaded > 0, true);
    given = pin;
    other.clock.forward(5);
    await custodian.list();
  });

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
