import type { REALMS } from "@redoubt/cli";
import { portsFrom, SERVICES, type ServiceName } from "@redoubt/cli";
import type { System } from "../e2e/system.ts";
import { Random } from "../simulation/random.ts";
import { openStrangers } from "./strangers.ts";

/** Something that happens to a running system and is over after a while, without anybody's help. */
export interface Fault {
  readonly kind: "kill" | "stop" | "strangers";
  readonly name: string;
  /** Between `begin` and `end`. */
  readonly holdMs: number;
  /** Makes it happen; what it returns ends it. */
  readonly begin: (system: System) => Promise<End>;
}
type End = () => void;

/** A monitor has 512 places for connections and an issuer 1,024: half of the ones, and all of the others. */
const MONITOR_SOCKETS = 256;
const ISSUER_SOCKETS = 1100;
/** What a stranger who never ends a request says. */
const HALF_SPOKEN = "POST /v1/report HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\nX: ";

export function killed(service: ServiceName): Fault {
  return {
    kind: "kill",
    name: `kill -9 ${service}`,
    holdMs: 0,
    begin: async (system) => {
      process.kill(await system.pidOf(service), "SIGKILL");
      return () => undefined;
    },
  };
}

export function stopped(service: ServiceName, holdMs: number): Fault {
  return {
    kind: "stop",
    name: `stop ${service} for ${(holdMs / 1000).toFixed(1)} s`,
    holdMs,
    begin: async (system) => {
      const pid = await system.pidOf(service);
      process.kill(pid, "SIGSTOP");
      return () => void process.kill(pid, "SIGCONT");
    },
  };
}

export function strangers(
  service: "monitor" | `issuer-${(typeof REALMS)[number]}`,
  how: "silent" | "half-spoken",
  holdMs: number,
): Fault {
  const count = service === "monitor" ? MONITOR_SOCKETS : ISSUER_SOCKETS;
  return {
    kind: "strangers",
    name: `${count} ${how} sockets at ${service} for ${(holdMs / 1000).toFixed(1)} s`,
    holdMs,
    begin: (system) => {
      const text = how === "silent" ? "" : HALF_SPOKEN;
      return openStrangers(portsFrom(system.base)[service], count, text);
    },
  };
}

/** The kinds take turns, so that a short run has each of them; the seed says in which order each kind's come. */
export function faultsOf(seed: number, rounds: number): Fault[] {
  const random = new Random(seed);
  const seconds = (least: number, most: number) => Math.round(1000 * random.between(least, most));
  const kinds: readonly (() => Fault[])[] = [
    () => SERVICES.map(killed),
    () => SERVICES.map((service) => stopped(service, seconds(2, 12))),
    () =>
      (["monitor", "issuer-consumer", "issuer-enterprise"] as const).flatMap((service) => [
        strangers(service, "silent", seconds(3, 8)),
        strangers(service, "half-spoken", seconds(3, 8)),
      ]),
  ];
  const waiting: Fault[][] = kinds.map(() => []);
  return Array.from({ length: rounds }, (_, round) => {
    const at = round % kinds.length;
    const queue = waiting[at] ?? [];
    if (queue.length === 0) queue.push(...shuffled(kinds[at]?.() ?? [], random));
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
