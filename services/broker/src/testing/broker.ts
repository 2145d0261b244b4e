import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Service } from "@redoubt/base";
import {
  AK_P256,
  type AppraisalOptions,
  createSoftTpm,
  EK_P384,
  encodeReferenceValues,
  extendPcr,
  parsePublicArea,
  readTpmKey,
  signReferenceValues,
  type Transport,
} from "@redoubt/evidence";
import { rawPublicKey } from "@redoubt/lease";
import { LeaseAgent, type LeaseAgentOptions, TpmAttester } from "@redoubt/lease/agent";
import { FakeLedger, FakeLog, FakeMonitor, requesterOf, TestClock } from "@redoubt/testkit";
import {
  createVerifierKey,
  ed25519Cosigner,
  encodeVerifierKey,
  parseVerifierKey,
  SIGNATURE_TYPE,
  encodeEntryBundle,
} from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  createSocketPlace,
  readSocketSecret,
  type Requester,
  SocketClient,
  socketPlace,
  splitBlobs,
} from "@redoubt/wire";
import type { BrokerConfig } from "../config.ts";
import { openBroker } from "../context.ts";
import { initialise } from "../initialise.ts";

export const ORIGIN = "redoubt.test/broker";
const REALMS = ["consumer", "enterprise"] as const;

export const SOFT_POLICY = {
  version: "1.1.0",
  anyOf: [
    {
      authority: "urn:redoubt:evidence",
      allOf: [
        { claim: "platform", equals: "soft" },
        { claim: "pcrs.11", reference: "signer/pcr11" },
      ],
    },
  ],
};

/** A machine with a soft TPM, as the broker knows it. */
export interface TestMachine {
  readonly transport: Transport;
  readonly enrolled: BrokerConfig["enrolled"][number];
}

export async function makeMachine(
  seed?: Uint8Array,
  signer = "signer-consumer",
): Promise<TestMachine> {
  const transport = createSoftTpm(seed ? { seed } : {});
  // As firmware does.
  await extendPcr(transport, 0, "sha256", Buffer.alloc(32, 1));
  const [ak, ek] = [
    parsePublicArea(await readTpmKey(transport, AK_P256)),
    parsePublicArea(await readTpmKey(transport, EK_P384)),
  ];
  return { transport, enrolled: { signer, platform: "soft", akName: ak.name.toString("hex"), ek } };
}

/** What a broker shares with others. */
interface Surroundings {
  /** Data folder. */
  readonly root: string;
  readonly clock: TestClock;
  readonly monitor: Requester;
  /** Of hardware that a test makes. */
  readonly roots: AppraisalOptions["roots"];
}

/** A real broker on real sockets; ledger and witness are held to the real ones by contract tests. */
export class TestBroker implements AsyncDisposable {
  readonly clock: TestClock;
  readonly events: { readonly name: string; readonly fields: Readonly<Record<string, unknown>> }[] =
    [];
  readonly releaseKeys: readonly KeyObject[] = [0, 1].map(
    () => generateKeyPairSync("ed25519").privateKey,
  );
  readonly ledger: FakeLedger;
  readonly grants: FakeLog;
  readonly log: LeaseAgentOptions["log"];
  readonly machine: TestMachine;
  /** What answers for the witness, where no other monitor was given. */
  readonly witness: FakeMonitor;
  /** How far the broker's clock is ahead of the witness's. */
  aheadSeconds = 0;
  readonly #root: string;
  readonly #config: BrokerConfig;
  readonly #monitor: Requester;
  readonly #roots: AppraisalOptions["roots"];
  #service: Service | undefined;

  static async create(
    change: Partial<BrokerConfig> = {},
    around: Partial<Surroundings> = {},
  ): Promise<TestBroker> {
    return new TestBroker(await makeMachine(), change, around);
  }

  private constructor(
    machine: TestMachine,
    change: Partial<BrokerConfig>,
    around: Partial<Surroundings>,
  ) {
    this.machine = machine;
    this.clock = around.clock ?? new TestClock();
    this.#roots = around.roots;
    this.#root = around.root ?? mkdtempSync(join(tmpdir(), "redoubt-broker-"));
    for (const realm of REALMS)
      createSocketPlace(socketPlace(this.#root, "broker", `signer-${realm}`));
    const writerKey = parseVerifierKey(initialise(this.folder, ORIGIN));
    this.grants = new FakeLog(ORIGIN, writerKey);
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const name = "redoubt.test/witness";
    const witness = createVerifierKey({ name, type: SIGNATURE_TYPE.cosignature, publicKey });
    this.ledger = new FakeLedger(
      { registry: new FakeLog("redoubt.test/registry"), issuance: this.grants },
      {
        signer: ed25519Cosigner(name, privateKey),
        nowSeconds: () => this.clock.seconds - this.aheadSeconds,
        isUp: true,
      },
    );
    this.witness = new FakeMonitor(undefined, this.ledger.witnessed);
    this.#monitor = around.monitor ?? requesterOf(this.witness.handler, "broker");
    const { key: logKey } = this.grants;
    this.log = { origin: ORIGIN, logKey, writerKey };
    this.#config = {
      realms: REALMS.map((realm) => ({ realm, signer: `signer-${realm}` })),
      log: { origin: ORIGIN, logKey },
      registry: "redoubt.test/registry",
      witness,
      release: { keys: this.releaseKeys.map((key) => createPublicKey(key)), threshold: 2 },
      image: "signer",
      leaseSeconds: 600,
      nonceSeconds: 60,
      enrolled: REALMS.map((realm) => ({ ...machine.enrolled, signer: `signer-${realm}` })),
      ...change,
    };
    this.setPolicy(SOFT_POLICY);
    this.release(3);
  }

  get folder(): string {
    return join(this.#root, "broker");
  }

  /** Its configuration, as it stands in a file. */
  get json() {
    const { release, realms, log, registry, witness, enrolled, ...rest } = this.#config;
    return {
      ...rest,
      v: 1,
      realms: realms.map((one) => ({ ...one })),
      log: { origin: log.origin, key: encodeVerifierKey(log.logKey) },
      registry,
      witness: encodeVerifierKey(witness),
      release: {
        keys: release.keys.map((key) => encodeBase64url(rawPublicKey(key, "Ed25519"))),
        threshold: release.threshold,
      },
      enrolled: enrolled.map(({ signer, platform, akName }) => ({ signer, platform, akName })),
    };
  }

  setPolicy(policy: unknown, realms: readonly string[] = REALMS): void {
    for (const realm of realms)
      writeFileSync(join(this.folder, "policies", `${realm}.json`), JSON.stringify(policy), {
        mode: 0o600,
      });
  }

  /** Puts reference values of an image in place: PCR 11 of a machine that has measured nothing, where nothing else is said. */
  release(
    version: number,
    pcr11 = "00".repeat(32),
    signers: readonly KeyObject[] = this.releaseKeys,
  ): void {
    const values = {
      name: "signer",
      version,
      notAfter: this.clock.now() + 86_400_000,
      sets: new Map([["signer/pcr11", [pcr11]]]),
    };
    const text = signers.reduce(
      (file, key) => signReferenceValues(file, key),
      encodeReferenceValues(values),
    );
    mkdirSync(join(this.folder, "references"), { recursive: true, mode: 0o700 });
    writeFileSync(join(this.folder, "references", "signer.json"), text, { mode: 0o600 });
  }

  async start(): Promise<Service> {
    this.#service = await openBroker({
      config: this.#config,
      folder: this.folder,
      root: this.#root,
      service: "broker",
      clock: this.clock,
      sink: (name, fields = {}) => void this.events.push({ name, fields }),
      ledger: requesterOf(this.ledger.handler, "broker"),
      monitor: this.#monitor,
      ...(this.#roots && { roots: this.#roots }),
    });
    return this.#service;
  }

  async stop(): Promise<void> {
    await this.#service?.[Symbol.asyncDispose]();
  }

  /** What the log keeps beside a grant. */
  bodyOf(index: number): Buffer {
    const { bytes = Buffer.alloc(0), entries } = this.grants.batchAt(index) ?? { entries: [] };
    const [body = Buffer.alloc(0)] = splitBlobs(bytes.subarray(encodeEntryBundle(entries).length));
    return body;
  }

  connect(realm: (typeof REALMS)[number] = "consumer"): SocketClient {
    const place = socketPlace(this.#root, "broker", `signer-${realm}`);
    return new SocketClient({ path: place.path, secret: readSocketSecret(place) });
  }

  agent(broker: Requester, change: Partial<LeaseAgentOptions> = {}): LeaseAgent {
    return new LeaseAgent({
      broker,
      attester: new TpmAttester({ transport: this.machine.transport, platform: "soft" }),
      realm: "consumer",
      signer: "signer-consumer",
      log: this.log,
      imageVersion: 3,
      clock: this.clock,
      hasRead: () => true,
      onGranted: () => undefined,
      onFailed: () => undefined,
      ...change,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#root, { recursive: true, force: true });
  }
}
