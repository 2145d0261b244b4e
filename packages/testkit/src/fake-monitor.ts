import { ServiceError } from "@redoubt/base";
import type { WitnessedQuestion } from "@redoubt/tlog";
import {
  MONITOR,
  MONITOR_EVENT_STATES,
  route,
  routesByName,
  type Asked,
  type Call,
  type Handler,
} from "@redoubt/wire";
import { FakeService, type FakePlace } from "./fake-service.ts";
import { TestEvents } from "./test-events.ts";

/** A refusal or an event. */
interface Told {
  readonly op: string;
  readonly code: string;
  readonly caller: string;
  readonly kind: string;
  readonly detail: string;
  readonly over: boolean;
}

interface Delivered extends Asked<typeof MONITOR.delivered> {
  readonly lost: number;
  readonly forgotten: number;
}

/** A monitor that keeps what it is told and judges nothing (docs/spec/wire.md §5). */
export class FakeMonitor extends FakeService {
  readonly told: TestEvents<Told> = new TestEvents();
  readonly reports: Delivered[] = [];
  /** Awaited before anything is answered: what throws refuses, what never ends hangs. */
  before: (call: Call) => unknown = () => undefined;
  /** What the witness says it holds. */
  witnessed: (question: WitnessedQuestion) => string | Promise<string>;
  readonly #witnessed = route(MONITOR.witnessed, async (question) => ({
    note: await this.witnessed(question),
  }));
  readonly #event = route(MONITOR.event, ({ kind, detail = "", over = false }) => {
    if (over && !MONITOR_EVENT_STATES.includes(kind)) throw refusal();
    this.told.add({ op: "event", code: "", caller: "", kind, detail, over });
    return {};
  });
  readonly #refusal = route(MONITOR.refusal, ({ code, caller, detail = "" }) => {
    this.told.add({ op: "refusal", code, caller, kind: "", detail, over: false });
    return {};
  });
  readonly #delivered = route(MONITOR.delivered, ({ lost = 0, forgotten = 0, ...said }) => {
    this.reports.push({ ...said, lost, forgotten });
    return { seq: said.seq };
  });
  readonly #routes = [
    [/^(?:operator|broker)$/, routesByName([this.#witnessed])],
    [/^(?:issuer|drill|kube-front)-/, routesByName([this.#event, this.#delivered])],
    [/^signer-/, routesByName([this.#event, this.#refusal, this.#witnessed])],
  ] as const;

  constructor(place?: FakePlace, witnessed: FakeMonitor["witnessed"] = haltedLog) {
    super(place);
    this.witnessed = witnessed;
  }

  readonly handler: Handler = async (call) => {
    const [, own] = this.#routes.find(([callers]) => callers.test(call.caller)) ?? [];
    const found = own?.get(call.op);
    if (!found) throw refusal();
    await this.before(call);
    return found.handle(call);
  };

  get digests(): readonly string[] {
    return this.reports.flatMap(({ digests }) => digests);
  }

  refusal(code: string): Promise<Told> {
    return this.told.first((told) => told.op === "refusal" && told.code === code);
  }
}

/** What a witness says that has halted the log. */
export function haltedLog({ log }: WitnessedQuestion): never {
  throw new ServiceError("ERR_MONITOR_HALTED", `The witness has halted ${log}`);
}

function refusal(): ServiceError {
  return new ServiceError("ERR_MONITOR_OP", "No such operation");
}
