import { ServiceError } from "@redoubt/base";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { ServiceName } from "../layout.ts";
import { readStatusPage, type Place } from "../running.ts";
import { lookUntil } from "../wait.ts";

/** A busy machine may need it. */
export const PATIENCE = { timeoutMs: 20_000, pollMs: 100 };

/** Ends these processes, and waits until each is ready with the configuration and the files of now. */
export async function restartServices(
  place: Place,
  services: readonly ServiceName[],
): Promise<void> {
  await untilReady(place, await restart(place, services));
}

/** The supervisor starts what ends again, with the configuration of that moment. */
async function restart(
  place: Place,
  services: readonly ServiceName[],
): Promise<ReadonlyMap<ServiceName, number>> {
  const status = await readStatusPage(place.ports);
  const pids = new Map<ServiceName, number>();
  for (const service of services) {
    const pid = pidOf(status, service);
    if (pid === undefined) continue;
    pids.set(service, pid);
    process.kill(pid, "SIGTERM");
  }
  return pids;
}

async function untilReady(place: Place, since: ReadonlyMap<ServiceName, number>): Promise<void> {
  const isBack = async (): Promise<boolean> => {
    const status = await readStatusPage(place.ports);
    return [...since].every(([service, pid]) => {
      const own = status[service];
      return isJsonObject(own) && own["pid"] !== pid && own["ready"] === true;
    });
  };
  if (!(await lookUntil(isBack, Boolean, PATIENCE)))
    throw new ServiceError(
      "ERR_RECOVER",
      `${[...since.keys()].join(" and ")} are not ready again: redoubt status says why`,
    );
}

function pidOf(status: JsonObject, service: ServiceName): number | undefined {
  const own = status[service];
  const pid = isJsonObject(own) ? own["pid"] : undefined;
  return typeof pid === "number" ? pid : undefined;
}
