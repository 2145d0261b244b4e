import { join } from "node:path";
import { ServiceError, systemClock } from "@redoubt/base";
import { EXIT, type CommandContext } from "../command.ts";
import { makeDemo } from "../demo.ts";
import { REALMS } from "../layout.ts";
import { basePort, DEFAULT_PORT } from "../place.ts";
import { readSettings } from "../settings.ts";
import { createDataFolder, isMissingOrEmpty } from "../up/data-folder.ts";
import { setUp, type Plan } from "../up/set-up.ts";
import { chooseAddresses, hostsOf, loopbackAddresses, type AddressOptions } from "./addresses.ts";
import { chooseCustody, isInCloud, PLAIN_FILES, type CustodyOptions } from "./custody.ts";
import {
  chooseListen,
  chooseProxies,
  readListen,
  type ListenOptions,
  type ProxyOptions,
} from "./listen.ts";

export interface InitOptions
  extends Omit<AddressOptions, "listenPort">, CustodyOptions, ListenOptions, ProxyOptions {
  readonly port?: string;
  /** False where the signers are to hold the keys themselves. */
  readonly leases?: boolean;
}

const NO_TLS =
  "Who speaks TLS? Declare the proxy in front (--proxy 127.0.0.1 for one on this machine), or let Redoubt do it (--listen, --tls-certificate, --tls-key)";

/** For trying: everything on loopback, keys in sealed files. */
export function loopbackPlan(port: number): Plan {
  return {
    port,
    ...loopbackAddresses(port),
    listen: null,
    proxies: null,
    custody: PLAIN_FILES,
    demo: makeDemo(),
  };
}

/**
 * Makes a data folder that is whole, or none: what is chosen here stands in it for ever. Its keys are behind custody
 * gateways from the first one on, unless a cloud holds them, whose own access control checks their use.
 *
 * @returns whether there are leases
 */
export async function createSystem(
  folder: string,
  plan: Plan,
  { leases }: { readonly leases: boolean },
): Promise<boolean> {
  const isLeased = leases && !isInCloud(plan.custody);
  await createDataFolder(folder, async (temporary) => {
    const now = systemClock.now();
    await setUp(temporary, plan, new Date(now));
    if (!isLeased) return;
    // What reads evidence is not loaded where a folder is there already.
    const { enableLeases } = await import("../leases/enable-leases.ts");
    await enableLeases(temporary, readSettings(temporary), now);
  });
  return isLeased;
}

function choosePlan(context: CommandContext, options: InitOptions): Plan {
  const { port: base, listen, tlsCertificate, tlsKey, leases: _, ...others } = options;
  const { issuer, rpId, presenceOrigin, proxy, hops, ...custody } = others;
  const port = basePort(base, process.env) ?? DEFAULT_PORT;
  const listener = readListen(listen);
  const proxies = chooseProxies({ proxy, hops });
  const listenPort = tlsCertificate === undefined ? undefined : listener?.port;
  const addresses = chooseAddresses({ issuer, rpId, presenceOrigin, listenPort }, port);
  const hosts = hostsOf(addresses);
  const plan = {
    port,
    ...addresses,
    listen: chooseListen(context, listener, { tlsCertificate, tlsKey, hosts, proxies }),
    proxies,
    custody: chooseCustody(context, custody),
    demo: makeDemo(),
  };
  if (plan.realms.enterprise.issuer.startsWith("https:") && !plan.listen && !proxies)
    throw new ServiceError("ERR_OPTION", NO_TLS);
  return plan;
}

function keysText({ custody }: Plan, isLeased: boolean): string {
  if (isLeased) return "behind custody gateways, with a lease for each use (docs/guide/leases.md)";
  if (isInCloud(custody))
    return "in a cloud's KMS, whose access control checks each use; no leases";
  return "opened by the signers themselves; redoubt leases enable changes that";
}

/** Makes a data folder and starts nothing. */
export async function init(context: CommandContext, options: InitOptions): Promise<number> {
  const { folder, terminal } = context;
  if (!isMissingOrEmpty(folder))
    throw new ServiceError(
      "ERR_DATA_FOLDER",
      `${folder} is not empty, and what init chooses cannot be changed: name another with --data`,
    );
  const plan = choosePlan(context, options);
  const { leases = true } = options;
  const isLeased = await createSystem(folder, plan, { leases });
  terminal.result({
    json: {
      data: folder,
      port: plan.port,
      rpId: plan.rpId,
      presence: plan.presence ?? null,
      reports: plan.reports,
      realms: plan.realms,
      leases: isLeased,
    },
    text: [
      `Made ${folder}. Nothing runs yet.`,
      "",
      ...REALMS.flatMap((realm) => [
        `  ${realm.padEnd(11)} ${plan.realms[realm].issuer}`,
        `  ${"".padEnd(11)} ${plan.realms[realm].tokenEndpoint}`,
      ]),
      `  ${"reports".padEnd(11)} ${plan.reports}`,
      `  ${"people".padEnd(11)} RP ID ${plan.rpId}`,
      `  ${"approvals".padEnd(11)} ${plan.presence ?? "none"}`,
      `  ${"keys".padEnd(11)} ${keysText(plan, isLeased)}`,
      "",
      "These stand for ever: issuers are part of every key. Wrong? Remove the folder and run init again, now.",
      `Next: ${folder === join(context.typedIn, ".redoubt") ? "npm start" : `npm run -s redoubt -- --data ${folder} up`}`,
    ].join("\n"),
  });
  return EXIT.ok;
}
