import { generateKeyPairSync, hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FakeLedger, FakeLog, FakeMonitor } from "@redoubt/testkit";
import {
  encodeCredentials,
  parseClientJwk,
  parseStatement,
  seesStatement,
  signStatement,
  type ClientCredentials,
  type StatementBody,
  type StatementSigner,
} from "@redoubt/registry";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import { createSocketPlace, readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import type { IssuerConfig } from "../config.ts";
import { openIssuer, type Issuer, type IssuerOptions } from "../context.ts";
import { FakeSigner } from "./fake-signer.ts";

export const TENANT = "11111111-1111-4111-8111-111111111111";
export const OTHER_TENANT = "22222222-2222-4222-8222-222222222222";
export const SUSPENDED_TENANT = "33333333-3333-4333-8333-333333333333";
export const ISSUER = `https://issuer.example/${TENANT}/v2.0`;
export const SECRET = "a-random secret:with+every%kind/of=character";

const REGISTRY = "issuer.test/registry";

/** The credentials of a client that has this secret. */
export function ofSecret(
  secret: string,
  term: { readonly until?: number } = {},
): ClientCredentials {
  return {
    secrets: [{ hash: hash("sha256", secret, "base64url"), added: 0, ...term }],
    keys: [],
  };
}

/** Those of one that has this public key. */
export function ofKey(jwk: JsonObject, term: { readonly until?: number } = {}): ClientCredentials {
  return { secrets: [], keys: [{ ...parseClientJwk(jwk), added: 0, ...term }] };
}

type Change<Type extends StatementBody["type"]> = Partial<
  Omit<Extract<StatementBody, { readonly type: Type }>, "type" | "credentialsHash">
>;

export const CONFIG: Omit<IssuerConfig, "registry" | "operator"> = {
  realm: "enterprise",
  http: { port: 0, proxies: null, public: null },
  issuer: "https://issuer.example/{tenantid}/v2.0",
  tokenEndpoint: "https://issuer.example/{tenantid}/oauth2/v2.0/token",
  tenant: null,
  callers: ["operator"],
  maxTtlSeconds: 3600,
  replica: 1,
  people: null,
};

type SystemOptions = Omit<Partial<IssuerOptions>, "config"> & {
  readonly config?: Omit<IssuerConfig, "registry" | "operator">;
};

/** An issuer on real sockets between fakes of ledger, signer and monitor, in a data folder of its own. */
export class System implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), "issuer-"));
  readonly signer: FakeSigner;
  readonly monitor: FakeMonitor;
  readonly registry = new FakeLog(REGISTRY);
  readonly ledger: FakeLedger;
  readonly events: { readonly name: string; readonly fields: object }[] = [];
  readonly config: IssuerConfig;
  readonly #operator: StatementSigner;
  readonly #options: Partial<IssuerOptions>;
  #said = 1;
  #time = 0;
  #issuer: Issuer | undefined;

  constructor({ config = CONFIG, ...options }: SystemOptions = {}) {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const operator = createVerifierKey({
      name: "operator",
      type: SIGNATURE_TYPE.ed25519,
      publicKey,
    });
    this.#operator = { name: "operator", privateKey };
    this.config = { ...config, operator, registry: { log: REGISTRY, vkey: this.registry.key } };
    this.#options = options;
    const { realm, issuer } = this.config;
    const { root } = this;
    this.ledger = new FakeLedger({ registry: this.registry }, undefined, {
      root,
      service: "ledger",
      caller: `issuer-${realm}`,
    });
    // Who waits for news is not answered at once.
    this.ledger.misbehave = async ({ op }, honest) => {
      if (op === "wait") await sleep(5);
      return honest();
    };
    const ring = encodeVerifierKey(new FakeLog("ring").key);
    const tenantRule = config.tenant === null ? { except: [] } : { fixed: config.tenant };
    this.state({ type: "realm", realm, issuer, ring, tenantRule });
    createSocketPlace(socketPlace(root, `issuer-${realm}`, "operator"));
    this.monitor = new FakeMonitor({ root, service: "monitor", caller: `issuer-${realm}` });
    this.signer = new FakeSigner({ root, service: `signer-${realm}`, caller: "issuer" });
    this.signer.metadata = { ...this.signer.metadata, realm };
    this.signer.registrySize = () => this.registry.size;
    this.signer.issuerStatements = (size) =>
      this.registry.items
        .slice(0, size)
        .filter(({ statement = Buffer.alloc(0) }) =>
          seesStatement(`issuer-${realm}`, parseStatement(statement)),
        ).length;
  }

  static async open(options: SystemOptions = {}): Promise<System> {
    const system = new System(options);
    await system.ledger.start();
    await system.signer.start();
    await system.monitor.start();
    await system.start();
    await system.issuer.ready;
    return system;
  }

  /** Moves the issuer's clock. */
  advance(seconds: number): void {
    this.#time += seconds * 1000;
  }

  nowSeconds(): number {
    return Math.floor((Date.now() + this.#time) / 1000);
  }

  get issuer(): Issuer {
    if (!this.#issuer) throw new TypeError("Issuer is not running");
    return this.#issuer;
  }

  get names(): readonly string[] {
    return this.events.map(({ name }) => name);
  }

  get origin(): string {
    return `http://127.0.0.1:${this.issuer.port}`;
  }

  tokenUrl(tenant = TENANT): string {
    const path = this.config.tenant === null ? tenant : this.config.realm;
    return `${this.origin}/${path}/oauth2/v2.0/token`;
  }

  async start(): Promise<void> {
    this.#issuer = await openIssuer({
      config: this.config,
      folder: join(this.root, `issuer-${this.config.realm}`),
      root: this.root,
      clock: {
        now: () => Date.now() + this.#time,
        monotonic: () => performance.now() + this.#time,
      },
      sink: (name, fields = {}) => void this.events.push({ name, fields }),
      watchIntervalMs: 5,
      deliveryLimits: { intervalMs: 5, retryMs: 5 },
      ...this.#options,
    });
  }

  async stop(): Promise<void> {
    await this.#issuer?.[Symbol.asyncDispose]();
    this.#issuer = undefined;
  }

  /** Asks over the operator's socket. */
  async operate(head: object): Promise<Record<string, unknown>> {
    const place = socketPlace(this.root, `issuer-${this.config.realm}`, "operator");
    await using client = new SocketClient({ path: place.path, secret: readSocketSecret(place) });
    return (await client.request({ ...head })).head;
  }

  /** Puts a statement into the registry, each a second later than the one before. */
  state(body: StatementBody, credentials?: ClientCredentials): void {
    const document = credentials && encodeCredentials(credentials);
    const named = { ...body, ...(document && { credentialsHash: document.hash }) };
    this.#said += 1;
    const signed = signStatement(named, this.#operator, this.#said);
    this.ledger.state({ ...signed, credentials: document?.bytes });
  }

  /** The same by somebody who is not the operator. */
  stateAsStranger(body: StatementBody): void {
    const { privateKey } = generateKeyPairSync("ed25519");
    this.#said += 1;
    this.ledger.state(signStatement(body, { name: "operator", privateKey }, this.#said));
  }

  /** Until the issuer has read what was said. */
  async read(): Promise<void> {
    const size = async (): Promise<unknown> =>
      (await this.operate({ op: "status" }))["registrySize"];
    // oxlint-disable-next-line no-await-in-loop -- waiting is the point
    while ((await size()) !== this.registry.size) await sleep(2);
  }

  async putTenant(tenant = this.#tenant, change: Change<"tenant"> = {}): Promise<void> {
    const { realm } = this.config;
    const audiences = ["api://orders", "api://stock"];
    this.state({ type: "tenant", realm, tenant, status: "active", audiences, ...change });
    if (this.#issuer) await this.read();
  }

  /** Registers `app` with the usual secret, unless said otherwise. */
  async putClient(
    change: Change<"client"> = {},
    credentials: ClientCredentials | null = ofSecret(SECRET),
  ): Promise<void> {
    this.sayClient(change, credentials);
    if (this.#issuer) await this.read();
  }

  /** The same, without waiting. */
  sayClient(change: Change<"client">, credentials: ClientCredentials | null): void {
    const body = {
      type: "client",
      realm: this.config.realm,
      tenant: this.#tenant,
      client: "app",
      status: "active",
      audiences: ["api://orders"],
      scopes: ["read", "write"],
      ...change,
    } as const;
    this.state(body, credentials ?? undefined);
  }

  get #tenant(): string {
    return this.config.tenant ?? TENANT;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.ledger.stop();
    await this.signer.stop();
    await this.monitor.stop();
    rmSync(this.root, { recursive: true });
  }
}

/** RFC 6749 §2.3.1: form-encoded, then joined, then base64. */
export function basic(client: string, secret: string): string {
  const text = `${formEncode(client)}:${formEncode(secret)}`;
  return `Basic ${Buffer.from(text).toString("base64")}`;
}

function formEncode(text: string): string {
  return encodeURIComponent(text).replaceAll("%20", "+");
}

export interface TokenResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

export async function post(
  url: string,
  form: Readonly<Record<string, string>> | string,
  headers: Readonly<Record<string, string>> = {},
): Promise<TokenResponse> {
  const response = await fetch(url, {
    method: "POST",
    body: typeof form === "string" ? form : new URLSearchParams(form).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
  });
  const parsed: unknown = await response.json();
  if (typeof parsed !== "object" || parsed === null) throw new Error("Answer is not an object");
  return { status: response.status, headers: response.headers, body: { ...parsed } };
}
