import { join } from "node:path";
import { canonicalBytes, MemberReader, readPrivateFile, writeDurable } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import type { Realm } from "./layout.ts";

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
  readonly realms: Readonly<Record<Realm, RealmAddress>>;
}

/** What the commands need to know of a data folder: its places, and the keys by which they check answers. */
export interface Settings extends Identities, Addresses {
  /** First of the five loopback ports. */
  readonly port: number;
  readonly realms: Readonly<Record<Realm, RealmAddress & RealmKeys>>;
}

export const SETTINGS_FILE = "up/settings.json";

export function writeSettings(folder: string, { realms, ...rest }: Settings): void {
  const { consumer, enterprise } = realms;
  const value = {
    v: 1,
    ...rest,
    realms: { consumer: { ...consumer }, enterprise: { ...enterprise } },
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
  const settings = {
    port: reader.integer("port", 1024, 65_530),
    reports: reader.string("reports"),
    rpId: reader.string("rpId"),
    operator: reader.string("operator"),
    registryKey: reader.string("registryKey"),
    witness: reader.string("witness"),
    ack: reader.string("ack"),
    realms: {
      consumer: readRealm(realms.object("consumer")),
      enterprise: readRealm(realms.object("enterprise")),
    },
  };
  realms.done();
  reader.done();
  return settings;
}

function readRealm(reader: MemberReader): RealmAddress & RealmKeys {
  const keys = {
    issuer: reader.string("issuer"),
    tokenEndpoint: reader.string("tokenEndpoint"),
    log: reader.string("log"),
    logKey: reader.string("logKey"),
    writer: reader.string("writer"),
    ring: reader.string("ring"),
  };
  reader.done();
  return keys;
}

/** The ring key of each realm, as verifiers pin them. */
export function ringsOf({ realms }: Pick<Settings, "realms">): Readonly<Record<Realm, string>> {
  return { consumer: realms.consumer.ring, enterprise: realms.enterprise.ring };
}
