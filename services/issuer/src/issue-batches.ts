import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { Batcher, RemoteError, type SocketClient } from "@redoubt/wire";

interface Waiting {
  readonly asked: object;
  readonly done: (head: JsonObject) => void;
  readonly failed: (error: unknown) => void;
}

/** Keeps the answer, a token of up to 2 KiB for each, within one frame. */
const MAX_ITEMS = 64;
const MAX_BATCHES = 64;
/** A signer that answers this late may refuse others at once: they are not kept for it. */
const HOLD_MS = 50;
/** What the next requests of those that were just answered take to come. */
const LINGER_MS = 2;

/** Asks the signer for what arrives together in one call. */
export class IssueBatches {
  readonly #client: Pick<SocketClient, "request">;
  readonly #batcher: Batcher<Waiting>;

  constructor(client: Pick<SocketClient, "request">) {
    this.#client = client;
    this.#batcher = new Batcher({
      maxItems: MAX_ITEMS,
      maxBatches: MAX_BATCHES,
      minBeside: MAX_ITEMS,
      holdMs: HOLD_MS,
      lingerMs: LINGER_MS,
      send: (batch) => this.#send(batch),
    });
  }

  /** The signer's answer to one request (docs/spec/wire.md §3). @throws RemoteError, WireError */
  issue(asked: object): Promise<JsonObject> {
    return new Promise((done, failed) => {
      this.#batcher.add({ asked, done, failed });
    });
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    try {
      const [only] = batch;
      if (batch.length === 1 && only) only.done(await this.#ask({ op: "issue", ...only.asked }));
      else await this.#sendMany(batch);
    } catch (error) {
      for (const { failed } of batch) failed(error);
    }
  }

  async #sendMany(batch: readonly Waiting[]): Promise<void> {
    const items = batch.map(({ asked }) => asked);
    const { results } = await this.#ask({ op: "issueBatch", items });
    for (const [place, { done, failed }] of batch.entries()) {
      const result = Array.isArray(results) ? results[place] : undefined;
      // What is no answer has no token either: the port says what that means.
      const head = isJsonObject(result) ? result : {};
      const { code, message, ...details } = head;
      if (typeof code === "string")
        failed(new RemoteError(code, typeof message === "string" ? message : "Refused", details));
      else done(head);
    }
  }

  async #ask(head: object): Promise<JsonObject> {
    return (await this.#client.request(head)).head;
  }
}
