import type { Assertion, OpenedStatement } from "@redoubt/presence";

export type CeremonyState = "open" | "collected" | "declined" | "expired";

export interface CeremonyOptions {
  readonly id: string;
  readonly caller: string;
  readonly opened: OpenedStatement;
  /** How many assertions are collected. */
  readonly approvers: number;
  /** Passkeys that may approve; undefined: any. */
  readonly credentials: readonly string[] | undefined;
}

/** One statement that is shown, and what came of it. */
export class Ceremony {
  readonly id: string;
  readonly caller: string;
  readonly opened: OpenedStatement;
  readonly approvers: number;
  readonly credentials: readonly string[] | undefined;
  readonly #assertions: Assertion[] = [];
  readonly #waiting = new Set<() => void>();
  #isDeclined = false;

  constructor({ id, caller, opened, approvers, credentials }: CeremonyOptions) {
    this.id = id;
    this.caller = caller;
    this.opened = opened;
    this.approvers = approvers;
    this.credentials = credentials;
  }

  get assertions(): readonly Assertion[] {
    return this.#assertions;
  }

  /** What a log may say of it. */
  get summary() {
    const { caller, opened } = this;
    return { caller, action: opened.statement.action, code: opened.code };
  }

  /** @param now POSIX seconds */
  stateAt(now: number): CeremonyState {
    // Whatever was collected counts for nothing from then on.
    if (now >= this.opened.statement.expiresAt) return "expired";
    if (this.#isDeclined) return "declined";
    return this.#assertions.length === this.approvers ? "collected" : "open";
  }

  isUsed(credentialId: string): boolean {
    return this.#assertions.some((one) => one.credentialId === credentialId);
  }

  add(assertion: Assertion): void {
    this.#assertions.push(assertion);
    this.wake();
  }

  decline(): void {
    this.#isDeclined = true;
    this.#assertions.length = 0;
    this.wake();
  }

  /** Resolves at the next change, or after `ms`. */
  async changed(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#waiting.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
  }

  wake(): void {
    for (const resolve of this.#waiting) resolve();
  }
}
