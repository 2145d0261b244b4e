import { SERVICES } from "@redoubt/cli";
import { Random } from "../simulation/random.ts";
import type { Fault } from "./fault.ts";
import type { FaultKind } from "./machine.ts";
import { fullDisk, hsmGone } from "./machine-faults.ts";
import { oldCopy } from "./old-copies.ts";
import { killed, stopped, strangers } from "./process-faults.ts";

type Seconds = (least: number, most: number) => number;

interface Kind {
  readonly kind: FaultKind;
  /** Each fault of it once. */
  readonly make: (random: Random, seconds: Seconds) => Fault[];
}

const KINDS: readonly Kind[] = [
  { kind: "kill", make: () => SERVICES.map(killed) },
  {
    kind: "stop",
    make: (_, seconds) => SERVICES.map((service) => stopped(service, seconds(2, 12))),
  },
  {
    kind: "strangers",
    make: (_, seconds) =>
      (["monitor", "issuer-consumer", "issuer-enterprise"] as const).flatMap((service) => [
        strangers(service, "silent", seconds(3, 8)),
        strangers(service, "half-spoken", seconds(3, 8)),
      ]),
  },
  { kind: "full-disk", make: (_, seconds) => [fullDisk(seconds(5, 12))] },
  { kind: "old-copy", make: oldCopies },
  { kind: "hsm", make: (_, seconds) => [hsmGone(seconds(3, 10))] },
];

function oldCopies(random: Random): Fault[] {
  const realm = random.chance(0.5) ? "consumer" : "enterprise";
  const services = [
    "ledger",
    "monitor",
    `signer-${realm}`,
    `issuer-${realm}`,
    "publisher",
  ] as const;
  return services.map((service) =>
    oldCopy(service, {
      made: random.chance(0.5) ? "while it runs" : "at a stop",
      by: random.chance(0.5) ? "SIGTERM" : "SIGKILL",
    }),
  );
}

/**
 * The kinds take turns, so that a short run has each of them; the seed says in which order each kind's come.
 * `missing`: kinds that cannot be had here.
 */
export function faultsOf(
  seed: number,
  rounds: number,
  missing: ReadonlyMap<FaultKind, string> = new Map(),
): Fault[] {
  const random = new Random(seed);
  const seconds = (least: number, most: number) => Math.round(1000 * random.between(least, most));
  const kinds = KINDS.filter(({ kind }) => !missing.has(kind));
  const waiting: Fault[][] = kinds.map(() => []);
  return Array.from({ length: rounds }, (_, round) => {
    const at = round % kinds.length;
    const queue = waiting[at] ?? [];
    if (queue.length === 0) queue.push(...shuffled(kinds[at]?.make(random, seconds) ?? [], random));
    const fault = queue.pop();
    if (!fault) throw new RangeError("A kind of fault has none");
    return fault;
  });
}

export function shuffled<T>(values: readonly T[], random: Random): T[] {
  return values
    .map((value) => ({ value, place: random.between(0, 1) }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ value }) => value);
}
