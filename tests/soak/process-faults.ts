import { portsFrom, type REALMS, type ServiceName } from "@redoubt/cli";
import { secondsText, type Fault } from "./fault.ts";
import { openStrangers } from "./strangers.ts";

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
    begin: async ({ system }) => {
      process.kill(await system.pidOf(service), "SIGKILL");
      return () => undefined;
    },
  };
}

export function stopped(service: ServiceName, holdMs: number): Fault {
  return {
    kind: "stop",
    name: `stop ${service} for ${secondsText(holdMs)}`,
    holdMs,
    begin: async ({ system }) => {
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
    name: `${count} ${how} sockets at ${service} for ${secondsText(holdMs)}`,
    holdMs,
    begin: ({ system }) => {
      const text = how === "silent" ? "" : HALF_SPOKEN;
      return openStrangers(portsFrom(system.base)[service], count, text);
    },
  };
}
