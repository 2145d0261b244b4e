import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { errorCode, privateFileExists, Secret, ServiceError, writeDurable } from "@redoubt/base";
import { readSocketSecret, socketPlace, type SocketPlace } from "@redoubt/wire";
import { EXIT, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import { callersOf, type Extent, servicesOf, type ServiceName } from "../layout.ts";
import { openPlace } from "../running.ts";
import { extentOf, readSettings, SETTINGS_FILE } from "../settings.ts";
import { lockDataFolder } from "../up/data-folder.ts";

export interface SecretsOptions {
  readonly service?: string;
  readonly caller?: string;
  readonly yes?: boolean;
}

/** One socket, and what was found of its secret. */
interface SocketSecret {
  readonly service: ServiceName;
  readonly caller: string;
  readonly found: "good" | "missing" | "damaged";
}

/** Replaces the secrets of sockets while nothing runs: service and caller read the same file, each at its start. */
export async function recoverSecrets(
  context: CommandContext,
  options: SecretsOptions,
): Promise<number> {
  const { folder, terminal } = context;
  if (existsSync(join(folder, SETTINGS_FILE))) makeFolders(folder, extentOf(readSettings(folder)));
  const extent = extentOf(openPlace(folder).settings);
  // Held to the end: nothing starts with half of them.
  using _ = lockDataFolder(folder);
  const sockets = findSockets(folder, extent, options);
  terminal.notice(
    `New secrets for ${sockets.length} of the sockets${describe(sockets)}. Every process reads them at its next start; nothing else knows them.`,
  );
  await confirm(context, "Replacing secrets", options.yes);
  for (const { service, caller } of sockets)
    writeDurable(socketPlace(folder, service, caller).secretFile, Secret.random().reveal());
  const lines = sockets.map(
    ({ service, caller, found }) => `  ${service}/s/${caller} (was ${found})`,
  );
  terminal.result({
    json: { replaced: sockets },
    text: ["Replaced:", ...lines, "Now start Redoubt."].join("\n"),
  });
  return EXIT.ok;
}

/**
 * Makes a caller's folder again that was lost with its secret. A lost folder of a service held more, and stays lost.
 */
function makeFolders(folder: string, extent: Extent): void {
  for (const service of servicesOf(extent))
    for (const part of ["s", ...callersOf(service, extent).map((caller) => join("s", caller))])
      try {
        mkdirSync(join(folder, service, part), { mode: 0o700 });
      } catch (error) {
        // Whatever is wrong is said by those who check the data folder.
        if (!["EEXIST", "ENOENT", "ENOTDIR"].includes(errorCode(error))) throw error;
      }
}

/** @throws ServiceError `ERR_OPTION` where the options name no socket */
function findSockets(
  folder: string,
  extent: Extent,
  { service: onlyService, caller: onlyCaller }: SecretsOptions,
): SocketSecret[] {
  const every = servicesOf(extent);
  const services = every.filter((name) => onlyService === undefined || name === onlyService);
  if (services.length === 0)
    throw new ServiceError("ERR_OPTION", `No such service: they are ${every.join(", ")}`);
  const all = services.flatMap((service) =>
    socketsOf(folder, service, extent).map((caller) => ({ service, caller })),
  );
  const sockets = all.filter(({ caller }) => onlyCaller === undefined || caller === onlyCaller);
  if (sockets.length === 0)
    throw new ServiceError(
      "ERR_OPTION",
      `No such socket: callers are ${[...new Set(all.map(({ caller }) => caller))].join(", ") || "none"}`,
    );
  return sockets.map(({ service, caller }) => ({
    service,
    caller,
    found: look(socketPlace(folder, service, caller)),
  }));
}

/** The callers of the one-machine profile, and any other that has a secret. */
function socketsOf(folder: string, service: ServiceName, extent: Extent): string[] {
  const others = readdirSync(join(folder, service, "s"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .filter((name) => privateFileExists(join(folder, service, "s", name, "secret")));
  return [...new Set([...callersOf(service, extent), ...others])];
}

function look(place: SocketPlace): SocketSecret["found"] {
  try {
    readSocketSecret(place);
    return "good";
  } catch (error) {
    return errorCode(error) === "ENOENT" ? "missing" : "damaged";
  }
}

function describe(sockets: readonly SocketSecret[]): string {
  const parts = (["missing", "damaged"] as const).flatMap((found) => {
    const names = sockets.filter((one) => one.found === found);
    return names.length === 0
      ? []
      : [`${found}: ${names.map(({ service, caller }) => `${service}/s/${caller}`).join(", ")}`];
  });
  return parts.length === 0 ? "" : ` (${parts.join("; ")})`;
}
