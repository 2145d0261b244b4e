import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  AK_P256,
  createSoftTpm,
  EK_P384,
  extendPcr,
  parsePublicArea,
  readTpmKey,
  type TpmPlatform,
  type Transport,
} from "@redoubt/evidence";
import {
  manufactureSwtpm,
  type ManufacturedTpm,
  WITHOUT_SWTPM,
} from "@redoubt/evidence/testing/swtpm";
import { openAttester, type OpenedAttester, softImageValue } from "@redoubt/lease/agent";
import { TestBroker } from "./testing/broker.ts";
import { serveTpm } from "./testing/tpm-socket.ts";

const IMAGE = "signer 3";
const SEED = Buffer.alloc(32, 7);

/** A machine as its operator has it: a member `attester` in a file, and what the broker was told of it. */
interface Machine extends AsyncDisposable {
  readonly platform: TpmPlatform;
  readonly pcr11: string;
  /** To read the keys that are enrolled. */
  readonly tpm: Transport;
  /** By a restart of the signer, with this image. */
  readonly open: (image: string) => Promise<OpenedAttester>;
}

async function softMachine(): Promise<Machine> {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-attester-"));
  const seedFile = join(folder, "seed");
  writeFileSync(seedFile, `${SEED.toString("hex")}\n`, { mode: 0o600 });
  return {
    platform: "soft",
    pcr11: softImageValue(IMAGE),
    tpm: createSoftTpm({ seed: SEED }),
    open: (image) => openAttester({ kind: "soft", seedFile }, image),
    [Symbol.asyncDispose]: () => Promise.resolve(rmSync(folder, { recursive: true })),
  };
}

let manufactured: ManufacturedTpm | undefined;

after(() => manufactured?.[Symbol.dispose]());

async function swtpmMachine(): Promise<Machine> {
  manufactured ??= manufactureSwtpm();
  const { transport, ...tpm } = await manufactured.open();
  await extendPcr(transport, 0, "sha256", Buffer.alloc(32, 1));
  const socket = await serveTpm(transport);
  return {
    platform: "swtpm",
    pcr11: "00".repeat(32),
    tpm: transport,
    open: () => openAttester({ kind: "tpm", platform: "swtpm", socket: socket.path }, IMAGE),
    async [Symbol.asyncDispose]() {
      await socket[Symbol.asyncDispose]();
      await tpm[Symbol.asyncDispose]();
    },
  };
}

async function brokerFor({ platform, pcr11, tpm }: Machine): Promise<TestBroker> {
  const [ak, ek] = [
    parsePublicArea(await readTpmKey(tpm, AK_P256)),
    parsePublicArea(await readTpmKey(tpm, EK_P384)),
  ];
  const broker = await TestBroker.create({
    enrolled: [{ signer: "signer-consumer", platform, akName: ak.name.toString("hex"), ek }],
  });
  broker.setPolicy({
    version: "1.1.0",
    anyOf: [
      {
        authority: "urn:redoubt:evidence",
        allOf: [
          { claim: "platform", equals: platform },
          { claim: "pcrs.11", reference: "signer/pcr11" },
        ],
      },
    ],
  });
  broker.release(3, pcr11);
  await broker.start();
  return broker;
}

/** What the broker asks of every attester that a configuration can name and that can run here. */
function attesterContract(start: () => Promise<Machine>): void {
  it("P5: from nonce and evidence to a lease that is sealed to the TPM, which opens it", async () => {
    await using machine = await start();
    await using broker = await brokerFor(machine);
    await using client = broker.connect();
    await using attester = await machine.open(IMAGE);
    let opened = 0;
    const agent = broker.agent(client, {
      attester: {
        evidence: (data) => attester.evidence(data),
        openCredential: (credential) => {
          opened += 1;
          return attester.openCredential?.(credential) ?? assert.fail();
        },
      },
    });
    // Renewed as often as a day needs it: nothing in the TPM may leak.
    for (let count = 1; count <= 10; count += 1) {
      await agent.renew();
      const { lease } = agent.lease ?? assert.fail();
      assert.deepEqual([lease.platform, lease.hardware], [machine.platform, false]);
      assert.equal(opened, count, "sealed to the TPM each time");
    }
  });

  it("is the same machine after a restart, and without its TPM no lease is opened", async () => {
    await using machine = await start();
    await using broker = await brokerFor(machine);
    await using client = broker.connect();
    for (let count = 0; count < 2; count += 1) {
      // One after the other: a machine has one signer.
      await using attester = await machine.open(IMAGE);
      await broker.agent(client, { attester }).renew();
    }
    await using attester = await machine.open(IMAGE);
    const without = { evidence: (data: Buffer) => attester.evidence(data) };
    await assert.rejects(broker.agent(client, { attester: without }).renew(), {
      code: "ERR_LEASE_SEALED",
    });
  });

  it("THREAT-14: a machine that is enrolled as another platform gets nothing", async () => {
    await using machine = await start();
    await using broker = await brokerFor({ ...machine, platform: "tpm2" });
    await using client = broker.connect();
    await using attester = await machine.open(IMAGE);
    await assert.rejects(broker.agent(client, { attester }).renew(), { code: "ERR_EVIDENCE_KEY" });
  });
}

describe("attester soft", () => {
  attesterContract(softMachine);

  it("THREAT-13: another image is refused by its measurement", async () => {
    await using machine = await softMachine();
    await using broker = await brokerFor(machine);
    await using client = broker.connect();
    await using attester = await machine.open("signer 2");
    await assert.rejects(broker.agent(client, { attester }).renew(), {
      code: "ERR_EVIDENCE_REFUSED",
    });
    const denied = broker.events.findLast(({ name }) => name === "lease_denied");
    assert.deepEqual(denied?.fields["refusals"], ["pcrs.11"]);
  });
});

describe("attester tpm, swtpm behind a socket", { skip: WITHOUT_SWTPM }, () => {
  attesterContract(swtpmMachine);
});
