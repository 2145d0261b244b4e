import type { KeyRecord } from "@redoubt/verify/record";
import type { RotationPolicy } from "./rotation-policy.ts";

interface AgingKey {
  /** When it was active for the first time. */
  readonly activatedAt?: number;
  readonly record: Pick<KeyRecord, "signUntil">;
}
type AgePolicy = Pick<RotationPolicy, "expirySeconds" | "alarmAtPercent" | "notifySeconds">;

/** `young`: nothing to say; then Notify of the policy, the alarm, and the stop. */
export const AGE_LEVELS = ["young", "notify", "alarm", "stop"] as const;
export type AgeLevel = (typeof AGE_LEVELS)[number];

export interface KeyAge {
  /** Since the first activation; a clock that went back gives 0. */
  readonly seconds: number;
  /** Of the age at which signing ends, rounded down; 100 or more means that it has ended. */
  readonly percent: number;
  readonly level: AgeLevel;
  /** Seconds since the epoch from which nothing is signed, whatever the successor. */
  readonly endsAt: number;
}

/**
 * When a key stops signing: the age limit of its policy, and never past its record's window. A roll-back does not
 * move it, because age counts from the first activation.
 */
export function signingEnd(
  { activatedAt, record }: AgingKey,
  { expirySeconds }: Pick<RotationPolicy, "expirySeconds">,
): number {
  if (activatedAt === undefined) return record.signUntil;
  return Math.min(record.signUntil, activatedAt + expirySeconds);
}

/** The age of a key that was active at least once; undefined for any other. */
export function keyAge(key: AgingKey, policy: AgePolicy, nowSeconds: number): KeyAge | undefined {
  if (key.activatedAt === undefined) return undefined;
  const endsAt = signingEnd(key, policy);
  const seconds = Math.max(0, nowSeconds - key.activatedAt);
  const whole = Math.max(1, endsAt - key.activatedAt);
  const percent = Math.floor((100 * seconds) / whole);
  return { seconds, percent, level: levelOf(seconds, percent, policy), endsAt };
}

// Storm-0558: from 2021 on nobody noticed that rotation had stopped.
function levelOf(seconds: number, percent: number, policy: AgePolicy): AgeLevel {
  if (percent >= 100) return "stop";
  if (percent >= policy.alarmAtPercent) return "alarm";
  return policy.notifySeconds !== null && seconds >= policy.notifySeconds ? "notify" : "young";
}
