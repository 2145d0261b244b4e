import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Service } from "@redoubt/base";
import {
  type Custodian,
  GatewayCustodian,
  type HeldLease,
  openFileCustodian,
} from "@redoubt/custody";
import {
  encodeLease,
  type GrantLog,
  holderKeyOf,
  type Lease,
  openGrant,
  proveHolder,
} from "@redoubt/lease";
import { TestGrantLog } from "@redoubt/lease/testing/test-log";
import { TestClock } from "@redoubt/testkit";
import {
  createSocketPlace,
  readSocketSecret,
  SocketClient,
  socketPlace,
  type SocketPlace,
} from "@redoubt/wire";
import { openGateway } from "../context.ts";
import { KEYS_FOLDER } from "../keys-folder.ts";
import { initialise } from "../initialise.ts";

/** A lease, and the key of its holder. */
export interface TestLease extends HeldLease {
  readonly lease: Lease;
}

/** What a gateway shares with others. */
interface Surroundings {
  /** Data folder. */
  readonly root: string;
  readonly realm: string;
  readonly clock: TestClock;
  /** Of a real broker. */
  readonly trusted: GrantLog;
}

/** A real gateway on a real socket, and a broker's log that it trusts. */
export class TestGateway implements AsyncDisposable {
  readonly clock: TestClock;
  readonly log = new TestGrantLog();
  readonly events: { readonly name: string; readonly fields: object }[] = [];
  /** How often it said that custody's code is loaded. */
  loaded = 0;
  readonly #root: string;
  readonly #realm: string;
  readonly #trusted: GrantLog;
  readonly #open: (folder: string) => Promise<Custodian>;
  #running: Service | undefined;

  /** @param open what holds the keys; the same store each time */
  constructor(
    open: (folder: string) => Promise<Custodian> = async (folder) =>
      openFileCustodian({ folder, passphrase: "beside" }),
    around: Partial<Surroundings> = {},
  ) {
    this.#open = open;
    this.clock = around.clock ?? new TestClock();
    this.#realm = around.realm ?? "consumer";
    this.#root = around.root ?? mkdtempSync(join(tmpdir(), "redoubt-gateway-"));
    this.#trusted = around.trusted ?? this.log;
    createSocketPlace(this.#place());
    initialise(this.folder);
  }

  get folder(): string {
    return join(this.#root, this.#service);
  }

  get #service(): string {
    return `custody-${this.#realm}`;
  }

  #place(): SocketPlace {
    return socketPlace(this.#root, this.#service, `signer-${this.#realm}`);
  }

  async start(): Promise<Service> {
    const { origin, logKey, writerKey } = this.#trusted;
    this.#running = await openGateway({
      config: {
        realm: this.#realm,
        signer: `signer-${this.#realm}`,
        log: { origin, logKey, writerKey },
        custody: { kind: "file", passphrase: "beside" },
        custodyNeeds: { environment: {}, reads: [] },
      },
      folder: this.folder,
      root: this.#root,
      service: this.#service,
      clock: this.clock,
      sink: (name, fields = {}) => void this.events.push({ name, fields }),
      custodian: () => this.#open(join(this.folder, KEYS_FOLDER)),
      onCustodyLoaded: () => void (this.loaded += 1),
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
  }

  connect(): SocketClient {
    const place = this.#place();
    return new SocketClient({ path: place.path, secret: readSocketSecret(place) });
  }

  /** A custodian as the signer has it. */
  custodian(
    lease: () => HeldLease | undefined,
    label: Custodian["label"] = "plain-file",
    onWornOut: (lease: HeldLease) => void = () => undefined,
  ): GatewayCustodian {
    return new GatewayCustodian({ client: this.connect(), label, lease, onWornOut });
  }

  /** As the broker grants it: from now, for ten minutes. */
  lease(change: Partial<Lease> = {}, holder: KeyObject = newHolder()): TestLease {
    const issued = this.clock.seconds;
    const lease: Lease = {
      v: 1,
      type: "lease",
      realm: "consumer",
      signer: "signer-consumer",
      holderKey: holderKeyOf(holder),
      platform: "soft",
      hardware: false,
      issued,
      expires: issued + 600,
      registry: { size: 0, root: Buffer.alloc(32) },
      minVersion: 0,
      evidence: createHash("sha256").update("evidence").digest(),
      ...change,
    };
    const grant = this.log.grant(encodeLease(lease));
    const { digest } = openGrant(grant, this.log);
    return { lease, grant, prove: (challenge) => proveHolder(holder, challenge, digest) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#root, { recursive: true, force: true });
  }
}

export function newHolder(): KeyObject {
  return generateKeyPairSync("ed25519").privateKey;
}
