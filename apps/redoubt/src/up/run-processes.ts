import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { checkPrivateFolder, ServiceError } from "@redoubt/base";
import type { CommandContext } from "../command.ts";
import { SERVICES, type ServiceName } from "../layout.ts";
import { lockDataFolder } from "./data-folder.ts";
import { readDatabaseUrls } from "./database-urls.ts";
import { issuerRealms, Supervisor } from "./supervisor.ts";

/**
 * Runs those processes of a system that stand on this machine, as `redoubt up` does: started again when they end, with
 * their lines below `up/logs`. It says nothing in the registry, which an earlier `redoubt up` has done, and serves no
 * page. Says once that all of them can do their work; ends when `stop` resolves.
 *
 * @throws ServiceError `ERR_OPTION`, `ERR_ALREADY_RUNNING`; THREAT-32: as `checkPrivateFolder`
 */
export async function runProcesses(
  { folder, terminal }: Pick<CommandContext, "folder" | "terminal">,
  names: readonly string[],
  stop: Promise<void>,
): Promise<void> {
  checkPrivateFolder(folder);
  const services = [...new Set(names)].map((name) => serviceIn(folder, name));
  mkdirSync(join(folder, "up"), { recursive: true, mode: 0o700 });
  // Released in reverse order: the lock last, when nothing runs on the folder any more.
  await using owned = new AsyncDisposableStack();
  owned.use(lockDataFolder(folder));
  const supervisor = owned.use(
    new Supervisor(folder, services, {
      onNotice: (line) => terminal.notice(line),
      databases: readDatabaseUrls(process.env, issuerRealms(services)),
    }),
  );
  supervisor.start();
  const ready = supervisor.ready(services).then(() =>
    terminal.result({
      json: { ready: true, processes: services },
      text: `Ready: ${services.join(", ")}. Ctrl-C stops them.`,
    }),
  );
  await Promise.race([stop, ready]);
  await stop;
}

function serviceIn(folder: string, name: string): ServiceName {
  if (!isProcess(name) || !existsSync(join(folder, name, "config.json")))
    throw new ServiceError("ERR_OPTION", `No process ${name} has its configuration in ${folder}`);
  checkPrivateFolder(join(folder, name));
  return name;
}

/** Beside what every system has. The name becomes a path. */
const MORE = /^(?:broker|link|presence|(?:signer|kube-front|custody)-[a-z0-9-]{1,40})$/;

function isProcess(name: string): name is ServiceName {
  return SERVICES.some((service) => service === name) || MORE.test(name);
}
