import { errorCode } from "@redoubt/base";
import { RemoteError, type SocketClient } from "@redoubt/wire";
import type { SignerEvents } from "./events.ts";

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

/** Callers times codes are fewer; beyond it something is counted only here. */
const MAX_KINDS = 64;
const MAX_DETAIL = 200;

interface Report {
  readonly head: Readonly<Record<string, string>>;
  readonly detail: string;
  count: number;
}

/**
 * Tells the monitor what it must know: refusals, and why this signer stopped. The first of a kind goes at once,
 * what follows in the same second as a count, so that a flood costs little; nothing is dropped while it is away.
 */
export class MonitorReports {
  readonly #monitor: Pick<SocketClient, "request">;
  readonly #events: SignerEvents;
  readonly #waiting = new Map<string, Report>();
  readonly #sending = new Set<string>();
  /** Kinds that were sent since the last flush: they wait for the next. */
  readonly #recent = new Set<string>();

  constructor(monitor: Pick<SocketClient, "request">, events: SignerEvents) {
    this.#monitor = monitor;
    this.#events = events;
  }

  /** THREAT-04: logged here and told to the monitor. */
  refusal(caller: string, code: string, detail: string): void {
    if (ALARMING.has(code)) this.#add({ op: "refusal", caller, code }, detail);
  }

  event(kind: string, detail: string): void {
    this.#add({ op: "event", kind }, detail);
  }

  /** To be called every second: sends what waits. */
  flush(): void {
    this.#recent.clear();
    for (const kind of this.#waiting.keys()) this.#trySend(kind);
  }

  #add(head: Report["head"], detail: string): void {
    const kind = Object.values(head).join("/");
    const waiting = this.#waiting.get(kind);
    if (waiting) waiting.count += 1;
    else if (this.#waiting.size < MAX_KINDS)
      this.#waiting.set(kind, { head, detail: detail.slice(0, MAX_DETAIL) || "none", count: 1 });
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

  async #send(kind: string, { head, detail, count }: Report): Promise<void> {
    this.#events.reported(head, count);
    try {
      const text = count === 1 ? detail : `${detail} (${count} times)`;
      await this.#monitor.request({ ...head, detail: text.toWellFormed() });
    } catch (error) {
      // A monitor that refuses it has been told; one that is away is told when it is back.
      if (error instanceof RemoteError) this.#events.reportRefused(errorCode(error));
      else this.#keep(kind, { head, detail, count });
    } finally {
      this.#sending.delete(kind);
    }
  }

  #keep(kind: string, report: Report): void {
    const newer = this.#waiting.get(kind)?.count ?? 0;
    this.#waiting.set(kind, { ...report, count: report.count + newer });
  }
}
