import { setTimeout as pause } from "node:timers/promises";
import { portsFrom, tokenEndpoint, type DemoClient } from "@redoubt/cli";
import type { SignerOptions } from "@redoubt/signer";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";

/** What a client got when it asked for a token. Milliseconds of `performance.now()`. */
export interface TokenAnswer {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly status: number;
  /** "" where it was refused. */
  readonly token: string;
}

const TIMEOUT_MS = 45_000;
const RETRY_MS = 20;

/** One request to the token endpoint of a client's issuer. */
export async function askToken(basePort: number, client: DemoClient): Promise<TokenAnswer> {
  const url = tokenEndpoint(client.realm, portsFrom(basePort)).replace("{tenantid}", client.tenant);
  const startedAt = performance.now();
  const response = await fetch(url, {
    method: "POST",
    headers: {
      authorization: `Basic ${btoa(`${client.client}:${client.secret}`)}`,
      "content-type": "application/x-www-form-urlencoded",
    },
    body: "grant_type=client_credentials",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const { access_token: token } = parseJsonObject(await response.text());
  const endedAt = performance.now();
  const { status } = response;
  return { startedAt, endedAt, status, token: typeof token === "string" ? token : "" };
}

/** The kid in a token's header, which nobody has verified. */
export function unverifiedKidOf(token: string): string {
  const header = Buffer.from(token.split(".")[0] ?? "", "base64url");
  const { kid } = parseJsonObject(header);
  return typeof kid === "string" ? kid : "";
}

/** The keys that an issuer's JWKS lists now. */
export async function readJwks(issuer: string): Promise<readonly JsonObject[]> {
  const response = await fetch(`${issuer}/keys`);
  const { keys } = parseJsonObject(await response.text(), { maxDepth: 12 });
  return Array.isArray(keys) ? keys.filter(isJsonObject) : [];
}

/** Clients that ask for tokens one after the other, and again after a refusal, until they are stopped. */
export class TokenFlow {
  readonly answers: TokenAnswer[] = [];
  readonly #workers: readonly Promise<void>[];
  #isStopped = false;

  constructor(ask: () => Promise<TokenAnswer>, clients = 3) {
    this.#workers = Array.from({ length: clients }, () => this.#work(ask));
  }

  /** Waits for this many more tokens. */
  async more(tokens: number): Promise<void> {
    const wanted = this.#tokens() + tokens;
    const deadline = performance.now() + TIMEOUT_MS;
    while (this.#tokens() < wanted) {
      if (performance.now() > deadline) throw new Error("Clients get no tokens any more");
      await pause(RETRY_MS);
    }
  }

  async stop(): Promise<readonly TokenAnswer[]> {
    this.#isStopped = true;
    await Promise.all(this.#workers);
    return this.answers;
  }

  #tokens(): number {
    return this.answers.filter(({ token }) => token !== "").length;
  }

  async #work(ask: () => Promise<TokenAnswer>): Promise<void> {
    while (!this.#isStopped) {
      const answer = await ask();
      this.answers.push(answer);
      if (answer.token === "") await pause(RETRY_MS);
    }
  }
}

/** The longest time in which no client got a token. */
export function longestGapMs(answers: readonly TokenAnswer[]): number {
  const times = answers.filter(({ token }) => token !== "").map(({ endedAt }) => endedAt);
  const sorted = times.toSorted((a, b) => a - b);
  return Math.max(0, ...sorted.slice(1).map((time, i) => time - (sorted[i] ?? time)));
}

type TokenLogOf = NonNullable<SignerOptions["tokenLog"]>;

/** A log whose acknowledgement can be kept from the signer for a while: the entry is durable all the same. */
export class HeldLog {
  #next:
    | { readonly committed: (index: number) => void; readonly released: Promise<void> }
    | undefined;

  readonly tokenLog: TokenLogOf = (writer) => ({
    check: () => writer.check(),
    submit: async (batch) => {
      const held = this.#next;
      this.#next = undefined;
      const index = await writer.submit(batch);
      held?.committed(index);
      await held?.released;
      return index;
    },
  });

  /** Holds the next batch: `committed` is its first entry's place, once it is in the log. */
  holdNext(): { readonly committed: Promise<number>; readonly release: () => void } {
    const committed = Promise.withResolvers<number>();
    const released = Promise.withResolvers<void>();
    this.#next = { committed: committed.resolve, released: released.promise };
    return { committed: committed.promise, release: released.resolve };
  }
}
