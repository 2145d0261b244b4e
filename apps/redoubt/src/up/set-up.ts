import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { canonicalBytes, Secret, writeDurable } from "@redoubt/base";
import { createKeyFile } from "@redoubt/custody";
import { initialise as initialiseLedger } from "@redoubt/ledger/initialise";
import { initialise as initialiseMonitor } from "@redoubt/monitor/initialise";
import { initialise as initialiseSigner } from "@redoubt/signer/initialise";
import { encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { writeDemo, type Demo } from "../demo.ts";
import {
  callersOf,
  issuanceLog,
  REALMS,
  REGISTRY_LOG,
  servicesOf,
  type Extent,
  type Realm,
} from "../layout.ts";
import {
  extentOf,
  writeSettings,
  type Addresses,
  type Identities,
  type Settings,
} from "../settings.ts";
import { copyCompileCache } from "./compile-cache.ts";
import { makeConfigs, type ConfigChoices } from "./configs.ts";

/** What is chosen when a data folder is made, and never again. */
export interface Plan extends Addresses, ConfigChoices {
  /** First of the six loopback ports. */
  readonly port: number;
  readonly demo: Demo;
}

/** Fills a fresh data folder for one machine: identities, sockets, configurations, demo clients. */
export async function setUp(folder: string, plan: Plan, now: Date): Promise<void> {
  const { custody, listen, proxies, demo, ...places } = plan;
  const extent = extentOf({ ...places, clusters: [] });
  makeFolders(folder, extent);
  copyCompileCache(folder, servicesOf(extent));
  const settings = withAddresses(places, await makeIdentities(folder, now));
  for (const [service, config] of makeConfigs(settings, { custody, listen, proxies }))
    writeDurable(join(folder, service, "config.json"), canonicalBytes(config));
  writeDemo(folder, demo);
  // Last: a folder with settings is complete.
  writeSettings(folder, settings);
}

function withAddresses(places: Addresses & Pick<Plan, "port">, ids: Identities): Settings {
  const realm = (name: Realm) => ({ ...places.realms[name], ...ids.realms[name] });
  return {
    ...places,
    ...ids,
    realms: { consumer: realm("consumer"), enterprise: realm("enterprise") },
    clusters: [],
  };
}

function makeFolders(folder: string, extent: Extent): void {
  mkdirSync(join(folder, "up"), { mode: 0o700 });
  for (const service of servicesOf(extent)) {
    mkdirSync(join(folder, service), { mode: 0o700 });
    mkdirSync(join(folder, service, "s"), { mode: 0o700 });
    for (const caller of callersOf(service, extent)) {
      mkdirSync(join(folder, service, "s", caller), { mode: 0o700 });
      const secret = Secret.random();
      writeDurable(join(folder, service, "s", caller, "secret"), secret.reveal());
    }
  }
  // Node's permission model treats a path as a folder only if it is one when the process starts.
  mkdirSync(join(folder, "ledger", "published"), { mode: 0o700 });
}

/** Makes every identity key in its owner's folder. Token keys are not among them: signers make those. */
async function makeIdentities(folder: string, now: Date): Promise<Identities> {
  const operator = createKeyFile(join(folder, "up", "operator.key"), "Ed25519");
  const monitor = await initialiseMonitor(join(folder, "monitor"));
  const { logs } = await initialiseLedger(join(folder, "ledger"), {
    logs: [REGISTRY_LOG, ...REALMS.map((realm) => issuanceLog(realm, now))],
  });
  const logKeys = new Map(logs.map(({ log, vkey }) => [log, vkey]));
  const realmKeys = (realm: Realm) => {
    const log = issuanceLog(realm, now);
    const signer = initialiseSigner(join(folder, `signer-${realm}`), { realm, origin: log });
    return { ...signer, log, logKey: keyOf(logKeys, log) };
  };
  return {
    operator: encodeVerifierKey({
      name: "operator",
      type: SIGNATURE_TYPE.ed25519,
      publicKey: operator.publicKey,
    }),
    registryKey: keyOf(logKeys, REGISTRY_LOG),
    witness: monitor.witness,
    ack: monitor.ack,
    realms: { consumer: realmKeys("consumer"), enterprise: realmKeys("enterprise") },
  };
}

function keyOf(keys: ReadonlyMap<string, string>, log: string): string {
  const key = keys.get(log);
  if (key === undefined) throw new RangeError(`Ledger made no key for ${log}`);
  return key;
}
