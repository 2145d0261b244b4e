import { ServiceError } from "@redoubt/base";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { ServiceName } from "../layout.ts";
import { readStatusPage, type Place } from "../running.ts";
import { lookUntil } from "../wait.ts";

/** Long enough for a busy machine. */
export const PATIENCE = { timeoutMs: 20_000, pollMs: 100 };

/**
 * Ends these processes and waits until each is started again, with the present configuration, and ready.
 *
 * @throws ServiceError `ERR_RECOVER` after 20 s
 */
export async function restartServices(
  place: Place,
  services: readonly ServiceName[],
): Promise<void> {
  await untilReady(place, await restart(place, services));
}

/** Sends SIGTERM; the supervisor starts each process again. Returns the ids of those that were ended. */
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
