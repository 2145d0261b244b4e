import { join } from "node:path";
import {
  canonicalBytes,
  MemberReader,
  readPrivateFile,
  REALM,
  UUID,
  writeDurable,
} from "@redoubt/base";
import { isJsonObject, parseJsonObject, type JsonValue } from "@redoubt/verify/json";
import { CLUSTER_TENANTS, type Extent, REALMS, type Realm } from "./layout.ts";

/** Where the world finds one realm: URLs that hold `{tenantid}` where the realm has many tenants. */
export interface RealmAddress {
  /** Issuer identifier: stands in every key record of the realm, so that it never changes. */
  readonly issuer: string;
  readonly tokenEndpoint: string;
}

/** The keys of one realm that the registry must name before its signer may work. */
export interface RealmKeys {
  readonly log: string;
  readonly logKey: string;
  readonly writer: string;
  readonly ring: string;
}

/** A Kubernetes cluster: a realm with one tenant and no issuer process, whose tokens kube-apiserver hands out. */
export interface Cluster extends RealmKeys {
  readonly realm: string;
  readonly issuer: string;
  readonly tenant: string;
  /** What its tokens may be for when it starts first; from then on the registry says it. */
  readonly audiences: readonly string[];
}

/** The broker's log, and the realms whose signers need leases. */
export interface BrokerSettings {
  readonly log: string;
  readonly logKey: string;
  readonly writer: string;
  readonly realms: readonly Realm[];
}

/** Public keys, as verifier keys, that the processes of one machine must know of one another before they start. */
export interface Identities {
  readonly operator: string;
  readonly registryKey: string;
  readonly witness: string;
  readonly ack: string;
  readonly realms: Readonly<Record<Realm, RealmKeys>>;
}

/** Where the world finds this system. */
export interface Addresses {
  /** Where verifiers report, as the monitor has it at `/`. */
  readonly reports: string;
  /** Relying-party identifier of people's keys (WebAuthn §4): a key made for one is of no use under another. */
  readonly rpId: string;
  /**
   * Origin at which people approve, and nothing else is (THREAT-20). Absent in systems made before there was such a page.
   */
  readonly presence?: string;
  readonly realms: Readonly<Record<Realm, RealmAddress>>;
}

const LOOPBACK: readonly string[] = ["127.0.0.1", "localhost"];

/** Whether nobody but this machine can reach any of the realms: for trying. */
export function isOnLoopback({ realms }: Pick<Addresses, "realms">): boolean {
  return REALMS.every((realm) => {
    const url = URL.parse(realms[realm].tokenEndpoint.replace("{tenantid}", "x"));
    return url !== null && LOOPBACK.includes(url.hostname);
  });
}

/** What the commands need to know of a data folder: its places, and the keys by which they check answers. */
export interface Settings extends Identities, Addresses {
  /** First of the six loopback ports. */
  readonly port: number;
  readonly realms: Readonly<Record<Realm, RealmAddress & RealmKeys>>;
  readonly clusters: readonly Cluster[];
  /** Absent where no signer needs a lease. */
  readonly broker?: BrokerSettings;
}

/** What a tenant's statement takes. */
export const MAX_AUDIENCES = 64;

export const SETTINGS_FILE = "up/settings.json";

export function writeSettings(
  folder: string,
  { realms, clusters, broker, ...rest }: Settings,
): void {
  const { consumer, enterprise } = realms;
  const value = {
    v: 1,
    ...rest,
    ...(broker && { broker: { ...broker, realms: [...broker.realms] } }),
    realms: { consumer: { ...consumer }, enterprise: { ...enterprise } },
    clusters: clusters.map(({ audiences, ...cluster }) => ({
      ...cluster,
      audiences: [...audiences],
    })),
  };
  writeDurable(join(folder, SETTINGS_FILE), canonicalBytes(value));
}

export function readSettings(folder: string): Settings {
  const reader = new MemberReader(
    parseJsonObject(readPrivateFile(join(folder, SETTINGS_FILE))),
    "settings",
  );
  reader.integer("v", 1, 1);
  const realms = reader.object("realms");
  const settings: Settings = {
    ...(reader.has("broker") && { broker: readBroker(reader.object("broker")) }),
    port: reader.integer("port", 1024, 65_530),
    reports: reader.string("reports"),
    rpId: reader.string("rpId"),
    ...(reader.has("presence") && { presence: reader.string("presence") }),
    operator: reader.string("operator"),
    registryKey: reader.string("registryKey"),
    witness: reader.string("witness"),
    ack: reader.string("ack"),
    realms: {
      consumer: readRealm(realms.object("consumer")),
      enterprise: readRealm(realms.object("enterprise")),
    },
    clusters: reader.array("clusters", CLUSTER_TENANTS.length).map(readCluster),
  };
  realms.done();
  reader.done();
  return settings;
}

function readRealm(reader: MemberReader): RealmAddress & RealmKeys {
  const tokenEndpoint = reader.string("tokenEndpoint");
  const realm = { issuer: reader.string("issuer"), tokenEndpoint, ...readKeys(reader) };
  reader.done();
  return realm;
}

function readBroker(reader: MemberReader): BrokerSettings {
  const names = reader.strings("realms", REALMS.length);
  const broker = {
    log: reader.string("log"),
    logKey: reader.string("logKey"),
    writer: reader.string("writer"),
    realms: REALMS.filter((realm) => names.includes(realm)),
  };
  reader.done();
  return broker;
}

function readCluster(value: JsonValue): Cluster {
  const reader = new MemberReader(isJsonObject(value) ? value : {}, "cluster");
  const cluster = {
    // It becomes the name of folders.
    realm: reader.string("realm", 32, REALM),
    issuer: reader.string("issuer"),
    tenant: reader.string("tenant", 36, UUID),
    audiences: reader.strings("audiences", MAX_AUDIENCES),
    ...readKeys(reader),
  };
  reader.done();
  return cluster;
}

function readKeys(reader: MemberReader): RealmKeys {
  return {
    log: reader.string("log"),
    logKey: reader.string("logKey"),
    writer: reader.string("writer"),
    ring: reader.string("ring"),
  };
}

/** What layout and supervisor must know of a system. */
export function extentOf(settings: Pick<Settings, "clusters" | "broker" | "presence">): Extent {
  return {
    clusters: clusterNames(settings),
    leased: settings.broker?.realms ?? [],
    ...(settings.presence !== undefined && { presence: true }),
  };
}

/** The names by which layout and supervisor know the clusters. */
export function clusterNames({ clusters }: Pick<Settings, "clusters">): readonly string[] {
  return clusters.map(({ realm }) => realm);
}

/** Every realm that has a signer here. */
export function realmNames(settings: Pick<Settings, "clusters">): readonly string[] {
  return [...REALMS, ...clusterNames(settings)];
}

/** The same settings with other keys of one realm. */
export function withKeys(settings: Settings, realm: string, keys: Partial<RealmKeys>): Settings {
  const { realms, clusters } = settings;
  const own = REALMS.find((name) => name === realm);
  return {
    ...settings,
    realms: own ? { ...realms, [own]: { ...realms[own], ...keys } } : realms,
    clusters: clusters.map((one) => (one.realm === realm ? { ...one, ...keys } : one)),
  };
}

/** The ring key of each realm, as verifiers pin them. */
export function ringsOf({ realms }: Pick<Settings, "realms">): Readonly<Record<Realm, string>> {
  return { consumer: realms.consumer.ring, enterprise: realms.enterprise.ring };
}
