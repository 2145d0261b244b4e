import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import {
  Registry,
  signStatement,
  type SignedStatement,
  type StatementBody,
  type StatementSigner,
} from "@redoubt/registry";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { signerEvents } from "../events.ts";
import { KeyRing } from "../keys/key-ring.ts";
import { KeySteps } from "../keys/key-steps.ts";
import type { CountingCustodian } from "./counting-custodian.ts";
import { RING, TIMES } from "./deployment.ts";
import type { TestClock } from "@redoubt/testkit";

const REALM = "enterprise";
const POLICY = {
  ...TIMES,
  class: RING.class,
  alg: RING.alg,
  maxLifetimeSeconds: RING.maxLifetimeSeconds,
  standby: 1,
  alarmAtPercent: 80,
  notifySeconds: null,
  labels: [],
  notes: [],
} as const;

/** One registry log, and any number of signers that each fold what they have read of it. */
export class SharedRegistry {
  readonly items: SignedStatement[] = [];
  readonly ringSigner: StatementSigner;
  readonly #operator: StatementSigner & { readonly vkey: string };
  readonly #clock: TestClock;

  constructor(clock: TestClock, logs: readonly string[]) {
    this.#clock = clock;
    this.#operator = namedKey("operator");
    const ring = namedKey(`ring/${REALM}`);
    this.ringSigner = ring;
    const issuer = "https://login.test/{tenantid}/v2.0";
    this.state({
      type: "realm",
      realm: REALM,
      issuer,
      ring: ring.vkey,
      tenantRule: { except: [] },
    });
    for (const log of logs) {
      const [writer, logKey] = [namedKey(`${log}/writer`).vkey, namedKey(log).vkey];
      this.state({ type: "writer", realm: REALM, log, writer, logKey });
    }
  }

  /** An operator's statement. */
  state(body: StatementBody): void {
    this.items.push(signStatement(body, this.#operator, this.#clock.seconds));
  }

  newFold(): Registry {
    const { privateKey } = this.#operator;
    const operator = namedKey("operator", privateKey).verifier;
    return new Registry({ operator });
  }
}

/** A signer's key automation over a shared registry; `yields` makes the two of a test run into each other. */
export class SharingSigner {
  readonly registry: Registry;
  readonly ring: KeyRing;
  readonly steps: KeySteps;
  voids = 0;
  lostSwaps = 0;
  readonly #shared: SharedRegistry;
  readonly #yields: () => number;

  constructor(
    shared: SharedRegistry,
    options: {
      readonly origin: string;
      readonly clock: TestClock;
      readonly custodian: CountingCustodian;
      readonly yields: () => number;
    },
  ) {
    this.#shared = shared;
    this.#yields = options.yields;
    this.registry = shared.newFold();
    const parts = {
      ...options,
      realm: REALM,
      policies: [POLICY],
      registry: () => this.registry,
      ringSigner: shared.ringSigner,
      events: signerEvents(() => undefined),
      append: (signed: SignedStatement, ifSize?: number) => this.#append(signed, ifSize),
      refresh: () => this.read(),
      alarm: () => undefined,
    };
    this.ring = new KeyRing(parts);
    this.steps = new KeySteps({ ...parts, ring: this.ring });
  }

  /** As a turn of a signer does. */
  async turn(): Promise<void> {
    await this.read();
    this.ring.refresh();
    await this.steps.tick();
  }

  async read(): Promise<void> {
    await this.#wait();
    for (const item of this.#shared.items.slice(this.registry.size)) {
      const result = this.registry.apply({ index: this.registry.size, ...item });
      if (result.kind === "void") this.voids += 1;
    }
  }

  async #append(signed: SignedStatement, ifSize?: number): Promise<void> {
    await this.#wait();
    if (ifSize !== undefined && ifSize !== this.#shared.items.length) {
      this.lostSwaps += 1;
      throw new ServiceError("ERR_LEDGER_SIZE", "Registry moved");
    }
    this.#shared.items.push(signed);
    await this.read();
  }

  async #wait(): Promise<void> {
    for (let count = this.#yields(); count > 0; count -= 1) await Promise.resolve();
  }
}

function namedKey(name: string, given = generateKeyPairSync("ed25519").privateKey) {
  const publicKey = createPublicKey(given);
  const verifier = createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey });
  return { name, privateKey: given, verifier, vkey: encodeVerifierKey(verifier) };
}
