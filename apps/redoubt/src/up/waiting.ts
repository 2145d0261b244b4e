import { reasonLine, type ProcessView } from "./watches.ts";

export interface WaitingOptions {
  readonly look: () => Promise<ReadonlyMap<string, ProcessView>>;
  readonly notice: (line: string) => void;
  /** How long a start may take until it is said what it waits for. */
  readonly afterMs?: number;
  readonly lookMs?: number;
}

const AFTER_MS = 5000;
const LOOK_MS = 1000;

/** Says what a start waits for once it takes long, and again when it is something else; until it is disposed of. */
export class Waiting implements Disposable {
  readonly #options: WaitingOptions;
  readonly #lookMs: number;
  #timer: NodeJS.Timeout | undefined;
  #said = "";

  constructor(options: WaitingOptions) {
    this.#options = options;
    const { afterMs = AFTER_MS, lookMs = LOOK_MS } = options;
    this.#lookMs = lookMs;
    this.#timer = setTimeout(() => void this.#look(), afterMs).unref();
  }

  async #look(): Promise<void> {
    const line = waitingText(await this.#options.look());
    if (this.#timer === undefined) return;
    if (line !== this.#said) this.#options.notice(line);
    this.#said = line;
    this.#timer = setTimeout(() => void this.#look(), this.#lookMs).unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** One line; what a process says of itself is cut and stays on it. */
function waitingText(views: ReadonlyMap<string, ProcessView>): string {
  const parts = [...views].flatMap(([service, { ready, reason = "starting" }]) =>
    ready ? [] : [`${service} (${reasonLine(reason, "its reason is unreadable")})`],
  );
  const ready = [...views].flatMap(([service, view]) => (view.ready ? [service] : []));
  if (parts.length === 0) return "Waiting for the registry: every process is ready";
  const others = ready.length === 0 ? "nothing is ready yet" : `ready: ${ready.join(", ")}`;
  return `Waiting for ${parts.join("; ")}. What is ready serves already (${others})`;
}
