import { join } from "node:path";
import { canonicalBytes, MemberReader, readPrivateFile, writeDurable } from "@redoubt/base";
import type { StatementBody } from "@redoubt/registry";
import { parseJsonObject } from "@redoubt/verify/json";
import { CONSUMER_TENANT, issuerTemplate, type Realm } from "./layout.ts";

/** The keys of one realm that the registry must name before its signer may work. */
export interface RealmKeys {
  readonly log: string;
  readonly logKey: string;
  readonly writer: string;
  readonly ring: string;
}

const REALMS_FILE = "up/realms.json";

export function writeRealms(folder: string, realms: Readonly<Record<Realm, RealmKeys>>): void {
  const { consumer, enterprise } = realms;
  writeDurable(
    join(folder, REALMS_FILE),
    canonicalBytes({ consumer: { ...consumer }, enterprise: { ...enterprise } }),
  );
}

export function readRealms(folder: string): Readonly<Record<Realm, RealmKeys>> {
  const reader = new MemberReader(
    parseJsonObject(readPrivateFile(join(folder, REALMS_FILE))),
    "realms",
  );
  const read = (realm: Realm): RealmKeys => {
    const keys = reader.object(realm);
    return {
      log: keys.string("log"),
      logKey: keys.string("logKey"),
      writer: keys.string("writer"),
      ring: keys.string("ring"),
    };
  };
  return { consumer: read("consumer"), enterprise: read("enterprise") };
}

export function realmStatements(
  realm: Realm,
  { log, logKey, writer, ring }: RealmKeys,
  publisherPort: number,
): StatementBody[] {
  return [
    {
      type: "realm",
      realm,
      issuer: issuerTemplate(realm, publisherPort),
      ring,
      tenantRule: realm === "consumer" ? { fixed: CONSUMER_TENANT } : { except: [CONSUMER_TENANT] },
    },
    { type: "writer", realm, log, writer, logKey },
  ];
}
