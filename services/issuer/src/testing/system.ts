import { hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeMonitor } from "@redoubt/testkit";
import {
  createSocketPlace,
  ISSUER as CALLS,
  readSocketSecret,
  SocketClient,
  socketPlace,
} from "@redoubt/wire";
import type { IssuerConfig } from "../config.ts";
import { openIssuer, type Issuer, type IssuerOptions } from "../context.ts";
import { FakeSigner } from "./fake-signer.ts";

export const TENANT = "11111111-1111-4111-8111-111111111111";
export const OTHER_TENANT = "22222222-2222-4222-8222-222222222222";
export const SUSPENDED_TENANT = "33333333-3333-4333-8333-333333333333";
export const ISSUER = `https://issuer.example/${TENANT}/v2.0`;
export const SECRET = "a-random secret:with+every%kind/of=character";

export function secretHash(secret: string): string {
  return hash("sha256", secret, "base64url");
}

export const CONFIG: IssuerConfig = {
  realm: "enterprise",
  port: 0,
  issuer: "https://issuer.example/{tenantid}/v2.0",
  tenant: null,
  callers: ["operator"],
  maxTtlSeconds: 3600,
};

/** An issuer on real sockets between a fake signer and a fake monitor, in a data folder of its own. */
export class System implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), "issuer-"));
  readonly signer: FakeSigner;
  readonly monitor: FakeMonitor;
  readonly events: { readonly name: string; readonly fields: object }[] = [];
  readonly #config: IssuerConfig;
  readonly #options: Partial<IssuerOptions>;
  #time = 0;
  #issuer: Issuer | undefined;

  constructor(options: Partial<IssuerOptions> = {}) {
    this.#config = options.config ?? CONFIG;
    this.#options = options;
    const { realm } = this.#config;
    const { root } = this;
    createSocketPlace(socketPlace(root, `issuer-${realm}`, "operator"));
    this.monitor = new FakeMonitor({ root, service: "monitor", caller: `issuer-${realm}` });
    this.signer = new FakeSigner({ root, service: `signer-${realm}`, caller: "issuer" });
    this.signer.metadata = { ...this.signer.metadata, realm };
  }

  static async open(options: Partial<IssuerOptions> = {}): Promise<System> {
    const system = new System(options);
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
    const path = this.#config.tenant === null ? tenant : this.#config.realm;
    return `${this.origin}/${path}/oauth2/v2.0/token`;
  }

  async start(): Promise<void> {
    this.#issuer = await openIssuer({
      config: this.#config,
      folder: join(this.root, `issuer-${this.#config.realm}`),
      root: this.root,
      clock: {
        now: () => Date.now() + this.#time,
        monotonic: () => performance.now() + this.#time,
      },
      log: (name, fields = {}) => void this.events.push({ name, fields }),
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
    const place = socketPlace(this.root, `issuer-${this.#config.realm}`, "operator");
    await using client = new SocketClient({ path: place.path, secret: readSocketSecret(place) });
    return (await client.request({ ...head })).head;
  }

  async putTenant(tenant = this.#config.tenant ?? TENANT, status = "active"): Promise<void> {
    const audiences = ["api://orders", "api://stock"];
    await this.operate({ op: CALLS.putTenant.op, tenant, status, audiences, statement: 1 });
  }

  /** Registers `app` with the usual secret, unless said otherwise. */
  async putClient(change: object = {}): Promise<void> {
    await this.operate({
      op: CALLS.putClient.op,
      tenant: this.#config.tenant ?? TENANT,
      client: "app",
      status: "active",
      audiences: ["api://orders"],
      scopes: ["read", "write"],
      auth: { method: "client_secret_basic", secretHash: secretHash(SECRET) },
      statement: 2,
      ...change,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.signer.stop();
    await this.monitor.stop();
    rmSync(this.root, { recursive: true });
  }
}

/** Waits, one event-loop turn after the other, until something holds. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error("It never came to hold");
    // oxlint-disable-next-line no-await-in-loop -- waiting is the point
    await new Promise(setImmediate);
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
