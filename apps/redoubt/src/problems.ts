import { join } from "node:path";
import { isOpenCritical, type Alarm } from "./alarms.ts";
import { concerns, nextText, type KeyView } from "./keys/key-list.ts";
import { span } from "./table.ts";
import type { ServiceName } from "./layout.ts";

export interface ProcessStatus {
  readonly service: ServiceName;
  readonly ready: boolean;
  readonly pid: number | null;
  readonly restarts: number;
  /** POSIX seconds since which it runs; null where it does not. */
  readonly startedAt: number | null;
  readonly labels: readonly string[];
  /** Something that it says of itself has a form that no process of ours sends; none of it is shown. */
  readonly unreadable: boolean;
  /** Why it is not ready, in its own words. */
  readonly reason: string | null;
  /** Keys that its custody holds and that must not be used. */
  readonly refusedKeys: readonly string[];
}

export interface LogStatus {
  readonly log: string;
  readonly size: number;
  /** The newest size that the witness cosigned, and when by its clock. */
  readonly cosigned: { readonly size: number; readonly timeSeconds: number } | null;
  /** Entries that the monitor has read; null where it does not say. */
  readonly monitored: number | null;
}

export interface DiskStatus {
  readonly freeBytes: number;
  readonly level: string;
}

/** What is wrong, with what a person does about it: `redoubt status` and the status page say the same. */
export interface Problem {
  /** `bad`: tokens are not issued, may be forged, or soon will not be seen. `warn`: there is time. */
  readonly level: "bad" | "warn";
  readonly what: string;
  readonly todo: string;
  /** What to type; null where nothing is to be typed. */
  readonly command: string | null;
}

/** The witness cosigns again every 15 s, even where nothing is new. */
export const LATE_SECONDS = 45;
/** `maxUnwitnessedSeconds`, unless a signer's configuration names less. */
const STOP_SECONDS = 900;

export function processProblems(processes: readonly ProcessStatus[], folder: string): Problem[] {
  return processes.flatMap((process) => [
    ...(process.ready ? [] : [notReady(process, folder)]),
    ...(process.unreadable ? [nonsense(process)] : []),
    ...process.refusedKeys.map((refused) => refusedKey(process, refused)),
  ]);
}

function notReady({ service, reason, pid }: ProcessStatus, folder: string): Problem {
  const what = `${service} is not ready${reason === null ? "" : `: ${reason}`}`;
  return { level: "bad", what, ...remedy(service, { reason: reason ?? "", pid }, folder) };
}

function remedy(
  service: string,
  { reason, pid }: { readonly reason: string; readonly pid: number | null },
  folder: string,
): Pick<Problem, "todo" | "command"> {
  if (reason === "does not answer" && pid !== null)
    return {
      todo: `It is frozen or overloaded. This wakes it if somebody stopped it; if not, kill ${pid} ends it, and it is started again`,
      command: `kill -CONT ${pid}`,
    };
  if (reason.includes("DISK_FULL") || reason.includes("LEDGER_FULL"))
    return { todo: "Make room: it goes on by itself within seconds", command: df(folder) };
  if (reason.includes("SIGNER_CLOCK"))
    return {
      todo: "The clock was set back: it ends when the clock has caught up, or stop Redoubt and start it again",
      command: null,
    };
  if (reason.includes("HALTED"))
    return { todo: "A log is halted until it is restored", command: "redoubt recover --help" };
  const file = join(folder, "up", "logs", `${service}.ndjson`);
  return {
    todo: "It is tried again by itself; if it stays so, its own words say why",
    command: `tail -n 20 ${file}`,
  };
}

function df(folder: string): string {
  return `df -h ${folder}`;
}

function nonsense({ service }: ProcessStatus): Problem {
  return {
    level: "bad",
    what: `${service} says of itself what cannot be read`,
    todo: "A process of ours never does: treat it as compromised until you know why",
    command: "redoubt alarms",
  };
}

function refusedKey({ service }: ProcessStatus, refused: string): Problem {
  return {
    level: "bad",
    what: `custody of ${service} holds a key that must not be used: ${refused}`,
    todo: "Take it out of custody there; no signer uses it",
    command: "redoubt keys list",
  };
}

const DISK: Readonly<Record<string, Pick<Problem, "level" | "what" | "todo">>> = {
  critical: {
    level: "bad",
    what: "disk is nearly full",
    todo: "Make room: when it is full, no token is issued",
  },
  none: {
    level: "bad",
    what: "disk is full",
    todo: "Make room: everything goes on by itself within seconds",
  },
  unknown: {
    level: "warn",
    what: "free space of the disk cannot be read",
    todo: "Look at the file system of the data folder",
  },
};

export function diskProblems(disk: DiskStatus | null, folder: string): Problem[] {
  const found = disk && Object.hasOwn(DISK, disk.level) ? DISK[disk.level] : undefined;
  return found ? [{ ...found, command: df(folder) }] : [];
}

export function alarmProblems(alarms: readonly Alarm[]): Problem[] {
  const [first, ...others] = alarms.filter(isOpenCritical);
  if (!first) return [];
  const count = 1 + others.length;
  const kinds = [...new Set([first, ...others].map(({ kind }) => kind))].slice(0, 4).join(", ");
  return [
    {
      level: "bad",
      what: `${count} critical alarm${count > 1 ? "s are" : " is"} open: ${kinds}`,
      todo: "Look at the evidence, then close each by number and digest",
      command: `redoubt alarms list --since ${first.id - 1}`,
    },
  ];
}

export function logProblems(logs: readonly LogStatus[], now: number): Problem[] {
  const [oldest] = logs
    .flatMap((log) => (log.cosigned ? [{ ...log, age: now - log.cosigned.timeSeconds }] : []))
    .filter(({ age }) => age > LATE_SECONDS)
    .toSorted((a, b) => b.age - a.age);
  if (!oldest) return [];
  const left = STOP_SECONDS - oldest.age;
  const until =
    left > 0
      ? `Tokens are still issued, for ${span(left)} at most`
      : "No token is issued until the witness has cosigned again";
  return [
    {
      level: left > 0 ? "warn" : "bad",
      what: `the witness is ${span(oldest.age)} behind on ${oldest.log}`,
      todo: `${until}. The monitor is the witness: it must be ready, and reach the ledger`,
      command: "redoubt alarms",
    },
  ];
}

export function haltProblems(halts: readonly (readonly [log: string, why: string])[]): Problem[] {
  return halts.map(([log, why]) => ({
    level: "bad",
    what: `log ${log} is halted: ${why}`,
    todo: "The witness never cosigns it again. Compare it with what is published before anything is restored",
    command: "redoubt ledger verify",
  }));
}

/** Where no key signs it is also said until when, if that is known. */
export function keyProblems(keys: readonly KeyView[], now: number): Problem[] {
  return concerns(keys).map((what) => {
    const next = keys
      .filter(
        ({ realm, next: step }) => what.includes(`realm ${realm},`) && step?.state === "active",
      )
      .map(({ next: step }) => step)
      .toSorted((a, b) => (a?.at ?? 0) - (b?.at ?? 0))[0];
    return {
      level: "bad",
      what,
      todo: next ? `The next key is ${nextText(next, now)}, by itself` : "Look at the keys",
      command: "redoubt keys list",
    };
  });
}

export function unreadable(what: string, why: string): Problem {
  return {
    level: "bad",
    what: `${what}: ${why}`,
    todo: "That is not the same as none. They are read again as soon as the process answers",
    command: null,
  };
}
