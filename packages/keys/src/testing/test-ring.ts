import type { KeyState } from "../life-cycle.ts";
import type { Ring, RingKey, StepPolicy } from "../ring.ts";

export const POLICY: StepPolicy = {
  prepublishSeconds: 7200,
  activeSeconds: 100_000,
  verifyOnlySeconds: 7200,
  expirySeconds: 600_000,
  standby: 1,
};

/** A key of a ring, whose window is long over all that a test lets happen. */
export function ringKey(
  kid: string,
  state: KeyState,
  stateAt: number,
  fields: Omit<Partial<RingKey>, "record"> & { readonly record?: Partial<RingKey["record"]> } = {},
): RingKey {
  const { record, ...rest } = fields;
  const window = { signFrom: 5000, signUntil: 1_005_000, verifyUntil: 1_015_000 };
  return { kid, state, stateAt, ...rest, record: { ...window, custody: "plain-file", ...record } };
}

/** One that signed from `at` on. */
export function activeKey(kid: string, at: number, fields: Parameters<typeof ringKey>[3] = {}) {
  return ringKey(kid, "active", at, { activatedAt: at, ...fields });
}

/** All in custody but the `lost`. */
export function ringOf(
  keys: readonly RingKey[],
  { lost = [], ...rest }: { readonly lost?: readonly string[]; readonly policy?: StepPolicy } = {},
): Ring {
  return { keys, policy: POLICY, isHeld: ({ kid }) => !lost.includes(kid), ...rest };
}
