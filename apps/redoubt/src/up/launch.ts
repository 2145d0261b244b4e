import { spawn, type ChildProcess } from "node:child_process";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readPrivateFile, type Secret } from "@redoubt/base";
import { custodyLaunch as gatewayLaunch, type CustodyLaunch } from "@redoubt/custody";
import { parseConfig as parseGateway } from "@redoubt/custody-gateway/launch";
import { parseConfig as parseLink } from "@redoubt/link";
import { custodyLaunch, parseConfig } from "@redoubt/signer/launch";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { socketPlace } from "@redoubt/wire";
import { roleOf, type ServiceName } from "../layout.ts";
import { certificateFiles, DATABASE_VARIABLE } from "./database-urls.ts";

export const repository = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "..");

/** How a service is started: the folder of its code, folders of other processes that it may read, and flags of Node. */
interface Launch {
  readonly code: string;
  readonly reads: readonly string[];
  readonly flags: readonly string[];
}

/**
 * MiB for new objects. The monitor reads whole logs when it starts and little afterwards: what it touched once it would
 * keep, 5 MB of 45. Of no use to the processes on a token's way, which fill any nursery.
 */
const SMALL_NURSERY = "--max-semi-space-size=2";
const NO_SQLITE = "--no-experimental-sqlite";

function launchOf(service: ServiceName): Launch {
  const { kind, realm } = roleOf(service);
  switch (kind) {
    case "ledger":
      return { code: kind, reads: [], flags: [] };
    case "monitor":
      return { code: kind, reads: ["ledger/s/monitor"], flags: [SMALL_NURSERY] };
    case "signer":
      // ARCHITECTURE §7: node:sqlite opens any file anywhere, so the signer does not have it at all.
      return {
        code: kind,
        reads: [`ledger/s/${service}`, `monitor/s/${service}`],
        flags: [NO_SQLITE],
      };
    case "custody":
      return { code: kind, reads: [], flags: [SMALL_NURSERY, NO_SQLITE] };
    case "broker":
      return {
        code: kind,
        reads: ["ledger/s/broker", "monitor/s/broker"],
        flags: [SMALL_NURSERY, NO_SQLITE],
      };
    case "link":
      return { code: kind, reads: [], flags: [NO_SQLITE] };
    case "presence":
      return { code: kind, reads: [], flags: [SMALL_NURSERY, NO_SQLITE] };
    case "issuer":
      return {
        code: kind,
        reads: [`ledger/s/${service}`, `signer-${realm}/s/issuer`, `monitor/s/${service}`],
        flags: [],
      };
    case "kube-front":
      return {
        code: kind,
        reads: [`signer-${realm}/s/kube-front`, `monitor/s/${service}`],
        flags: [NO_SQLITE],
      };
    case "publisher":
      return { code: kind, reads: ["ledger/s/publisher", "ledger/published"], flags: [NO_SQLITE] };
  }
}

/** For an HSM's module; the signer gives the permission back once it has loaded it. */
const NATIVE_CODE = ["--allow-addons", "--disable-warning=PERM0001"];
/** What a process needs of the machine besides its own folder. */
interface MachineNeeds extends CustodyLaunch {
  readonly writes: readonly string[];
}

const NO_CUSTODY: MachineNeeds = { environment: {}, reads: [], addons: false, writes: [] };

/** What a process needs of the machine by its own configuration: for its custody, above all. It gets that and no more. */
function custodyOf(code: string, own: string, dataFolder: string): MachineNeeds {
  if (code !== "signer" && code !== "custody" && code !== "link") return NO_CUSTODY;
  try {
    const json = readPrivateFile(join(own, "config.json"));
    if (code === "link") return linkPlaces(parseLink(json), dataFolder);
    if (code === "custody") return { ...gatewayLaunch(parseGateway(json), dataFolder), writes: [] };
    const config = parseConfig(json);
    const launched = custodyLaunch(config, dataFolder);
    const { reads, writes } = attesterFiles(config, dataFolder);
    return {
      ...launched,
      reads: [...launched.reads, ...leasePlaces(config, own, dataFolder), ...reads],
      writes,
    };
  } catch {
    // The process reads the same file and says what is wrong with it.
    return NO_CUSTODY;
  }
}

/** The places at which a link stands for a service of another machine, and those that it leads others to. */
function linkPlaces(
  { connect, peers }: ReturnType<typeof parseLink>,
  dataFolder: string,
): MachineNeeds {
  const served = peers.flatMap(({ services }) => services);
  const foldersOf = (pairs: readonly (typeof served)[number][]): readonly string[] =>
    pairs.map(({ service, caller }) => socketPlace(dataFolder, service, caller).folder);
  const writes = foldersOf(connect);
  return { ...NO_CUSTODY, reads: [...writes, ...foldersOf(served)], writes };
}

/** The sockets of broker and gateway, for a signer that needs a lease. */
function leasePlaces(
  { lease, custody, realm }: ReturnType<typeof parseConfig>,
  own: string,
  dataFolder: string,
): readonly string[] {
  if (lease === null) return [];
  const services = custody.kind === "gateway" ? ["broker", `custody-${realm}`] : ["broker"];
  return services.map((service) => join(dataFolder, service, "s", basename(own)));
}

/** Where Linux makes reports of confidential VMs (configfs-tsm). */
const TSM_FOLDER = "/sys/kernel/config/tsm/report";
const CCEL_TABLE = "/sys/firmware/acpi/tables/data/CCEL";

/** The files with which a machine vouches for itself, by the signer's configuration: a device is written to, too. */
function attesterFiles({ lease }: ReturnType<typeof parseConfig>, dataFolder: string) {
  const { kind, device, socket, folder, eventLog, userspaceLog, collateral, chain } =
    lease?.attester ?? {};
  const tsm = kind === "tsm" ? [folder ?? TSM_FOLDER, CCEL_TABLE] : [];
  const pathsOf = (...values: readonly unknown[]): string[] =>
    values
      .flat()
      .filter((path) => typeof path === "string")
      .map((path) => resolve(dataFolder, path));
  const writes = pathsOf(device, socket, tsm[0]);
  return { writes, reads: [...writes, ...pathsOf(tsm, eventLog, userspaceLog, collateral, chain)] };
}

/** Files of its certificate, for a process that speaks TLS itself. */
function certificateOf(own: string): readonly string[] {
  try {
    const http = parseJsonObject(readPrivateFile(join(own, "config.json")))["http"];
    const listener = isJsonObject(http) ? http["public"] : null;
    const tls = isJsonObject(listener) ? listener["tls"] : null;
    const files = isJsonObject(tls) ? [tls["certificate"], tls["key"]] : [];
    return files.filter((file) => typeof file === "string");
  } catch {
    // The process reads the same file and says what is wrong with it.
    return [];
  }
}

/** How a service is run, whoever starts it. */
export interface ProcessCommand {
  /** Arguments of Node. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * The command of one service as ARCHITECTURE §7 says: clean environment, and Node's permission model with its own
 * folder only. That is a seat belt against bugs, not a boundary; separate uids are (deploy/systemd).
 *
 * @param dataFolder the working directory
 * @param installed the folder of the code
 */
export function commandOf(
  service: ServiceName,
  dataFolder: string,
  installed: string = repository,
): ProcessCommand {
  const { code, reads, flags } = launchOf(service);
  const own = join(dataFolder, service);
  const custody = custodyOf(code, own, dataFolder);
  const readable = [
    join(installed, "packages"),
    join(installed, "services", code),
    join(installed, "node_modules"),
    own,
    ...reads.map((folder) => join(dataFolder, folder)),
    ...custody.reads,
    ...certificateOf(own),
  ];
  const args = [
    "--permission",
    ...readable.map((path) => `--allow-fs-read=${path}`),
    ...[own, ...custody.writes].map((path) => `--allow-fs-write=${path}`),
    "--disable-sigusr1",
    ...flags,
    ...(custody.addons ? NATIVE_CODE : []),
    join(installed, "services", code, "src", "main.ts"),
    service,
  ];
  return { args, environment: { ...custody.environment, ...environment(own) } };
}

/** No core dump: a core file of a signer holds keys (THREAT-19). */
const WITHOUT_CORE = 'ulimit -c 0; echo 0 >/proc/self/coredump_filter; exec "$0" "$@"';

/**
 * Adds to an issuer's command where its people are. The URL is in its environment and not among its arguments, which
 * every user of the machine can read.
 */
export function withDatabase(command: ProcessCommand, url: Secret): ProcessCommand {
  const reads = certificateFiles(url).map((path) => `--allow-fs-read=${path}`);
  return {
    args: ["--permission", ...reads, ...command.args.slice(1)],
    environment: { ...command.environment, [DATABASE_VARIABLE]: url.reveal() },
  };
}

/**
 * Starts one service, without core dumps.
 *
 * @param database for an issuer whose people are not in a file of its own
 */
export function launch(service: ServiceName, dataFolder: string, database?: Secret): ChildProcess {
  const plain = commandOf(service, dataFolder);
  const command = database ? withDatabase(plain, database) : plain;
  return spawn("/bin/sh", ["-c", WITHOUT_CORE, process.execPath, ...command.args], {
    cwd: dataFolder,
    env: command.environment,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
}

/**
 * By default glibc returns the top of its heap to the system as soon as 128 KiB are free, and the system must clear
 * each
 * page when it hands it out again; that took a tenth of a busy signer's time. With these bounds, in bytes, it keeps
 * more.
 */
const KEEP_FREED_MEMORY = {
  MALLOC_TRIM_THRESHOLD_: "8388608",
  MALLOC_TOP_PAD_: "1048576",
  MALLOC_MMAP_THRESHOLD_: "1048576",
};

/**
 * Nothing of the caller's environment gets in: NODE_OPTIONS alone would run code before every check. The compile
 * cache is a folder of the process's own and never shared: whoever can write there is that process already.
 */
function environment(own: string): Record<string, string> {
  return {
    PATH: "/usr/bin:/bin",
    LANG: "C.UTF-8",
    NODE_COMPILE_CACHE: join(own, "cache"),
    ...KEEP_FREED_MEMORY,
  };
}
