import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { nowSeconds, readPrivateFile, systemClock, writeDurable } from "@redoubt/base";
import { openKeyFile } from "@redoubt/custody";
import { encodeReferenceValues, signReferenceValues } from "@redoubt/evidence";
import { bindingMessage, boundData, type GrantLog } from "@redoubt/lease";
import {
  LeaseAgent,
  type LeaseInHand,
  openAttester,
  type OpenedAttester,
  softImageValue,
} from "@redoubt/lease/agent";
import { IMAGE, IMAGE_VERSION } from "@redoubt/signer/image";
import { parseVerifierKey } from "@redoubt/tlog";
import {
  ask,
  askForBytes,
  BROKER,
  CUSTODY,
  readSocketSecret,
  SocketClient,
  socketPlace,
} from "@redoubt/wire";
import { EXIT } from "../command.ts";
import type { ServiceName } from "../layout.ts";
import { RELEASE_KEYS } from "../leases/enable-leases.ts";
import type { Terminal } from "../terminal.ts";
import { attempt, control, isGood, outcomeLine, type Outcome } from "./outcome.ts";
import { OwnSystem } from "./own-system.ts";

const REALM = "consumer";
const SIGNER = "signer-consumer";
const DAY_MS = 86_400_000;

/**
 * Attacks leases on a system that is made for this, with the real processes and a TPM in software: the operator's own
 * signers are left alone, and no clock has to be changed.
 */
export async function drillAttested(terminal: Terminal): Promise<number> {
  terminal.notice("Making a system of the drill's own, with leases of a few seconds …");
  await using system = await OwnSystem.start();
  await using scene = new Scene(system);
  let failures = 0;
  let attempts = 0;
  for await (const outcome of attacks(scene)) {
    if (!outcome.control) attempts += 1;
    if (!isGood(outcome)) failures += 1;
    terminal.line({ json: outcome, text: outcomeLine(outcome) });
  }
  terminal.notice(`${attempts} attempts, ${failures} not stopped or wrongly refused`);
  return attempts > 0 && failures === 0 ? EXIT.ok : EXIT.refused;
}

/** What somebody has who took over the consumer signer's machine: its sockets' secrets, and its TPM. */
class Scene implements AsyncDisposable {
  readonly folder: string;
  readonly #log: GrantLog;
  readonly #owned = new AsyncDisposableStack();

  constructor({ folder, settings }: OwnSystem) {
    this.folder = folder;
    const { broker } = settings;
    if (broker === undefined) throw new TypeError("The drill's system has leases");
    this.#log = {
      origin: broker.log,
      logKey: parseVerifierKey(broker.logKey),
      writerKey: parseVerifierKey(broker.writer),
    };
  }

  client(service: ServiceName, caller: string): SocketClient {
    const place = socketPlace(this.folder, service, caller);
    return this.#owned.use(new SocketClient({ path: place.path, secret: readSocketSecret(place) }));
  }

  /** The machine, after it booted an image. */
  async machine(image = IMAGE): Promise<OpenedAttester> {
    const seedFile = join(this.folder, SIGNER, "attester.seed");
    return this.#owned.use(await openAttester({ kind: "soft", seedFile }, image));
  }

  async lease(attester: OpenedAttester): Promise<LeaseInHand> {
    const agent = new LeaseAgent({
      broker: this.client("broker", SIGNER),
      attester,
      realm: REALM,
      signer: SIGNER,
      log: this.#log,
      imageVersion: IMAGE_VERSION,
      clock: systemClock,
      hasRead: () => true,
      onGranted: () => undefined,
      onFailed: () => undefined,
    });
    await agent.renew();
    if (agent.lease === undefined) throw new TypeError("A lease that was granted lasts");
    return agent.lease;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }
}

async function* attacks(scene: Scene): AsyncGenerator<Outcome> {
  const good = await scene.machine();
  const broker = { threat: "P5", layer: "broker" } as const;
  yield await control({ ...broker, attempt: "control: the machine that was enrolled" }, () =>
    scene.lease(good),
  );
  yield await attempt(
    { ...broker, threat: "THREAT-13", attempt: "boots an altered image" },
    async () => scene.lease(await scene.machine("another signer")),
  );
  yield* evidenceAttacks(scene, good);
  yield* gatewayAttacks(scene, good);
  yield* olderImage(scene, good);
}

/** THREAT-14. */
async function* evidenceAttacks(scene: Scene, good: OpenedAttester): AsyncGenerator<Outcome> {
  const client = scene.client("broker", SIGNER);
  const what = { threat: "THREAT-14", layer: "broker" } as const;
  const binding = () => ({
    realm: REALM,
    signer: SIGNER,
    encryptionKey: randomBytes(32),
    holderKey: randomBytes(32),
    kids: [],
  });
  const send = (nonce: Buffer, bound: ReturnType<typeof binding>, evidence: string) =>
    askForBytes(
      client,
      BROKER.grant,
      { nonce, binding: bindingMessage.write(bound) },
      Buffer.from(evidence),
    );
  const { nonce } = await ask(client, BROKER.nonce, {});
  const bound = binding();
  const evidence = await good.evidence(boundData(nonce, bound));
  yield await control({ ...what, attempt: "control: evidence over a nonce of now" }, () =>
    send(nonce, bound, evidence),
  );
  yield await attempt({ ...what, attempt: "replays nonce and evidence" }, () =>
    send(nonce, bound, evidence),
  );
  const { nonce: later } = await ask(client, BROKER.nonce, {});
  yield await attempt({ ...what, attempt: "shows old evidence for a new nonce" }, () =>
    send(later, bound, evidence),
  );
  const { nonce: third } = await ask(client, BROKER.nonce, {});
  const relayed = await good.evidence(boundData(third, bound));
  yield await attempt({ ...what, attempt: "relays a machine's evidence for keys of its own" }, () =>
    send(third, binding(), relayed),
  );
}

async function* gatewayAttacks(scene: Scene, good: OpenedAttester): AsyncGenerator<Outcome> {
  const lease = await scene.lease(good);
  const what = { threat: "P5", layer: "gateway" } as const;
  const own = scene.client("custody-consumer", SIGNER);
  const other = scene.client("custody-enterprise", "signer-enterprise");
  yield await attempt({ ...what, attempt: "uses the other realm's keys with its lease" }, () =>
    begin(other, lease),
  );
  const { session } = await begin(own, lease);
  const use = () => ask(own, CUSTODY.list, { session });
  yield await control({ ...what, attempt: "control: uses its keys while the lease lasts" }, use);
  const left = lease.lease.expires - nowSeconds(systemClock) + 1;
  await pause(Math.max(left, 0) * 1000);
  yield await attempt(
    { ...what, threat: "THREAT-15", attempt: "goes on with its open session after the lease" },
    use,
  );
  yield await attempt(
    { ...what, threat: "THREAT-15", attempt: "begins a lease that has ended" },
    () => begin(own, lease),
  );
}

async function begin(gateway: SocketClient, { grant, prove }: LeaseInHand) {
  const { challenge } = await ask(gateway, CUSTODY.challenge, {});
  return ask(gateway, CUSTODY.begin, { challenge, grant, proof: prove(challenge) });
}

/** THREAT-30: a release raises the floor, and then nothing older counts: neither an image nor its reference values. */
async function* olderImage(scene: Scene, good: OpenedAttester): AsyncGenerator<Outcome> {
  const path = join(scene.folder, "broker", "references", "signer.json");
  const older = readPrivateFile(path);
  writeDurable(path, release(scene.folder, IMAGE_VERSION + 1));
  const threat = "THREAT-30";
  yield await attempt({ threat, layer: "signer", attempt: "runs an image below the floor" }, () =>
    scene.lease(good),
  );
  writeDurable(path, older);
  yield await attempt(
    { threat, layer: "broker", attempt: "puts older reference values back in place" },
    () => scene.lease(good),
  );
}

function release(folder: string, version: number): string {
  const values = {
    name: "signer",
    version,
    notAfter: systemClock.now() + DAY_MS,
    // Whatever the newer image measures, this one is still good: what refuses it is the floor.
    sets: new Map([["signer/pcr11", [softImageValue(IMAGE)]]]),
  };
  return RELEASE_KEYS.map((name) => openKeyFile(join(folder, "up", name)).privateKey).reduce(
    (file, key) => signReferenceValues(file, key),
    encodeReferenceValues(values),
  );
}
