import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKeyFile } from "@redoubt/custody";
import { Registry, signStatement, type StatementBody, type TenantRule } from "@redoubt/registry";
import {
  createVerifierKey,
  ed25519Cosigner,
  encodeVerifierKey,
  SIGNATURE_TYPE,
  type VerifierKey,
} from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import {
  createSocketPlace,
  readSocketSecret,
  SocketClient,
  socketPlace,
  type SocketPlace,
} from "@redoubt/wire";
import { FakeLedger, FakeLog, FakeMonitor } from "@redoubt/testkit";
import { parseConfig } from "../config.ts";
import { openSigner, type Signer, type SignerOptions } from "../context.ts";
import { initialise, initialiseLog } from "../initialise.ts";
import { CountingCustodian } from "./counting-custodian.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestClock } from "@redoubt/testkit";
import { RecordedEvents } from "./test-events.ts";

export const CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad";
export const TENANT = "11111111-2222-4333-8444-555555555555";
export const OTHER_TENANT = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
export const SUSPENDED_TENANT = "99999999-bbbb-4ccc-8ddd-eeeeeeeeeeee";
export const CLIENT = "app-1";
export const DISABLED_CLIENT = "app-off";
export const AUDIENCE = "api://one";
export const CALLERS = ["issuer", "drill", "operator"] as const;
export type TestCaller = (typeof CALLERS)[number] | "kube-front";

export const WANTED = {
  op: "issue",
  handle: { realm: "enterprise", tenant: TENANT, class: "at" },
  client: CLIENT,
  sub: "user-1",
  audience: AUDIENCE,
  scope: "read",
  ttl: 600,
} as const;

export const RING = {
  class: "at",
  alg: "ES256",
  maxLifetimeSeconds: 3600,
  rotation: {
    lifetimeActions: [{ trigger: { timeAfterCreate: "P1D" }, action: { type: "Rotate" } }],
    redoubt: { shortDurations: true, metadataCache: "PT1H" },
  },
} as const;
/** The same policy, decided. */
export const TIMES = {
  prepublishSeconds: 7200,
  activeSeconds: 86_400,
  verifyOnlySeconds: 7200,
  expirySeconds: 172_800,
} as const;

/** A signer's surroundings: folders, sockets, a ledger, a monitor and a witness that a test commands. */
export class Deployment implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "sgn-"));
  readonly realm: string;
  readonly service: string;
  readonly folder: string;
  readonly clock: TestClock = new TestClock();
  readonly custodian: CountingCustodian = new CountingCustodian();
  readonly events: RecordedEvents = new RecordedEvents();
  readonly ledger: FakeLedger;
  readonly monitor: FakeMonitor;
  readonly config: JsonObject;
  readonly witnessKey: VerifierKey;
  readonly writerKey: string;
  readonly ringKey: string;
  readonly #operator = generateKeyPairSync("ed25519");
  readonly #open: AsyncDisposable[] = [];

  constructor(realm = "enterprise") {
    this.realm = realm;
    this.service = `signer-${realm}`;
    this.folder = join(this.root, this.service);
    mkdirSync(this.folder, { mode: 0o700 });
    const witness = generateKeyPairSync("ed25519");
    const logs = {
      registry: new FakeLog("redoubt.test/registry"),
      issuance: new FakeLog(`redoubt.test/${realm}/2026q4`),
    };
    const witnessing = {
      signer: ed25519Cosigner("witness.test", witness.privateKey),
      nowSeconds: () => this.clock.seconds,
      isUp: true,
    };
    const own = { root: this.root, caller: this.service };
    this.ledger = new FakeLedger(logs, witnessing, { ...own, service: "ledger" });
    this.monitor = new FakeMonitor({ ...own, service: "monitor" }, this.ledger.witnessed);
    for (const caller of [...CALLERS, "kube-front"] as const) createSocketPlace(this.place(caller));
    const log = logs.issuance.origin;
    const { ring, writer } = initialise(this.folder, { realm, origin: log });
    this.ringKey = ring;
    this.writerKey = writer;
    const { cosignature } = SIGNATURE_TYPE;
    const { publicKey } = witness;
    this.witnessKey = createVerifierKey({ name: "witness.test", type: cosignature, publicKey });
    this.config = {
      v: 1,
      realm,
      instance: `${realm}-1`,
      log,
      callers: CALLERS,
      registry: { log: logs.registry.origin, vkey: encodeVerifierKey(logs.registry.key) },
      operator: encodeVerifierKey(this.operatorKey),
      witness: encodeVerifierKey(this.witnessKey),
      maxUnwitnessedSeconds: 900,
      rings: [RING],
      budget: { perSecond: 10_000, burst: 10_000 },
      labels: ["roots: demo"],
    };
  }

  /** With ledger and monitor running, and everything that the signer needs in the registry. */
  static async start(realm?: string): Promise<Deployment> {
    const deployment = new Deployment(realm);
    await deployment.ledger.start();
    await deployment.monitor.start();
    deployment.register();
    return deployment;
  }

  get operatorKey(): VerifierKey {
    const { publicKey } = this.#operator;
    return createVerifierKey({ name: "operator", type: SIGNATURE_TYPE.ed25519, publicKey });
  }

  /** What an operator says once: realm, writer, tenants, clients. */
  register(writer: string = this.writerKey): void {
    const { realm } = this;
    const isConsumer = realm === "consumer";
    const tenantRule: TenantRule = isConsumer
      ? { fixed: CONSUMER_TENANT }
      : { except: [CONSUMER_TENANT] };
    const issuer = `https://login.test/${isConsumer ? "consumer" : "{tenantid}"}/v2.0`;
    this.state({ type: "realm", realm, issuer, ring: this.ringKey, tenantRule });
    const { origin: log, key } = this.ledger.issuance;
    const logKey = encodeVerifierKey(key);
    this.state({ type: "writer", realm, log, writer, logKey });
    const tenants = isConsumer ? [CONSUMER_TENANT] : [TENANT, OTHER_TENANT, SUSPENDED_TENANT];
    for (const tenant of tenants) this.registerTenant(tenant);
  }

  /** The operator closes a log at this size; the configuration that goes on with another one. */
  closeLog(size: number, before: FakeLog = this.ledger.issuance): { readonly log: string } {
    const { realm } = this;
    const next = new FakeLog(`${before.origin}-2`);
    this.ledger.successors.push(next);
    const { origin: log } = next;
    const writer = initialiseLog(this.folder, log);
    this.state({ type: "writer", realm, log, writer, logKey: encodeVerifierKey(next.key) });
    const root = encodeBase64url(before.range(size).root());
    const closing = { log: before.origin, size, root, successor: log, reason: "test" };
    this.state({ type: "log-closed", realm, ...closing });
    return { log };
  }

  registerTenant(tenant: string): void {
    const { realm } = this;
    const audiences = [AUDIENCE, "api://two"];
    this.state({ type: "tenant", realm, tenant, status: "active", audiences });
    const client = { type: "client", realm, tenant, scopes: ["read", "write"] } as const;
    this.state({ ...client, client: CLIENT, status: "active", audiences: [AUDIENCE] });
    this.state({ ...client, client: DISABLED_CLIENT, status: "disabled", audiences: [AUDIENCE] });
    if (tenant === SUSPENDED_TENANT)
      this.state({ type: "tenant", realm, tenant, status: "suspended", audiences });
  }

  /** What anybody who may read the registry knows. */
  foldRegistry(): Registry {
    const registry = new Registry({ operator: this.operatorKey });
    for (const [index, item] of this.ledger.registry.items.entries())
      registry.apply({ index, ...item });
    return registry;
  }

  /** An operator's statement, in the registry at once. */
  state(body: StatementBody): number {
    const signer = { name: "operator", privateKey: this.#operator.privateKey };
    return this.ledger.state(signStatement(body, signer, this.clock.seconds));
  }

  /** A statement by the realm's own ring. */
  stateAsRing(body: StatementBody): number {
    const { privateKey } = openKeyFile(join(this.folder, "ring.key"));
    const signer = { name: `ring/${this.realm}`, privateKey };
    return this.ledger.state(signStatement(body, signer, this.clock.seconds));
  }

  async open(replaced: Partial<SignerOptions> = {}, config: JsonObject = {}): Promise<Signer> {
    const signer = await openSigner({
      config: parseConfig({ ...this.config, ...config }),
      folder: this.folder,
      root: this.root,
      service: this.service,
      clock: this.clock,
      sink: this.events.sink,
      ...(config["custody"] === undefined && { custodian: this.custodian }),
      ...replaced,
    });
    this.#open.push(signer);
    return signer;
  }

  async openReady(replaced: Partial<SignerOptions> = {}, config: JsonObject = {}): Promise<Signer> {
    const signer = await this.open(replaced, config);
    await signer.ready;
    return signer;
  }

  place(caller: TestCaller): SocketPlace {
    return socketPlace(this.root, this.service, caller);
  }

  client(caller: TestCaller = "issuer"): SocketClient {
    const place = this.place(caller);
    const client = new SocketClient({ path: place.path, secret: readSocketSecret(place) });
    this.#open.push(client);
    return client;
  }

  async rawPeer(caller: TestCaller = "issuer"): Promise<RawPeer> {
    const place = this.place(caller);
    const peer = new RawPeer(place.path);
    this.#open.push(peer);
    await peer.greet(readSocketSecret(place));
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const open of this.#open.toReversed()) await open[Symbol.asyncDispose]();
    await this.ledger.stop();
    await this.monitor.stop();
    rmSync(this.root, { recursive: true });
  }
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
