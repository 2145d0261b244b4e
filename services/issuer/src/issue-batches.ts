import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import {
  Batcher,
  RemoteError,
  SIGNER,
  type IssueRequest,
  type Operation,
  type Requester,
} from "@redoubt/wire";
import { FairQueue } from "./fair-queue.ts";

/** What became of requests that were given up. */
export interface LateOutcomes {
  done(asked: IssueRequest, head: JsonObject): void;
  failed(asked: IssueRequest, error: unknown): void;
}

/** Nobody waits for the answer any more. */
export class GivenUp extends Error {
  override readonly name = "GivenUp";
  readonly code = "ERR_ISSUER_SIGNER_SILENT";
  /** The signer has the request: it may still sign, and `LateOutcomes` will be told. */
  readonly wasSent: boolean;

  constructor(wasSent: boolean) {
    super("Signer does not answer");
    this.wasSent = wasSent;
  }
}

/** The client has too many requests that wait, or the most of all clients when there are too many. */
export class QueueFull extends Error {
  override readonly name = "QueueFull";
  readonly code = "ERR_ISSUER_QUEUE";
}

interface Waiting {
  readonly asked: IssueRequest;
  done: (head: JsonObject) => void;
  failed: (error: unknown) => void;
}

/** Keeps the answer, a token of up to 2 KiB for each, within one frame. */
const MAX_ITEMS = 64;
/** Calls under way at once: enough that the signer is never idle. No more, since only what waits is shared out fairly. */
const MAX_BATCHES = 4;
/** More than a client has connections, as a rule. */
const MAX_WAITING_PER_CLIENT = 1024;
/** Less than the HTTP server lets in, so that a flood is refused here, where it is one client's. */
const MAX_WAITING = 3072;
/** Fewer than `MAX_ITEMS` wait this long for the call under way; then they are sent beside it. */
const HOLD_MS = 50;
/** About the time after which clients that were just answered ask again: their requests go together. */
const LINGER_MS = 2;

/** Asks the signer for what arrives together in one call. */
export class IssueBatches {
  readonly #client: Requester;
  readonly #batcher: Batcher<Waiting>;
  readonly #underWay = new Set<readonly Waiting[]>();

  constructor(client: Requester) {
    this.#client = client;
    this.#batcher = new Batcher({
      maxItems: MAX_ITEMS,
      maxBatches: MAX_BATCHES,
      minBeside: MAX_ITEMS,
      holdMs: HOLD_MS,
      lingerMs: LINGER_MS,
      send: (batch) => this.#send(batch),
      queue: new FairQueue({
        batch: MAX_ITEMS,
        perClient: MAX_WAITING_PER_CLIENT,
        total: MAX_WAITING,
        clientOf: ({ asked }) => `${asked.handle.tenant}/${asked.client}`,
        refuse: ({ failed }) => failed(new QueueFull("Too many requests wait")),
      }),
    });
  }

  /** The signer's answer to one request (docs/spec/wire.md §3). @throws RemoteError, WireError, GivenUp, QueueFull */
  issue(asked: IssueRequest): Promise<JsonObject> {
    return new Promise((done, failed) => {
      this.#batcher.add({ asked, done, failed });
    });
  }

  /** Fails all that wait; what still comes of those that were sent is told to `late`. */
  giveUp(late: LateOutcomes): void {
    const unsent = new GivenUp(false);
    for (const { failed } of this.#batcher.clear()) failed(unsent);
    const sent = new GivenUp(true);
    for (const batch of this.#underWay)
      for (const waiting of batch) {
        const { asked } = waiting;
        waiting.failed(sent);
        waiting.done = (head) => late.done(asked, head);
        waiting.failed = (error) => late.failed(asked, error);
      }
    this.#underWay.clear();
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    this.#underWay.add(batch);
    try {
      const [only] = batch;
      if (batch.length === 1 && only) {
        const head = await this.#ask(SIGNER.issue, only.asked);
        // `done` is looked up only now: `giveUp` may have replaced it meanwhile.
        only.done(head);
      } else await this.#sendMany(batch);
    } catch (error) {
      for (const { failed } of batch) failed(error);
    }
    this.#underWay.delete(batch);
  }

  async #sendMany(batch: readonly Waiting[]): Promise<void> {
    const items = batch.map(({ asked }) => SIGNER.issue.request.write(asked));
    const { results } = await this.#ask(SIGNER.issueBatch, { items });
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

  /** The answer is not read here: who asked must be told, and what it means is the port's to say. */
  async #ask<Q>({ op, request }: Operation<Q, unknown>, asked: Q): Promise<JsonObject> {
    return (await this.#client.request({ op, ...request.write(asked) })).head;
  }
}
