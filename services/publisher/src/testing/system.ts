import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeLedger, type Honest } from "@redoubt/testkit";
import type { Answer, Call } from "@redoubt/wire";
import { openPublisher, type Publisher, type PublisherOptions } from "../context.ts";
import { LOG, NOW, type Deployment } from "./deployment.ts";

/** A publisher on real sockets behind a fake ledger. */
export class System implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), "publisher-"));
  readonly ledger: FakeLedger;
  readonly events: { readonly name: string; readonly fields: object }[] = [];
  readonly published = join(this.root, "ledger", "published");
  readonly www = join(this.root, "publisher", "www");
  readonly deployment: Deployment;
  /** Changes the answer to `registry` before it leaves. */
  lie: (answer: Record<string, unknown>) => object = (answer) => answer;
  /** Answers in the place of the ledger, where it answers at all. */
  meddle: ((call: Call, honest: Honest) => Promise<Answer> | undefined) | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #options: Partial<PublisherOptions>;
  #publisher: Publisher | undefined;
  #seconds = NOW;

  constructor(deployment: Deployment, options: Partial<PublisherOptions> = {}) {
    this.deployment = deployment;
    const place = { root: this.root, service: "ledger", caller: "publisher" };
    this.ledger = new FakeLedger({ registry: deployment.log }, undefined, place);
    // Small pages, so that a reading takes several.
    this.ledger.pageItems = 3;
    this.ledger.misbehave = async (call, honest) => {
      const { op, head } = call;
      const answered = this.meddle?.(call, honest);
      if (answered) return answered;
      if (op === "wait" && deployment.log.size <= Number(head["size"]))
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      const answer = await honest();
      return op === "registry" ? { head: this.lie({ ...answer.head }) } : answer;
    };
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
    await this.ledger.start();
    await this.startPublisher();
  }

  /** The registry grew: whoever waits is told. */
  grew(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async startPublisher(): Promise<void> {
    const { log, operator } = this.deployment;
    this.#publisher = await openPublisher({
      config: {
        http: { port: 0, proxies: null, public: null },
        registry: { log: LOG, vkey: log.key },
        operator: operator.vkey,
        loginOrigins: new Map(),
        tokenEndpoints: new Map([
          ["consumer", "https://token.example/consumer/oauth2/v2.0/token"],
          ["enterprise", "https://token.example/{tenantid}/oauth2/v2.0/token"],
        ]),
        publishedFolder: "ledger/published",
      },
      folder: join(this.root, "publisher"),
      root: this.root,
      clock: { now: () => this.#seconds * 1000, monotonic: () => this.#seconds * 1000 },
      sink: (name, fields = {}) => void this.events.push({ name, fields }),
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

  /** A JWKS' x-attestation of each key, by kid. */
  async attested(path: string): Promise<Readonly<Record<string, unknown>>> {
    const answer = await fetch(`${this.origin}${path}/keys`);
    const { keys }: { keys: Record<string, unknown>[] } = JSON.parse(await answer.text());
    return Object.fromEntries(keys.map((key) => [String(key["kid"]), key["x-attestation"]]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopPublisher();
    this.grew();
    await this.ledger.stop();
    rmSync(this.root, { recursive: true });
  }
}
