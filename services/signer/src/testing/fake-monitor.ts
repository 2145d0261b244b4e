import { MemberReader } from "@redoubt/base";
import type { WitnessedQuestion } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import { readSocketSecret, serveSocket, type Answer, type SocketPlace } from "@redoubt/wire";
import { TestEvents } from "./test-events.ts";

export interface Told {
  readonly op: string;
  readonly code: string;
  readonly caller: string;
  readonly kind: string;
  readonly detail: string;
}

/** A monitor over a real socket that keeps what it was told; it is as strict as docs/spec/wire.md §5. */
export class FakeMonitor {
  readonly told: TestEvents<Told> = new TestEvents();
  answer: (() => Answer | Promise<Answer>) | undefined;
  /** What the witness says it holds. */
  witnessed: (question: WitnessedQuestion) => string | Promise<string>;
  readonly #place: SocketPlace;
  #server: AsyncDisposable | undefined;

  constructor(place: SocketPlace, witnessed: FakeMonitor["witnessed"]) {
    this.#place = place;
    this.witnessed = witnessed;
  }

  async start(): Promise<void> {
    this.#server = await serveSocket({
      path: this.#place.path,
      caller: "signer",
      secret: readSocketSecret(this.#place),
      service: "monitor",
      instance: "fake",
      handler: async ({ op, head }) => {
        if (op === "witnessed") return { head: { note: await this.witnessed(question(head)) } };
        this.told.add(read(op, head));
        return this.answer?.() ?? { head: {} };
      },
      log: () => undefined,
    });
  }

  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  refusal(code: string): Promise<Told> {
    return this.told.first((told) => told.op === "refusal" && told.code === code);
  }
}

function question(head: JsonObject): WitnessedQuestion {
  const reader = new MemberReader(head, "witnessed");
  const asked = { log: reader.string("log", 256), nonce: reader.string("nonce", 64) };
  reader.done();
  return asked;
}

function read(op: string, head: JsonObject): Told {
  const reader = new MemberReader(head, op);
  const isRefusal = op === "refusal";
  const told = {
    op,
    code: isRefusal ? reader.string("code", 64) : "",
    caller: isRefusal ? reader.string("caller", 64) : "",
    kind: isRefusal ? "" : reader.string("kind", 64),
    detail: reader.string("detail", 1024),
  };
  reader.done();
  return told;
}
