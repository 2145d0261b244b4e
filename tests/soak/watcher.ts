import { setTimeout as pause } from "node:timers/promises";
import type { JsonObject } from "@redoubt/verify/json";

/** What is asked each second. */
export interface Watched {
  /** What the status page says of each service. */
  readonly status: () => Promise<Readonly<Record<string, JsonObject>>>;
  /** Seconds since the audit had certainly read everything, as a reporting verifier knows it. */
  readonly verifierAgeSeconds: () => number;
}

/** The longest time of one kind, and what was going on at its end. */
export interface Longest {
  readonly seconds: number;
  readonly during: string;
}

const LOOK_MS = 1000;
/** P4: the monitor reads the logs each second; a few seconds are a busy machine, more is not seeing. */
const SIGHTED_SECONDS = 5;

/** Looks each second whether somebody sees what the logs hold, from the outside. */
export class Watcher implements AsyncDisposable {
  readonly #watched: Watched;
  readonly #running: Promise<void>;
  #isStopped = false;
  #isSighted = false;
  #isReady = false;
  #sightedAt = performance.now();
  #looks = 0;
  #last: Readonly<Record<string, JsonObject>> = {};
  #blind: Longest = { seconds: 0, during: "the start" };
  #verifierBlind: Longest = { seconds: 0, during: "the start" };
  /** What is going on: said with the longest times. */
  during = "the start";

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#running = this.#run();
  }

  /** From one look at which the monitor saw everything to the next one. */
  get blind(): Longest {
    return this.#blind;
  }
  get verifierBlind(): Longest {
    return this.#verifierBlind;
  }
  get last(): Readonly<Record<string, JsonObject>> {
    return this.#last;
  }

  /** Whether, at a look that began after this call, every process is ready and the monitor sees everything. */
  async allBack(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    const wanted = this.#looks + 2;
    while (this.#looks < wanted || !this.#isSighted || !this.#isReady) {
      if (performance.now() > deadline) return false;
      await pause(50);
    }
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const askedAt = performance.now();
      this.#last = await this.#watched.status().catch(() => ({}));
      this.#judge(this.#last, askedAt);
      this.#looks += 1;
      await pause(LOOK_MS);
    }
  }

  #judge(status: Readonly<Record<string, JsonObject>>, askedAt: number): void {
    const services = Object.values(status);
    const { monitor = {} } = status;
    const age = monitor["auditAgeSeconds"];
    this.#isReady = services.length > 0 && services.every(({ ready }) => ready === true);
    this.#isSighted =
      monitor["ready"] === true && typeof age === "number" && age <= SIGHTED_SECONDS;
    const now = performance.now();
    this.#blind = this.#longer(this.#blind, (now - this.#sightedAt) / 1000);
    // The age is in whole seconds, and a page on which one process does not answer comes later than the others' words.
    if (this.#isSighted && typeof age === "number")
      this.#sightedAt = Math.max(this.#sightedAt, askedAt - 1000 * (age + 1));
    this.#verifierBlind = this.#longer(this.#verifierBlind, this.#watched.verifierAgeSeconds());
  }

  #longer(longest: Longest, seconds: number): Longest {
    if (seconds <= longest.seconds) return longest;
    return { seconds: Math.round(10 * seconds) / 10, during: this.during };
  }
}
