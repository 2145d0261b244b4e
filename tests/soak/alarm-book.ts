import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readAlarms, textOf, type Alarm } from "@redoubt/cli/drill";
import { SERVICES, type Operator } from "@redoubt/cli";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { ask, MONITOR } from "@redoubt/wire";
import type { TrueAlarm } from "./fault.ts";

/** An alarm, and what was going on when it was first seen. */
export interface SeenAlarm {
  readonly kind: string;
  readonly severity: string;
  /** What it is about, as far as it says. */
  readonly about: JsonObject;
  readonly during: string;
}

/** What silent connections rightly raise: somebody takes the places of clients (THREAT-36). */
const CROWDED = "connections-full";

/** Every alarm that the monitor raises while it is asked again and again, and what was open at last. */
export class AlarmBook {
  readonly #operator: Operator;
  readonly #known = new Set<string>();
  readonly #seen: SeenAlarm[] = [];
  readonly #expected: SeenAlarm[] = [];
  #open: Alarm[] = [];

  constructor(operator: Operator) {
    this.#operator = operator;
  }

  /** Returns the alarms that are new; those that are `right` now are counted apart, and closed where a person must. */
  async read(during: string, right: readonly TrueAlarm[] = []): Promise<readonly SeenAlarm[]> {
    // From the first one on: an old copy of the monitor gives numbers again that it gave before.
    const fresh = (await readAlarms(this.#operator, {})).filter((alarm) => this.#isNew(alarm));
    const seen: SeenAlarm[] = [];
    for (const alarm of fresh) {
      const one = seenAlarm(alarm, during);
      const found = right.find(({ kind }) => kind === one.kind);
      (found ? this.#expected : this.#seen).push(one);
      if (found?.endedBy === "person" && alarm.closed === undefined) await this.#close(alarm);
      seen.push(one);
    }
    return seen;
  }

  #isNew({ id, at, kind }: Alarm): boolean {
    const name = JSON.stringify([id, at, kind]);
    if (this.#known.has(name)) return false;
    this.#known.add(name);
    return true;
  }

  async #close({ id, digest }: Alarm): Promise<void> {
    const order = { alarm: id, digest, reason: "true, and seen" };
    await ask(this.#operator.client("monitor"), MONITOR.close, order);
  }

  async readOpen(): Promise<void> {
    const all = await readAlarms(this.#operator, {});
    this.#open = all.filter((alarm) => alarm.closed === undefined);
  }

  get critical(): readonly SeenAlarm[] {
    return this.#seen.filter(({ severity }) => severity === "critical");
  }
  get crowded(): readonly SeenAlarm[] {
    return this.#seen.filter(isCrowded);
  }
  /** Those that were right. */
  get expected(): readonly SeenAlarm[] {
    return this.#expected;
  }
  /** What ordinary life must not raise. */
  get notices(): readonly SeenAlarm[] {
    return this.#seen.filter((alarm) => alarm.severity !== "critical" && !isCrowded(alarm));
  }
  /** Whether strangers take the connections, as far as the monitor knows. */
  get isCrowded(): boolean {
    return this.open.some(isCrowded);
  }
  /** At the last `readOpen`. */
  get open(): readonly SeenAlarm[] {
    return this.#open.map((alarm) => seenAlarm(alarm, "the end"));
  }
}

/** Alarms in the services' logs that are not the monitor's: the supervisor's, of processes that are away. */
export function loggedAlarms(folder: string): SeenAlarm[] {
  const services = [...SERVICES, "supervisor"].filter((service) => service !== "monitor");
  return services.flatMap((service) =>
    [".1", ""]
      .flatMap((suffix) =>
        linesOf(join(folder, "up", "logs", `${service}.security.ndjson${suffix}`)),
      )
      .filter((line) => line.includes('"event":"alarm"'))
      .map((line) => seenAlarm(parseJsonObject(line), "logged")),
  );
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    // Nobody wrote to it.
    return [];
  }
}

function isCrowded({ kind, about }: SeenAlarm): boolean {
  return kind === CROWDED || JSON.stringify(about).includes(CROWDED);
}

const LISTED_DIGESTS = 3;

function seenAlarm(alarm: Alarm | JsonObject, during: string): SeenAlarm {
  const { kind, severity, digests, ...about }: JsonObject = JSON.parse(JSON.stringify(alarm));
  const listed = Array.isArray(digests) ? { digests: digests.slice(0, LISTED_DIGESTS) } : {};
  const { detail } = about;
  const event = kind === "event" && isJsonObject(detail) ? ` ${textOf(detail["event"])}` : "";
  return {
    kind: `${textOf(kind)}${event}`,
    severity: textOf(severity),
    about: { ...about, ...listed },
    during,
  };
}
