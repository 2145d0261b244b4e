import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bindingMessage } from "@redoubt/lease";
import { TpmAttester } from "@redoubt/lease/agent";
import { askForBytes, BROKER } from "@redoubt/wire";
import { makeMachine, TestBroker } from "./testing/broker.ts";

test("P5: a TPM that was enrolled for one realm's signer gets no lease of another", async () => {
  const consumer = await makeMachine();
  const enterprise = await makeMachine(undefined, "signer-enterprise");
  await using broker = await TestBroker.create({
    enrolled: [consumer.enrolled, enterprise.enrolled],
  });
  await broker.start();
  await using client = broker.connect("enterprise");
  const agentOn = ({ transport }: typeof consumer) =>
    broker.agent(client, {
      attester: new TpmAttester({ transport, platform: "soft" }),
      realm: "enterprise",
      signer: "signer-enterprise",
    });
  await assert.rejects(agentOn(consumer).renew(), { code: "ERR_EVIDENCE_KEY" });
  await agentOn(enterprise).renew();
});

test("THREAT-26: a caller that floods with made-up nonces is told to wait, and nobody else is", async () => {
  await using broker = await TestBroker.create();
  await broker.start();
  await using client = broker.connect();
  const binding = bindingMessage.write({
    realm: "consumer",
    signer: "signer-consumer",
    encryptionKey: Buffer.alloc(32, 9),
    holderKey: Buffer.alloc(32, 8),
    kids: [],
  });
  const flood = () =>
    askForBytes(client, BROKER.grant, { nonce: randomBytes(32), binding }, Buffer.alloc(1));
  const answers = await Promise.allSettled(Array.from({ length: 300 }, flood));
  const codes = answers.map((one) => one.status === "rejected" && one.reason.code);
  assert.equal(codes.filter((code) => code === "ERR_BROKER_NONCE").length, 32);
  assert.equal(codes.filter((code) => code === "ERR_BROKER_BUSY").length, 268);
  await assert.rejects(flood(), { code: "ERR_BROKER_BUSY", retryAfterSeconds: 2 });
  assert.equal(broker.events.filter(({ name }) => name === "lease_denied").length, 32);
  await using other = broker.connect("enterprise");
  await broker.agent(other, { realm: "enterprise", signer: "signer-enterprise" }).renew();
  broker.clock.forward(2);
  await broker.agent(client).renew();
});

test("THREAT-29: a clock that is ahead of the witness's is not remembered: set right, the broker grants again", async () => {
  await using broker = await TestBroker.create();
  await broker.start();
  await using client = broker.connect();
  const agent = broker.agent(client);
  const setAhead = (seconds: number) => {
    broker.clock.set(seconds - broker.aheadSeconds);
    broker.aheadSeconds = seconds;
  };
  for (const seconds of [31, 7200]) {
    setAhead(seconds);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await assert.rejects(agent.renew(), { code: "ERR_BROKER_CLOCK", message: /witness/ });
  }
  assert.equal(broker.grants.size, 0);
  setAhead(30);
  await agent.renew();
  // As far as a clock can be ahead and be remembered, the right one is not before it.
  setAhead(0);
  await agent.renew();
  setAhead(-30);
  await assert.rejects(agent.renew(), { code: "ERR_BROKER_CLOCK", message: /set back/ });
});

test("THREAT-30: minVersion is the floor, even where reference values were taken away", async () => {
  await using broker = await TestBroker.create();
  await broker.start();
  await using client = broker.connect();
  const agent = broker.agent(client);
  await agent.renew();
  assert.equal(agent.lease?.lease.minVersion, 3);
  rmSync(join(broker.folder, "references", "signer.json"));
  const allOf = [{ claim: "platform", equals: "soft" }];
  broker.setPolicy({ version: "1.1.0", anyOf: [{ authority: "urn:redoubt:evidence", allOf }] });
  await agent.renew();
  assert.equal(agent.lease?.lease.minVersion, 3);
});
