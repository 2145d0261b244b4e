import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalBytes, nowSeconds, systemClock } from "@redoubt/base";
import { signStatement, type SignedStatement, type StatementBody } from "@redoubt/registry";
import {
  createVerifierKey,
  encodeVerifierKey,
  parseVerifierKey,
  SIGNATURE_TYPE,
  type VerifierKey,
} from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import { createSocketPlace, readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import { parseConfig } from "../config.ts";
import { openLedger, type Ledger, type LedgerOptions } from "../context.ts";
import { initialise } from "../initialise.ts";
import { TestWitness } from "./witness.ts";
import { TestWriter } from "./writer.ts";

export const REGISTRY = "redoubt.test/registry";
export const CONSUMER = "redoubt.test/consumer/2026q4";
export const ENTERPRISE = "redoubt.test/enterprise/2026q4";
export const BROKER = "redoubt.test/broker";
export const CALLERS = [
  "operator",
  "monitor",
  "publisher",
  "signer-consumer",
  "signer-enterprise",
  "issuer-consumer",
  "issuer-enterprise",
  "broker",
] as const;
export type TestCaller = (typeof CALLERS)[number];

export interface TestEvent {
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A ledger's folder, keys and configuration, and everybody who talks to it. */
export class Deployment implements AsyncDisposable {
  readonly root: string;
  readonly folder: string;
  readonly logKeys: ReadonlyMap<string, VerifierKey>;
  readonly consumer: TestWriter = new TestWriter(CONSUMER);
  readonly enterprise: TestWriter = new TestWriter(ENTERPRISE);
  readonly broker: TestWriter = new TestWriter(BROKER);
  readonly events: TestEvent[] = [];
  readonly witness: TestWitness;
  /** How far the clock of the witness is ahead. */
  witnessAheadSeconds = 0;
  readonly operator: VerifierKey;
  configJson: JsonObject;
  readonly #operatorKey = generateKeyPairSync("ed25519");
  readonly #opened = new AsyncDisposableStack();
  readonly #listeners = new Set<(event: TestEvent) => void>();

  constructor(root: string, logKeys: ReadonlyMap<string, VerifierKey>) {
    this.root = root;
    this.folder = join(root, "ledger");
    this.logKeys = logKeys;
    const { publicKey } = this.#operatorKey;
    const name = "redoubt.test/operator";
    this.operator = createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey });
    this.witness = new TestWitness(
      () => nowSeconds(systemClock) + this.witnessAheadSeconds,
      (origin) => this.verifiers(origin),
    );
    const callers = new Map([
      [this.consumer, "signer-consumer"],
      [this.enterprise, "signer-enterprise"],
      [this.broker, "broker"],
    ]);
    this.configJson = {
      v: 1,
      org: "redoubt.test",
      callers: CALLERS,
      registry: REGISTRY,
      logs: [...callers].map(([{ log, key }, caller]) => ({
        log,
        writer: encodeVerifierKey(key),
        caller,
      })),
      operator: encodeVerifierKey(this.operator),
      witness: { url: "http://127.0.0.1:9", vkey: encodeVerifierKey(this.witness.key) },
    };
    writeFileSync(join(this.folder, "config.json"), canonicalBytes(this.configJson), {
      mode: 0o600,
    });
  }

  /** Whose signatures every checkpoint of a log must have. */
  verifiers(origin: string): readonly VerifierKey[] {
    const writer = [this.consumer, this.enterprise, this.broker].find(({ log }) => log === origin);
    const key = this.logKeys.get(origin);
    if (!key) throw new RangeError(`No such log: ${origin}`);
    return writer ? [key, writer.key] : [key];
  }

  /** Opens the ledger as its process would, with the witness in reach; it ends with the deployment at the latest. */
  async open(replaced: Partial<LedgerOptions> = {}): Promise<Ledger> {
    const ledger = await openLedger({
      config: parseConfig(this.configJson),
      folder: this.folder,
      root: this.root,
      clock: systemClock,
      sink: (name, fields = {}) => this.#emit({ name, fields }),
      witness: this.witness,
      ...replaced,
    });
    return this.#opened.use(ledger);
  }

  connect(caller: TestCaller): SocketClient {
    const place = socketPlace(this.root, "ledger", caller);
    return new SocketClient({ path: place.path, secret: readSocketSecret(place) });
  }

  statement(body: StatementBody): SignedStatement {
    const { privateKey } = this.#operatorKey;
    const signer = { name: this.operator.name, privateKey };
    return signStatement(body, signer, nowSeconds(systemClock));
  }

  eventsNamed(name: string): readonly TestEvent[] {
    return this.events.filter((event) => event.name === name);
  }

  /** Resolves with the first event of this name, past or future. */
  event(name: string, matches: (event: TestEvent) => boolean = () => true): Promise<TestEvent> {
    const isWanted = (event: TestEvent): boolean => event.name === name && matches(event);
    const past = this.events.find(isWanted);
    if (past) return Promise.resolve(past);
    return new Promise((resolve) => {
      const listener = (event: TestEvent): void => {
        if (!isWanted(event)) return;
        this.#listeners.delete(listener);
        resolve(event);
      };
      this.#listeners.add(listener);
    });
  }

  #emit(event: TestEvent): void {
    this.events.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
    rmSync(this.root, { recursive: true, force: true });
  }
}

export async function createDeployment(): Promise<Deployment> {
  const root = mkdtempSync(join(tmpdir(), "ledger-"));
  const folder = join(root, "ledger");
  mkdirSync(folder, { mode: 0o700 });
  const { logs } = await initialise(folder, { logs: [REGISTRY, CONSUMER, ENTERPRISE, BROKER] });
  for (const caller of CALLERS) createSocketPlace(socketPlace(root, "ledger", caller));
  const keys = logs.map(({ log, vkey }) => [log, parseVerifierKey(vkey)] as const);
  return new Deployment(root, new Map(keys));
}

/** The code that a refused request was answered with. */
export async function refusalOf(request: Promise<unknown>): Promise<string> {
  try {
    await request;
  } catch (error) {
    if (error instanceof Error && "code" in error) return String(error.code);
    throw error;
  }
  return "no refusal";
}

/** A member of an answer that has to be text. */
export function textOf(value: unknown): string {
  if (typeof value !== "string") throw new TypeError("Answer: expected text");
  return value;
}
