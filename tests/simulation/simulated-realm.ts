import { generateKeyPairSync } from "node:crypto";
import { ServiceError, type Clock } from "@redoubt/base";
import {
  Registry,
  signStatement,
  type KeyInfo,
  type SignedStatement,
  type StatementBody,
  type StatementSigner,
} from "@redoubt/registry";
import type { dueStep, RotationPolicy } from "@redoubt/keys";
import { KeyOrders, KeyRing, KeySteps, signerEvents } from "@redoubt/signer";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { MemoryCustodian } from "./memory-custodian.ts";

export const REALM = "enterprise";
export const TENANT = "11111111-2222-4333-8444-555555555555";
const LOG = "redoubt.test/enterprise/2026q4";
const START_SECONDS = Date.UTC(2026, 0, 1) / 1000;

export interface RealmOptions {
  readonly policy: RotationPolicy;
  /** For mutants: automation without one of its rules. */
  readonly decide?: typeof dueStep<KeyInfo>;
  /** For mutants: a registry that nobody folds `key-retain` from. */
  readonly foldsRetain?: boolean;
}

/** A signer's key automation as it is, over a registry in memory and a clock that a simulation moves. */
export class SimulatedRealm {
  readonly custodian = new MemoryCustodian();
  readonly steps: KeySteps;
  readonly orders: KeyOrders;
  readonly ring: KeyRing;
  readonly registry: Registry;
  readonly alarms: string[] = [];
  seconds = START_SECONDS;
  isLedgerDown = false;
  voids = 0;
  readonly #operator = namedKey("operator");
  readonly #foldsRetain: boolean;

  constructor({ policy, decide, foldsRetain = true }: RealmOptions) {
    this.#foldsRetain = foldsRetain;
    this.registry = new Registry({ operator: this.#operator.verifier });
    const ringKey = namedKey(`ring/${REALM}`);
    this.#register(ringKey.vkey);
    const clock: Clock = { now: () => this.seconds * 1000, monotonic: () => this.seconds * 1000 };
    const policies = [
      { ...policy, class: "at", alg: "Ed25519", maxLifetimeSeconds: 3600 },
    ] as const;
    const shared = {
      realm: REALM,
      origin: LOG,
      policies,
      registry: () => this.registry,
      custodian: this.custodian,
      ringSigner: ringKey,
      clock,
      events: signerEvents(() => undefined),
      append: async (signed: SignedStatement, ifSize?: number) => this.#append(signed, ifSize),
      refresh: async () => undefined,
      checkTime: () => undefined,
      alarm: (kind: string) => this.alarms.push(kind),
    };
    this.ring = new KeyRing(shared);
    this.steps = new KeySteps({ ...shared, ring: this.ring, ...(decide && { decide }) });
    this.orders = new KeyOrders({ ...shared, steps: this.steps });
  }

  get keys(): KeyInfo[] {
    return [...this.registry.keys.values()];
  }

  /** A statement of the operator's, past the signer. */
  state(body: StatementBody): void {
    this.#append(signStatement(body, this.#operator, this.seconds));
  }

  #register(ring: string): void {
    const issuer = "https://login.test/{tenantid}/v2.0";
    this.state({ type: "realm", realm: REALM, issuer, ring, tenantRule: { except: [] } });
    const [writer, logKey] = [namedKey(`${LOG}/writer`).vkey, namedKey(LOG).vkey];
    this.state({ type: "writer", realm: REALM, log: LOG, writer, logKey });
    this.state({ type: "tenant", realm: REALM, tenant: TENANT, status: "active", audiences: [] });
  }

  #append(signed: SignedStatement, ifSize?: number): void {
    if (this.isLedgerDown) throw new ServiceError("ERR_LEDGER_IO", "Ledger is away");
    if (ifSize !== undefined && ifSize !== this.registry.size)
      throw new ServiceError("ERR_LEDGER_SIZE", "Registry moved");
    const isBlind = !this.#foldsRetain && signed.statement.includes('"type":"key-retain"');
    const item = { index: this.registry.size, entry: signed.entry };
    const result = this.registry.apply(isBlind ? item : { ...item, ...signed });
    if (result.kind === "void") this.voids += 1;
  }
}

interface NamedKey extends StatementSigner {
  readonly verifier: ReturnType<typeof createVerifierKey>;
  readonly vkey: string;
}

function namedKey(name: string): NamedKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const verifier = createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey });
  return { name, privateKey, verifier, vkey: encodeVerifierKey(verifier) };
}
