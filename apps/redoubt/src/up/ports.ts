import { createServer } from "node:net";
import { errorCode, ServiceError } from "@redoubt/base";
import type { Ports } from "../layout.ts";

/** THREAT-32: a port that somebody else holds is found before anything is started on the others. */
export async function checkPortsFree(ports: Ports): Promise<void> {
  for (const port of Object.values(ports)) await checkFree(port);
}

function checkFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (cause) => {
      const message =
        errorCode(cause) === "EADDRINUSE"
          ? `Port ${port} is taken: choose five free ports with --port`
          : `Port ${port} cannot be used (${errorCode(cause)}): choose others with --port`;
      reject(new ServiceError("ERR_PORT", message, { cause }));
    });
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      probe.close(() => resolve());
    });
  });
}
