import { activeOf, AGE_LEVELS, formatDuration, keyAge, type AgeLevel } from "@redoubt/keys";
import type { KeyInfo } from "@redoubt/registry";
import type { SignerEvents } from "../events.ts";
import type { SignerRing } from "./signer-ring.ts";

export interface KeyWatchOptions {
  readonly events: SignerEvents;
  /** Tells the monitor, where nobody on this machine can take it back. */
  readonly alarm: (kind: string, detail: string) => void;
}

const KINDS: Readonly<Record<Exclude<AgeLevel, "young">, string>> = {
  notify: "key-age-notify",
  alarm: "key-age-alarm",
  stop: "key-age-stop",
};

/**
 * Reports, once for each key and level, that an active key nears its age limit. Storm-0558: rotation had stopped in
 * 2021, and nobody saw it.
 */
export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #told = new Map<string, AgeLevel>();

  constructor(options: KeyWatchOptions) {
    this.#options = options;
  }

  look(rings: readonly SignerRing[], nowSeconds: number): void {
    const active = rings.flatMap((ring) => {
      const key = activeOf(ring);
      return key ? [{ key, ring }] : [];
    });
    for (const { key, ring } of active) this.#look(key, ring, nowSeconds);
    for (const kid of this.#told.keys())
      if (!active.some(({ key }) => key.kid === kid)) this.#told.delete(kid);
  }

  #look(key: KeyInfo, { policy }: SignerRing, nowSeconds: number): void {
    const age = keyAge(key, policy, nowSeconds);
    if (!age || age.level === "young") return;
    const told = this.#told.get(key.kid) ?? "young";
    // Only a higher level is reported: a clock that was set back repeats nothing.
    if (AGE_LEVELS.indexOf(age.level) <= AGE_LEVELS.indexOf(told)) return;
    this.#told.set(key.kid, age.level);
    this.#options.events.keyAge(key.kid, age.level, age.percent);
    const since = formatDuration(age.seconds);
    this.#options.alarm(
      KINDS[age.level],
      `Key ${key.kid} has been active for ${since}, ${age.percent} % of its age limit`,
    );
  }
}
