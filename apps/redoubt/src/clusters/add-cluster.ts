import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { canonicalBytes, MemberReader, privateFileExists, writeDurable } from "@redoubt/base";
import { initialise as initialiseLedger } from "@redoubt/ledger/initialise";
import { initialise as initialiseSigner } from "@redoubt/signer/initialise";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { createSocketPlace, socketPlace } from "@redoubt/wire";
import { callersOf, type Extent, issuanceLog, servicesOf } from "../layout.ts";
import { addCallers, addLog, changeConfig, listOf, readConfig } from "../recover/service-config.ts";
import { writeSettings, type Cluster, type RealmKeys, type Settings } from "../settings.ts";
import { clusterSignerConfig } from "../up/configs.ts";
import type { ClusterChoice } from "./choose-cluster.ts";

/**
 * Makes what a cluster needs in a system of which nothing runs. Each step can be done again, and the settings come last:
 * until they name the cluster nothing starts its processes, and ledger, monitor and publisher only know of a log and of
 * callers that nobody uses. So after a crash in between the system starts, and another call finishes the work.
 */
export async function addCluster(
  folder: string,
  settings: Settings,
  { maxLifetimeSeconds, ...choice }: ClusterChoice,
  now: Date,
): Promise<Cluster> {
  const { realm } = choice;
  const known = settings.clusters.find((one) => one.realm === realm);
  makePlaces(folder, realm);
  const log = configureSigner(folder, settings, { maxLifetimeSeconds, ...choice }, now);
  const cluster = { ...(known ?? (await makeKeys(folder, realm, log))), ...choice };
  configureOthers(folder, cluster);
  const others = settings.clusters.filter((one) => one !== known);
  writeSettings(folder, { ...settings, clusters: [...others, cluster] });
  return cluster;
}

/** A cluster by itself: what it adds. */
function only(realm: string): Extent {
  return { clusters: [realm], leased: [] };
}

function makePlaces(folder: string, realm: string): void {
  const front = join(folder, `kube-front-${realm}`, "s", "kube-apiserver");
  for (const path of [join(folder, `signer-${realm}`, "s"), front])
    mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const service of servicesOf(only(realm)))
    for (const caller of callersOf(service, only(realm)))
      createSocketPlace(socketPlace(folder, service, caller));
  const config = canonicalBytes({ v: 1, realm });
  writeDurable(join(folder, `kube-front-${realm}`, "config.json"), config);
}

/**
 * Before any key, because it says the log's name, which hangs on the day. What an operator put in it, custody for
 * instance, stays; what it pins is the present keys, where no key recovery has known of it. Returns the log.
 */
function configureSigner(
  folder: string,
  settings: Settings,
  choice: ClusterChoice,
  now: Date,
): string {
  const { realm } = choice;
  const service = `signer-${realm}` as const;
  const path = join(folder, service, "config.json");
  const before = privateFileExists(path) ? readConfig(folder, service) : {};
  const log = new MemberReader(before, "config").optionalString("log") ?? issuanceLog(realm, now);
  const isKnown = settings.clusters.some((one) => one.realm === realm);
  const change = isKnown
    ? { rings: withLifetime(before["rings"], choice.maxLifetimeSeconds) }
    : clusterSignerConfig({ ...choice, log }, settings);
  writeDurable(path, canonicalBytes({ ...before, ...change }));
  return log;
}

function withLifetime(
  rings: JsonValue | undefined,
  maxLifetimeSeconds: number | undefined,
): JsonObject[] {
  const change = maxLifetimeSeconds === undefined ? {} : { maxLifetimeSeconds };
  return listOf(rings)
    .filter(isJsonObject)
    .map((ring) => ({ ...ring, ...change }));
}

async function makeKeys(folder: string, realm: string, log: string): Promise<RealmKeys> {
  const signer = initialiseSigner(join(folder, `signer-${realm}`), { realm, origin: log });
  const { logs } = await initialiseLedger(join(folder, "ledger"), { logs: [log] });
  return { ...signer, log, logKey: logs[0]?.vkey ?? "" };
}

function configureOthers(folder: string, { realm, log, writer }: Cluster): void {
  addCallers(folder, only(realm));
  addLog(folder, { log, writer, caller: `signer-${realm}` });
  changeConfig(folder, "publisher", (config) => ({
    ...config,
    tokenEndpoints: { ...objectOf(config["tokenEndpoints"]), [realm]: null },
  }));
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}
