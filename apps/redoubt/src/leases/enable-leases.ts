import { createPublicKey, randomBytes } from "node:crypto";
import { existsSync, readdirSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  canonicalBytes,
  privateFileExists,
  readPrivateFile,
  ServiceError,
  writeDurable,
} from "@redoubt/base";
import { initialise as initialiseBroker } from "@redoubt/broker/initialise";
import {
  CLOUD_CUSTODY,
  createKeyFile,
  custodyLabel,
  openKeyFile,
  parseCustodyConfig,
} from "@redoubt/custody";
import { initialise as initialiseGateway } from "@redoubt/custody-gateway/initialise";
import {
  AK_P256,
  createSoftTpm,
  EK_P384,
  encodeReferenceValues,
  parsePublicArea,
  readTpmKey,
  signReferenceValues,
} from "@redoubt/evidence";
import { initialise as initialiseLedger } from "@redoubt/ledger/initialise";
import { rawPublicKey } from "@redoubt/lease";
import { softImageValue } from "@redoubt/lease/agent";
import { IMAGE, IMAGE_VERSION } from "@redoubt/signer/image";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { createSocketPlace, socketPlace } from "@redoubt/wire";
import { BROKER_LOG, callersOf, type Extent, REALMS, type Realm, REGISTRY_LOG } from "../layout.ts";
import { addCallers, addLog, changeConfig, readConfig } from "../recover/service-config.ts";
import { copyCompileCache } from "../up/compile-cache.ts";
import { extentOf, type BrokerSettings, type Settings, writeSettings } from "../settings.ts";

const LEASE_SECONDS = 900;
const NONCE_SECONDS = 60;
/** Files of the release keys of one machine, below `up`: both lie in its own folder. */
export const RELEASE_KEYS = ["release-1.key", "release-2.key"] as const;
const REFERENCE_DAYS = 3650;
const IMAGE_NAME = "signer";
const BESIDE = { kind: "file", passphrase: "beside" } as const;

/** What a soft TPM shows: it proves the path, and nothing about the machine. */
const SOFT_POLICY = {
  version: "1.1.0",
  anyOf: [
    {
      authority: "urn:redoubt:evidence",
      allOf: [
        { claim: "platform", equals: "soft" },
        { claim: "pcrs.11", reference: `${IMAGE_NAME}/pcr11` },
      ],
    },
  ],
};

/**
 * Puts the keys of both realms behind custody gateways, and leases before their use, in a system of which nothing runs.
 * Each step can be done again, and the settings come last: until they name the broker nothing starts it. After a crash
 * another call finishes the work; a signer that was configured before the settings were written waits for its lease.
 *
 * @throws ServiceError `ERR_LEASES_CUSTODY`, with nothing changed: a cloud holds keys, whose own access control is what
 *   can check them; a realm has two custodies; or keys would have to go to another file system
 */
export async function enableLeases(
  folder: string,
  settings: Settings,
  now: number,
): Promise<BrokerSettings> {
  // What an operator set up since, such as a real TPM, stays.
  if (settings.broker) return settings.broker;
  for (const realm of REALMS) checkCustody(folder, realm);
  const extent = { ...extentOf(settings), leased: REALMS };
  makePlaces(folder, extent);
  const writer = initialiseBroker(join(folder, "broker"), BROKER_LOG);
  const { logs } = await initialiseLedger(join(folder, "ledger"), { logs: [BROKER_LOG] });
  const broker = { log: BROKER_LOG, logKey: logs[0]?.vkey ?? "", writer, realms: REALMS };
  const release = releaseKeys(folder);
  writeReference(folder, release, now);
  const enrolled = await Promise.all(REALMS.map((realm) => enrol(folder, realm)));
  writeDurable(
    join(folder, "broker", "config.json"),
    canonicalBytes({
      v: 1,
      realms: REALMS.map((realm) => ({ realm, signer: `signer-${realm}` })),
      log: { origin: BROKER_LOG, key: broker.logKey },
      registry: REGISTRY_LOG,
      witness: settings.witness,
      release: {
        keys: release.map((key) => encodeBase64url(rawPublicKey(createPublicKey(key), "Ed25519"))),
        threshold: RELEASE_KEYS.length,
      },
      image: IMAGE_NAME,
      leaseSeconds: LEASE_SECONDS,
      nonceSeconds: NONCE_SECONDS,
      enrolled,
    }),
  );
  addCallers(folder, extent);
  addLog(folder, { log: broker.log, writer, caller: "broker" });
  for (const realm of REALMS) moveCustody(folder, realm, broker);
  writeSettings(folder, { ...settings, broker });
  return broker;
}

function custodyOf(folder: string, realm: Realm): JsonObject {
  const { custody } = readConfig(folder, `signer-${realm}`);
  return isJsonObject(custody) ? custody : BESIDE;
}

function checkCustody(folder: string, realm: Realm): void {
  const { kind } = custodyOf(folder, realm);
  if (CLOUD_CUSTODY.some((cloud) => cloud === kind))
    throw new ServiceError(
      "ERR_LEASES_CUSTODY",
      `Keys of ${realm} are in a cloud's custody: no gateway stands before it yet`,
    );
  const { from, to, names } = custodyMove(folder, realm);
  for (const name of names)
    if (existsSync(join(to, name)))
      throw new ServiceError(
        "ERR_LEASES_CUSTODY",
        `${join(to, name)} is there already, and so is ${join(from, name)}: two custodies of one realm`,
      );
  if (names.length > 0 && statSync(from).dev !== statSync(nearest(to)).dev)
    throw new ServiceError(
      "ERR_LEASES_CUSTODY",
      `${from} and ${to} are on different file systems: move one to the other's, so that keys move whole`,
    );
}

/** What of a realm's custody has to move, and where. */
function custodyMove(folder: string, realm: Realm) {
  const from = join(folder, `signer-${realm}`, "custody");
  const to = join(folder, `custody-${realm}`, "keys");
  return { from, to, names: existsSync(from) ? readdirSync(from) : [] };
}

/** The path, or the nearest folder above it that is there. */
function nearest(path: string): string {
  return existsSync(path) ? path : nearest(dirname(path));
}

function makePlaces(folder: string, extent: Extent): void {
  const gateways = extent.leased.map((realm) => `custody-${realm}` as const);
  for (const service of ["ledger", "monitor", "broker", ...gateways] as const)
    for (const caller of callersOf(service, extent))
      createSocketPlace(socketPlace(folder, service, caller));
  for (const gateway of gateways) initialiseGateway(join(folder, gateway));
  copyCompileCache(folder, ["broker", ...gateways]);
}

function releaseKeys(folder: string) {
  return RELEASE_KEYS.map((name) => {
    const path = join(folder, "up", name);
    const { privateKey } = privateFileExists(path)
      ? openKeyFile(path)
      : createKeyFile(path, "Ed25519");
    return privateKey;
  });
}

function writeReference(folder: string, keys: ReturnType<typeof releaseKeys>, now: number): void {
  const values = {
    name: IMAGE_NAME,
    version: IMAGE_VERSION,
    notAfter: now + REFERENCE_DAYS * 86_400_000,
    sets: new Map([[`${IMAGE_NAME}/pcr11`, [softImageValue(IMAGE)]]]),
  };
  let file = encodeReferenceValues(values);
  for (const key of keys) file = signReferenceValues(file, key);
  writeDurable(join(folder, "broker", "references", `${IMAGE_NAME}.json`), file);
  for (const realm of REALMS)
    writeDurable(
      join(folder, "broker", "policies", `${realm}.json`),
      JSON.stringify(SOFT_POLICY, null, 2),
    );
}

/** Gives a signer its soft TPM, and says what the broker must know of it. */
async function enrol(folder: string, realm: Realm): Promise<JsonObject> {
  const path = seedFile(folder, realm);
  if (!privateFileExists(path)) writeDurable(path, randomBytes(32).toString("base64url"));
  const transport = createSoftTpm({
    seed: Buffer.from(readPrivateFile(path, 64).toString("latin1"), "base64url"),
  });
  const ak = parsePublicArea(await readTpmKey(transport, AK_P256));
  const ek = await readTpmKey(transport, EK_P384);
  return {
    signer: `signer-${realm}`,
    platform: "soft",
    akName: ak.name.toString("hex"),
    ek: encodeBase64url(ek),
  };
}

function seedFile(folder: string, realm: Realm): string {
  return join(folder, `signer-${realm}`, "attester.seed");
}

/** The gateway gets the realm's custody as it is, with its sealed keys; the signer gets a lease in its place. */
function moveCustody(folder: string, realm: Realm, broker: BrokerSettings): void {
  const service = `signer-${realm}` as const;
  const gateway = `custody-${realm}` as const;
  const { custodyNeeds, ...config } = readConfig(folder, service);
  const custody = custodyOf(folder, realm);
  const log = { origin: broker.log, key: broker.logKey, writer: broker.writer };
  if (custody["kind"] !== "gateway")
    writeDurable(
      join(folder, gateway, "config.json"),
      canonicalBytes({
        v: 1,
        realm,
        signer: service,
        log,
        custody,
        ...(custodyNeeds !== undefined && { custodyNeeds }),
      }),
    );
  changeConfig(folder, service, () => ({
    ...config,
    custody: custody["kind"] === "gateway" ? custody : { kind: "gateway", holds: labelOf(custody) },
    lease: { log, attester: { kind: "soft", seedFile: `${service}/attester.seed` } },
  }));
  // Only now: a signer that still had its custody would begin a new one in the emptied folder.
  const { from, to, names } = custodyMove(folder, realm);
  for (const name of names) renameSync(join(from, name), join(to, name));
}

function labelOf(custody: JsonObject): string {
  return custodyLabel(parseCustodyConfig(custody));
}
