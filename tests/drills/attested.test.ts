import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { TestBroker } from "@redoubt/broker/testing/broker";
import { TestGateway } from "@redoubt/custody-gateway/testing/gateway";
import { extendPcr } from "@redoubt/evidence";
import { TpmAttester } from "@redoubt/lease/agent";
import { Deployment, refusalOf, WANTED } from "@redoubt/signer/testing/deployment";
import { requesterOf, until } from "@redoubt/testkit";
import { encodeVerifierKey } from "@redoubt/tlog";
import { ask, SIGNER } from "@redoubt/wire";

/** A real signer, whose keys a real gateway holds, with leases of a real broker. */
class Leased implements AsyncDisposable {
  readonly deployment: Deployment;
  readonly broker: TestBroker;
  readonly gateway: TestGateway;

  private constructor(deployment: Deployment, broker: TestBroker) {
    this.deployment = deployment;
    this.broker = broker;
    const { root, clock, realm } = deployment;
    this.gateway = new TestGateway(undefined, { root, clock, realm, trusted: broker.log });
  }

  static async start(): Promise<Leased> {
    const deployment = await Deployment.start();
    const { root, clock, ledger, monitor } = deployment;
    const broker = await TestBroker.create(
      { registry: ledger.registry.origin, witness: deployment.witnessKey },
      { root, clock, monitor: requesterOf(monitor.handler, "broker") },
    );
    broker.release(1);
    const leased = new Leased(deployment, broker);
    await broker.start();
    await leased.gateway.start();
    return leased;
  }

  openSigner() {
    const { broker, deployment } = this;
    const { origin, logKey, writerKey } = broker.log;
    const attester = new TpmAttester({ transport: broker.machine.transport, platform: "soft" });
    return deployment.open(
      {
        attester: async () =>
          Object.assign(attester, { [Symbol.asyncDispose]: () => Promise.resolve() }),
      },
      {
        custody: { kind: "gateway", holds: "plain-file" },
        lease: {
          log: {
            origin,
            key: encodeVerifierKey(logKey),
            writer: encodeVerifierKey(writerKey),
          },
          attester: { kind: "soft" },
        },
      },
    );
  }

  issue(): Promise<unknown> {
    return this.deployment.client().request(WANTED);
  }

  /** Time passes, minute by minute, and the signer takes its turns. */
  async pass(seconds: number, tick: () => Promise<void>): Promise<void> {
    for (let left = seconds; left > 0; left -= 60) {
      this.deployment.clock.forward(Math.min(60, left));
      // oxlint-disable-next-line no-await-in-loop -- one turn after the other
      await tick().catch(() => undefined);
      // oxlint-disable-next-line no-await-in-loop -- a renewal goes over sockets
      await this.#settled();
    }
  }

  /** Until a renewal that is due has been granted; where none can be, for a moment. */
  async #settled(): Promise<void> {
    for (let waited = 0; waited < 500 && this.#isDue(); waited += 10) await delay(10);
  }

  #isDue(): boolean {
    // As the signer has it: the broker's word is still on its way when the clock moves on.
    const { all } = this.deployment.events;
    const granted = all.findLast(({ name }) => name === "lease_granted");
    const expires = Number(granted?.fields["expires"] ?? 0);
    return expires - this.deployment.clock.seconds <= 300;
  }

  /** A token, once the signer has found out that it may sign again. */
  async issueSoon(tick: () => Promise<void>): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one turn after the other
      await this.pass(10, tick);
      // oxlint-disable-next-line no-await-in-loop -- the first that is issued ends it
      if ((await refusalOf(this.issue())) === "no refusal") return;
    }
    assert.fail("No token");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.deployment[Symbol.asyncDispose]();
    await this.gateway[Symbol.asyncDispose]();
    await this.broker[Symbol.asyncDispose]();
  }
}

test("P5: a signer with a lease issues, renews at half life, and goes on while the broker is away until the lease ends", async () => {
  await using leased = await Leased.start();
  const { broker, deployment } = leased;
  const signer = await leased.openSigner();
  await signer.ready;
  const { labels } = await ask(deployment.client("operator"), SIGNER.metadata, {});
  assert.ok(labels.includes("hardware: none"));
  await leased.issue();
  await leased.pass(1200, () => signer.tick());
  await leased.issue();
  const granted = () => broker.events.filter(({ name }) => name === "lease_granted").length;
  assert.ok(granted() >= 4, `${granted()} leases in 1200 s`);
  broker.ledger.isDown = true;
  await leased.pass(240, () => signer.tick());
  await leased.issue();
  await leased.pass(600, () => signer.tick());
  const size = deployment.ledger.issuance.size;
  assert.equal(await refusalOf(leased.issue()), "ERR_KEY_LEASE");
  assert.equal(
    deployment.ledger.issuance.size,
    size,
    "nothing is committed for what cannot be signed",
  );
  broker.ledger.isDown = false;
  await leased.issueSoon(() => signer.tick());
});

test("THREAT-13: a signer whose image was altered gets no lease, and signs nothing after its last one", async () => {
  await using leased = await Leased.start();
  const signer = await leased.openSigner();
  await signer.ready;
  await leased.issue();
  await extendPcr(leased.broker.machine.transport, 11, "sha256", Buffer.alloc(32, 1));
  await leased.pass(660, () => signer.tick());
  assert.equal(await refusalOf(leased.issue()), "ERR_KEY_LEASE");
  const denied = leased.broker.events.findLast(({ name }) => name === "lease_denied");
  assert.deepEqual(denied?.fields["refusals"], ["pcrs.11"]);
});

test("THREAT-29: a gateway that falls more often than one lease allows costs the signer a new lease, and no hand", async () => {
  await using leased = await Leased.start();
  const { broker, gateway } = leased;
  const signer = await leased.openSigner();
  await signer.ready;
  await leased.issue();
  const granted = () => broker.events.filter(({ name }) => name === "lease_granted").length;
  // The first lease names no key yet. The one that does is begun after the first fall, and three times more.
  await until(async () => {
    const soFar = granted();
    await signer.tick();
    await delay(100);
    return soFar > 1 && soFar === granted();
  });
  const before = granted();
  for (let fall = 1; fall <= 5; fall += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one fall after the other
    await gateway.stop();
    // oxlint-disable-next-line no-await-in-loop -- as above
    await gateway.start();
    // oxlint-disable-next-line no-await-in-loop -- as above
    await leased.issueSoon(() => signer.tick());
    assert.equal(granted() - before, fall === 5 ? 1 : 0, `after ${fall}`);
  }
});
