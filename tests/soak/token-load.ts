import { hash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { portsFrom, readDemo, tokenEndpoint, type DemoClient } from "@redoubt/cli";

export interface TokenEndpoint {
  readonly url: string;
  readonly client: DemoClient;
}

/** The token endpoint of each realm, with its demo client. */
export function endpointsOf(system: {
  readonly folder: string;
  readonly base: number;
}): readonly TokenEndpoint[] {
  const ports = portsFrom(system.base);
  return readDemo(system.folder).clients.map((client) => ({
    client,
    url: tokenEndpoint(client.realm, ports).replace("{tenantid}", client.tenant),
  }));
}

const RETRY_MS = 20;
const POLL_MS = 10;

/** Clients that ask for tokens all the time and remember each that they received, by digest. */
export class TokenLoad {
  readonly #endpoints: readonly TokenEndpoint[];
  readonly #onToken: (token: string) => void;
  readonly #received = new Set<string>();
  readonly #counts = new Map<TokenEndpoint, number>();
  #refused = 0;
  #isStopped = false;
  #workers: Promise<void>[] = [];

  constructor(
    endpoints: readonly TokenEndpoint[],
    onToken: (token: string) => void = () => undefined,
  ) {
    this.#endpoints = endpoints;
    this.#onToken = onToken;
  }

  /** Digests of the signing inputs of every token that a client got. */
  get received(): ReadonlySet<string> {
    return this.#received;
  }
  /** Requests that got an error or no answer: what a client repeats. */
  get refused(): number {
    return this.#refused;
  }

  start(workersPerEndpoint: number): void {
    for (const endpoint of this.#endpoints)
      for (let i = 0; i < workersPerEndpoint; i += 1) this.#workers.push(this.#work(endpoint));
  }

  /** Whether the clients of every realm got this many more tokens in time. */
  async more(tokens: number, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    const wanted = this.#endpoints.map(
      (endpoint) => [endpoint, this.#count(endpoint) + tokens] as const,
    );
    while (wanted.some(([endpoint, count]) => this.#count(endpoint) < count)) {
      if (performance.now() > deadline) return false;
      await pause(POLL_MS);
    }
    return true;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#workers);
  }

  async #work(endpoint: TokenEndpoint): Promise<void> {
    while (!this.#isStopped) {
      const token = await requestToken(endpoint);
      if (token === undefined) {
        this.#refused += 1;
        await pause(RETRY_MS);
      } else {
        this.#received.add(digestOf(token));
        this.#counts.set(endpoint, this.#count(endpoint) + 1);
        this.#onToken(token);
      }
    }
  }

  #count(endpoint: TokenEndpoint): number {
    return this.#counts.get(endpoint) ?? 0;
  }
}

async function requestToken({ url, client }: TokenEndpoint): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        authorization: `Basic ${btoa(`${client.client}:${client.secret}`)}`,
        "content-type": "application/x-www-form-urlencoded",
      },
      body: "grant_type=client_credentials",
      signal: AbortSignal.timeout(15_000),
    });
    const body: unknown = await response.json();
    if (typeof body !== "object" || body === null || !("access_token" in body)) return undefined;
    return String(body.access_token);
  } catch {
    // The issuer was killed under this request: no token, no promise.
    return undefined;
  }
}

export function digestOf(token: string): string {
  return hash("sha256", token.slice(0, token.lastIndexOf(".")), "base64url");
}
