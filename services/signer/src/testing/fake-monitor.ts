import { ServiceError } from "@redoubt/base";
import type { WitnessedQuestion } from "@redoubt/tlog";
import {
  MONITOR,
  readSocketSecret,
  route,
  routesByName,
  serveSocket,
  type SocketPlace,
} from "@redoubt/wire";
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
  /** Called for each word, before it is answered. */
  answer: (() => unknown) | undefined;
  /** What the witness says it holds. */
  witnessed: (question: WitnessedQuestion) => string | Promise<string>;
  readonly #place: SocketPlace;
  readonly #routes = routesByName([
    route(MONITOR.witnessed, async (question) => ({ note: await this.witnessed(question) })),
    route(MONITOR.refusal, ({ code, caller, detail = "" }) =>
      this.#told({ op: "refusal", code, caller, kind: "", detail }),
    ),
    route(MONITOR.event, ({ kind, detail = "" }) =>
      this.#told({ op: "event", code: "", caller: "", kind, detail }),
    ),
  ]);
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
      handler: (call) => {
        const found = this.#routes.get(call.op);
        if (!found) throw new ServiceError("ERR_MONITOR_OP", "No such operation");
        return found.handle(call);
      },
      log: () => undefined,
    });
  }

  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  async #told(told: Told): Promise<object> {
    this.told.add(told);
    await this.answer?.();
    return {};
  }

  refusal(code: string): Promise<Told> {
    return this.told.first((told) => told.op === "refusal" && told.code === code);
  }
}
