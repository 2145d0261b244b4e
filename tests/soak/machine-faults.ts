import { secondsText, type Fault } from "./fault.ts";

/** What the processes give back is taken, too. */
const REFILL_MS = 200;

/** P12: nothing can be written any more. */
export function fullDisk(holdMs: number): Fault {
  return {
    kind: "full-disk",
    name: `full disk for ${secondsText(holdMs)}`,
    holdMs,
    alarms: ["disk-low", "disk-critical", "disk-space"].map((kind) => ({
      kind,
      endedBy: "itself",
    })),
    begin: async ({ disk }) => {
      if (!disk) throw new TypeError("The machine has no disk of its own");
      disk.fill(0);
      const filling = setInterval(() => disk.fill(0), REFILL_MS);
      return () => {
        clearInterval(filling);
        disk.free();
      };
    },
  };
}

/** THREAT-05: the keys of one realm are out of reach. */
export function hsmGone(holdMs: number): Fault {
  return {
    kind: "hsm",
    name: `no HSM for ${secondsText(holdMs)}`,
    holdMs,
    alarms: [{ kind: "event custody-trouble", endedBy: "person" }],
    begin: async ({ hsm }) => {
      if (!hsm) throw new TypeError("The machine has no HSM");
      hsm.plug(false);
      return () => hsm.plug(true);
    },
  };
}
