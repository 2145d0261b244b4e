import { errorCode } from "@redoubt/base";
import { ask, MONITOR, RemoteError, type Requester } from "@redoubt/wire";
import type { SignerEvents } from "../events.ts";

/** Codes that no honest caller gets: each is somebody asking for what it may not have (P2, THREAT-04). */
const ALARMING: ReadonlySet<string> = new Set([
  "ERR_SIGNER_RESERVED",
  "ERR_SIGNER_HANDLE",
  "ERR_SIGNER_CLIENT",
  "ERR_SIGNER_AUDIENCE",
  "ERR_SIGNER_SCOPE",
  "ERR_SIGNER_TTL",
  "ERR_SIGNER_TIME",
  "ERR_SIGNER_CLAIMS",
  "ERR_SIGNER_OP",
  "ERR_REQUEST_MEMBER",
  "ERR_WIRE_FRAME",
  "ERR_WIRE_TOO_LARGE",
  "ERR_WIRE_HELLO",
]);

/** More than there are pairs of a caller and a code, or kinds of events: none is left out. */
const MAX_KINDS = 64;
const MAX_DETAIL = 200;

/** What is told: a refusal has a code and a caller, an event its kind. */
type What = { readonly caller: string; readonly code: string } | { readonly kind: string };

interface Report {
  readonly what: What;
  readonly detail: string;
  count: number;
}

/**
 * Tells the monitor what it must know: refusals, and why this signer stopped. The first of a kind goes at once,
 * what follows in the same second as a count, so that a flood costs little; nothing is dropped while it is away.
 */
export class MonitorReports {
  readonly #monitor: Requester;
  readonly #events: SignerEvents;
  readonly #waiting = new Map<string, Report>();
  readonly #sending = new Set<string>();
  /** Kinds that were sent since the last flush: they wait for the next. */
  readonly #recent = new Set<string>();

  constructor(monitor: Requester, events: SignerEvents) {
    this.#monitor = monitor;
    this.#events = events;
  }

  /** THREAT-04: an event here, and told to the monitor. */
  refusal(caller: string, code: string, detail: string): void {
    if (ALARMING.has(code)) this.#add({ caller, code }, detail);
  }

  event(kind: string, detail: string): void {
    this.#add({ kind }, detail);
  }

  /** To be called every second: sends what waits. */
  flush(): void {
    this.#recent.clear();
    for (const kind of this.#waiting.keys()) this.#trySend(kind);
  }

  #add(what: What, detail: string): void {
    const kind = Object.values(what).join("/");
    const waiting = this.#waiting.get(kind);
    if (waiting) waiting.count += 1;
    else if (this.#waiting.size < MAX_KINDS)
      this.#waiting.set(kind, { what, detail: detail.slice(0, MAX_DETAIL) || "none", count: 1 });
    this.#trySend(kind);
  }

  #trySend(kind: string): void {
    const report = this.#waiting.get(kind);
    if (!report || this.#sending.has(kind) || this.#recent.has(kind)) return;
    this.#waiting.delete(kind);
    this.#sending.add(kind);
    this.#recent.add(kind);
    void this.#send(kind, report);
  }

  async #send(kind: string, { what, detail, count }: Report): Promise<void> {
    this.#events.reported(what, count);
    try {
      const text = count === 1 ? detail : `${detail} (${count} times)`;
      await this.#tell(what, text.toWellFormed());
    } catch (error) {
      // A monitor that refuses it has been told; one that is away is told when it is back.
      if (error instanceof RemoteError) this.#events.reportRefused(errorCode(error));
      else this.#keep(kind, { what, detail, count });
    } finally {
      this.#sending.delete(kind);
    }
  }

  async #tell(what: What, detail: string): Promise<void> {
    if ("kind" in what) await ask(this.#monitor, MONITOR.event, { ...what, detail });
    else await ask(this.#monitor, MONITOR.refusal, { ...what, detail });
  }

  #keep(kind: string, report: Report): void {
    const newer = this.#waiting.get(kind)?.count ?? 0;
    this.#waiting.set(kind, { ...report, count: report.count + newer });
  }
}
