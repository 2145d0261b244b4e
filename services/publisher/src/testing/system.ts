import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemberReader } from "@redoubt/base";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  createSocketPlace,
  serveSocket,
  socketPlace,
  type Call,
  type Handler,
} from "@redoubt/wire";
import { openPublisher, type Publisher, type PublisherOptions } from "../context.ts";
import { LOG, NOW, type Deployment } from "./deployment.ts";

/** A ledger that hands out what the test says, honest or not. */
export class FakeLedger {
  readonly #deployment: Deployment;
  readonly #waiting = new Set<() => void>();
  /** Changes the answer to `registry` before it leaves. */
  lie: (answer: Record<string, unknown>) => Record<string, unknown> = (answer) => answer;

  constructor(deployment: Deployment) {
    this.#deployment = deployment;
  }

  readonly handler: Handler = async ({ op, head }) => {
    if (op === "wait") return { head: await this.#wait(head) };
    const reader = new MemberReader(head, op);
    const from = reader.integer("from", 0, 1e9);
    // Small pages, so that a reading takes several.
    const items = this.#deployment.items.slice(
      from,
      from + Math.min(3, reader.integer("max", 1, 512)),
    );
    const size = this.#deployment.items.length;
    return {
      head: this.lie({
        from,
        size,
        checkpoint: size === 0 ? "" : this.#deployment.checkpoint(),
        cosigned: "",
        items: items.map(({ entry, statement, envelope }) => ({
          entry: encodeBase64url(entry),
          statement: encodeBase64url(statement),
          envelope: encodeBase64url(envelope),
        })),
      }),
    };
  };

  async #wait(head: Call["head"]): Promise<{ size: number }> {
    const known = new MemberReader(head, "wait").integer("size", 0, 1e9);
    if (this.#deployment.items.length <= known)
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    return { size: this.#deployment.items.length };
  }

  /** The registry grew: whoever waits is told. */
  grew(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** A publisher on real sockets behind a fake ledger. */
export class System implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), "publisher-"));
  readonly ledger: FakeLedger;
  readonly events: { readonly name: string; readonly fields: object }[] = [];
  readonly published = join(this.root, "ledger", "published");
  readonly www = join(this.root, "publisher", "www");
  readonly deployment: Deployment;
  readonly #options: Partial<PublisherOptions>;
  #socket: AsyncDisposable | undefined;
  #publisher: Publisher | undefined;
  #seconds = NOW;

  constructor(deployment: Deployment, options: Partial<PublisherOptions> = {}) {
    this.deployment = deployment;
    this.ledger = new FakeLedger(deployment);
    this.#options = options;
    mkdirSync(join(this.root, "publisher"), { mode: 0o700 });
    mkdirSync(this.published, { recursive: true });
  }

  static async open(
    deployment: Deployment,
    options: Partial<PublisherOptions> = {},
  ): Promise<System> {
    const system = new System(deployment, options);
    await system.start();
    await system.publisher.ready;
    return system;
  }

  get publisher(): Publisher {
    if (!this.#publisher) throw new TypeError("Publisher is not running");
    return this.#publisher;
  }

  get names(): readonly string[] {
    return this.events.map(({ name }) => name);
  }

  get origin(): string {
    return `http://127.0.0.1:${this.publisher.port}`;
  }

  count(name: string): number {
    return this.names.filter((one) => one === name).length;
  }

  advance(seconds: number): void {
    this.#seconds += seconds;
  }

  async start(): Promise<void> {
    const place = socketPlace(this.root, "ledger", "publisher");
    const secret = createSocketPlace(place);
    this.#socket = await serveSocket({
      path: place.path,
      caller: "publisher",
      secret,
      service: "ledger",
      instance: "fake",
      handler: this.ledger.handler,
      log: () => undefined,
    });
    await this.startPublisher();
  }

  async startPublisher(): Promise<void> {
    const { registryKey, operator } = this.deployment;
    this.#publisher = await openPublisher({
      config: {
        port: 0,
        registry: { log: LOG, vkey: registryKey.vkey },
        operator: operator.vkey,
        tokenEndpoints: new Map([
          ["consumer", "https://token.example/consumer/oauth2/v2.0/token"],
          ["enterprise", "https://token.example/{tenantid}/oauth2/v2.0/token"],
        ]),
        publishedFolder: "ledger/published",
      },
      folder: join(this.root, "publisher"),
      root: this.root,
      clock: { now: () => this.#seconds * 1000, monotonic: () => this.#seconds * 1000 },
      log: (name, fields = {}) => void this.events.push({ name, fields }),
      retryMs: 5,
      tickMs: 5,
      ...this.#options,
    });
  }

  async stopPublisher(): Promise<void> {
    await this.#publisher?.[Symbol.asyncDispose]();
    this.#publisher = undefined;
  }

  /** Kids of a JWKS as it is served; undefined where there is none. */
  async kids(path: string): Promise<readonly unknown[] | undefined> {
    const answer = await fetch(`${this.origin}${path}/keys`);
    const body: { keys?: { kid: string }[] } = JSON.parse(await answer.text());
    return answer.status === 200 ? body.keys?.map(({ kid }) => kid) : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopPublisher();
    this.ledger.grew();
    await this.#socket?.[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true });
  }
}

/** Waits, one event-loop turn after the other, until something holds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`It never came to hold: ${holds.toString()}`);
    // oxlint-disable-next-line no-await-in-loop -- waiting is the point
    await new Promise(setImmediate);
  }
}
